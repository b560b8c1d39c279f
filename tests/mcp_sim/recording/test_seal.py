"""Sealing: what was written is what opens, and nothing of it shows."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from mcp_sim.recording.render.seal import SealedFile, Sealer
from recording_format.cipher import MediaDecryptor
from recording_format.envelope import Envelope, encode_recipients, wrap_session_key
from recording_format.integrity import check_mac
from recording_format.lab import Lab
from recording_format.session_key import SessionKey
from tests.recording_format.authority import recorder

from .recorded_call import RECORDERS

PLAINTEXT = b"a recording in clear " * 200_000


def _seal(path: Path, key: SessionKey, *, plain: bool = False) -> SealedFile:
    sealer = Sealer(path, key, plain=plain)
    for start in range(0, len(PLAINTEXT), 999_983):
        sealer.write(PLAINTEXT[start : start + 999_983])
    recipients = b"" if plain else encode_recipients(wrap_session_key(key, RECORDERS))
    return sealer.finish(media_id="call.wav", recipients=recipients)


def _open(data: bytes, key: SessionKey, iv: bytes) -> bytes:
    decryptor = MediaDecryptor(key, iv)
    return decryptor.update(data) + decryptor.finalize()


@pytest.mark.parametrize("bits", [256, 128])
def test_what_is_sealed_opens_with_the_envelope(tmp_path: Path, bits: int) -> None:
    """A recipient's key gives back every byte, and all digests are the file's."""
    path = tmp_path / "media.bin"
    sealed = _seal(path, SessionKey.generate(bits))
    data = path.read_bytes()
    envelope = Envelope.from_pem(sealed.envelope)
    key = envelope.unwrap(recorder(2).recording(), recorder(2).key)
    assert _open(data, key, envelope.iv) == PLAINTEXT
    assert sealed.plaintext_size == len(PLAINTEXT)
    assert (sealed.digests.size, sealed.digests.sha256) == (
        len(data),
        hashlib.sha256(data).hexdigest(),
    )
    lab = Lab(
        size=len(data),
        sha256=sealed.digests.sha256,
        chunks=list(sealed.digests.chunks),
        mac=sealed.mac,
    )
    check_mac(key, media_id="call.wav", iv=envelope.iv, lab=lab)


def test_each_seal_draws_a_new_iv(tmp_path: Path) -> None:
    """The same plaintext under the same key never makes the same file."""
    key = SessionKey.generate()
    seals = [_seal(tmp_path / f"{number}.bin", key) for number in range(5)]
    assert len({sealed.iv for sealed in seals}) == 5
    assert len({sealed.digests.sha256 for sealed in seals}) == 5


def test_a_plain_object_waits_sealed_all_the_same(tmp_path: Path) -> None:
    """The file is a ciphertext; digests and size are those of the plain object to come."""
    key = SessionKey.generate()
    path = tmp_path / "media.bin"
    sealed = _seal(path, key, plain=True)
    assert b"recording in clear" not in path.read_bytes()
    assert _open(path.read_bytes(), key, sealed.iv) == PLAINTEXT
    assert sealed.digests.sha256 == hashlib.sha256(PLAINTEXT).hexdigest()
    assert sealed.digests.size == len(PLAINTEXT)
    assert (sealed.envelope, sealed.mac) == ("", "")


def test_the_name_appears_with_the_whole_file(tmp_path: Path) -> None:
    """Until the end there is only a part, which is for nobody else to read."""
    sealer = Sealer(tmp_path / "media.bin", SessionKey.generate())
    sealer.write(PLAINTEXT)
    (part,) = tmp_path.iterdir()
    assert part.name == "media.bin.part"
    assert part.stat().st_mode & 0o777 == 0o600
    assert b"recording in clear" not in part.read_bytes()
    sealer.abandon()


def test_an_abandoned_seal_leaves_nothing(tmp_path: Path) -> None:
    """A render that fails takes its part away."""
    sealer = Sealer(tmp_path / "media.bin", SessionKey.generate())
    sealer.write(PLAINTEXT)
    sealer.abandon()
    assert not list(tmp_path.iterdir())
