"""Recordings as a media server would have made them, and the processor's answer about them."""

from __future__ import annotations

import random
import struct
from dataclasses import dataclass, field, replace
from typing import Any

import msgspec

from recording_format.cipher import MediaEncryptor
from recording_format.digests import CiphertextHasher
from recording_format.envelope import Envelope, wrap_session_key
from recording_format.integrity import media_mac
from recording_format.metadata import Lab
from recording_format.session_key import SessionKey
from tests.crypto_server.keys import TENANT, KeyPair


def wav(size: int, seed: int = 1) -> bytes:
    """Return a WAV file (8 kHz, stereo, 16 bit) of `size` bytes in all, full of noise."""
    audio = random.Random(seed).randbytes(size - 44)
    head = struct.pack(
        "<4sI4s4sIHHIIHH", b"RIFF", size - 8, b"WAVE", b"fmt ", 16, 1, 2, 8000, 32000, 4, 16
    )
    return head + struct.pack("<4sI", b"data", len(audio)) + audio


def mp3(frames: int) -> bytes:
    """Return so many MPEG-1 layer III frames of 128 kbit/s at 44.1 kHz, 417 bytes each."""
    return (b"\xff\xfb\x90\x00" + bytes(413)) * frames


@dataclass(frozen=True)
class MadeRecording:
    """A recording of one media file: its metadata element `media`, its bytes `stored`."""

    recording_id: str
    name: str
    plaintext: bytes = field(repr=False)
    stored: bytes = field(repr=False)
    media: dict[str, Any] = field(repr=False)

    @property
    def path(self) -> str:
        """The play path of the crypto server."""
        return f"/rcs/recordings/{self.recording_id}/play/{self.name}"

    @property
    def answer(self) -> bytes:
        """The processor's answer about the recording."""
        recording = {"id": self.recording_id, "mediaFiles": [self.media]}
        return msgspec.json.encode({"statusCode": 0, "recording": recording})

    def changed(self, **fields: object) -> MadeRecording:
        """Return the recording with other metadata fields; None takes a field away."""
        media = {key: value for key, value in (self.media | fields).items() if value is not None}
        return replace(self, media=media)

    def with_stored(self, stored: bytes) -> MadeRecording:
        """Return the recording with other stored bytes under the same metadata."""
        return replace(self, stored=stored)


def encrypted(
    plaintext: bytes,
    *pairs: KeyPair,
    recording_id: str = "00ABCDEF",
    tenant: str = TENANT,
    extension: str = "wav",
    bits: int = 256,
) -> MadeRecording:
    """Return a recording encrypted for every one of `pairs`."""
    key = SessionKey.generate(bits)
    encryptor = MediaEncryptor(key)
    stored = encryptor.update(plaintext) + encryptor.finalize()
    envelope = Envelope(
        recipients=wrap_session_key(key, [pair.certificate for pair in pairs]),
        algorithm=key.algorithm,
        iv=encryptor.iv,
    )
    media_id = f"{recording_id}_2026-01-02.{extension}"
    digests = encryptor.digests
    mac = media_mac(key, media_id=media_id, iv=encryptor.iv, digests=digests)
    lab = Lab(size=digests.size, sha256=digests.sha256, chunks=list(digests.chunks), mac=mac)
    name = f"5f0c1a52-0000-4000-8000-000000000001.{extension}.bin"
    media = {
        "mediaId": media_id,
        "mediaPath": f"/recordings/{recording_id}/play/{name}",
        "tenant": tenant,
        "size": str(len(plaintext)),
        "pkcs7": envelope.to_pem(),
        "certAlias": [pair.alias for pair in pairs],
        "lab": lab.to_wire(),
    }
    return MadeRecording(recording_id, name, plaintext, stored, media)


def plain(
    plaintext: bytes, *, recording_id: str = "00PLAIN", extension: str = "wav"
) -> MadeRecording:
    """Return a recording that is not encrypted, with its digests."""
    hasher = CiphertextHasher()
    hasher.update(plaintext)
    digests = hasher.finish()
    lab = Lab(size=digests.size, sha256=digests.sha256, chunks=list(digests.chunks))
    name = f"5f0c1a52-0000-4000-8000-000000000002.{extension}"
    media = {
        "mediaId": f"{recording_id}_2026-01-02.{extension}",
        "mediaPath": f"/recordings/{recording_id}/play/{name}",
        "tenant": TENANT,
        "size": str(len(plaintext)),
        "lab": lab.to_wire(),
    }
    return MadeRecording(recording_id, name, plaintext, plaintext, media)
