"""One large recording in a running lab, filed as a media server files it: the bytes, then the post.

Made here because a call of an hour would take an hour.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

import aiohttp
import msgspec

from reclab.lab import Lab
from recording_format.certificates import RecordingCertificate
from recording_format.cipher import MediaEncryptor
from recording_format.envelope import Envelope, wrap_session_key
from recording_format.integrity import media_mac
from recording_format.metadata import Lab as LabFacts
from recording_format.session_key import SessionKey
from recording_format.timestamps import format_time
from service_shell.accounts import basic_header
from service_shell.settings import SettingsError

_STEP = 1 << 20
_BYTES_PER_SECOND = 32000
_ID = "BENCH0000000000000000000PLAYBACK"


class LargeRecording(NamedTuple):
    """A recording that lies in the lab and, as a pair for `openssl`, in two files."""

    size: int
    play_path: str
    envelope: Path
    ciphertext: Path
    key: Path


async def file_large_recording(
    lab: Lab, certificates: list[Path], folder: Path, size: int
) -> LargeRecording:
    """Encrypt `size` bytes of WAV for the certificates, put them into the lab, and post them.

    Raises `SettingsError` when the lab does not take them.
    """
    recipients = [
        RecordingCertificate.load(path.read_text(encoding="utf-8"), name=path.name)
        for path in certificates
    ]
    key = SessionKey.generate()
    encryptor = MediaEncryptor(key)
    ciphertext = folder / "recording.bin"
    with ciphertext.open("wb") as file:
        for block in _wav(size):
            file.write(encryptor.update(block))
        file.write(encryptor.finalize())
    envelope = Envelope(wrap_session_key(key, recipients), key.algorithm, encryptor.iv)
    (folder / "envelope.pem").write_text(envelope.to_pem(), encoding="ascii")
    media_id = f"{_ID}_-00000000-00000001-00000001.wav"
    digests = encryptor.digests
    mac = media_mac(key, media_id=media_id, iv=encryptor.iv, digests=digests)
    facts = LabFacts(size=digests.size, sha256=digests.sha256, chunks=list(digests.chunks), mac=mac)
    stop = datetime.now(UTC)
    media: dict[str, object] = {
        "mediaDescriptor": {"storage": "webDAV", "path": f"{lab.store}/{media_id}.bin", "data": {}},
        "startTime": format_time(stop - timedelta(seconds=size / _BYTES_PER_SECOND)),
        "stopTime": format_time(stop),
        "mediaId": media_id,
        "type": "audio/wav",
        "duration": str(size * 1000 // _BYTES_PER_SECOND),
        "size": str(size),
        "tenant": "Environment",
        "ivrprofile": "recording",
        "parameters": {"id": _ID, "callUuid": _ID, "ani": "7001", "dnis": "7002"},
        "masks": [],
        "pkcs7": envelope.to_pem(),
        "certAlias": list(lab.keys),
        "lab": facts.to_wire(),
    }
    play_path = await _deliver(lab, media, ciphertext)
    first_key = Path(next(iter(lab.keys.values())))
    return LargeRecording(size, play_path, folder / "envelope.pem", ciphertext, first_key)


def _wav(size: int) -> Iterator[bytes]:
    """Yield a WAV file (8 kHz, stereo, 16 bit) of `size` bytes, full of noise."""
    yield struct.pack(
        "<4sI4s4sIHHIIHH", b"RIFF", size - 8, b"WAVE", b"fmt ", 16, 1, 2, 8000, 32000, 4, 16
    ) + struct.pack("<4sI", b"data", size - 44)
    for at in range(44, size, _STEP):
        yield os.urandom(min(_STEP, size - at))


async def _deliver(lab: Lab, media: dict[str, object], ciphertext: Path) -> str:
    mcp = lab.users["mcp"]
    headers = {"Authorization": basic_header(mcp.name, mcp.password)}
    async with aiohttp.ClientSession(headers=headers) as http:
        url = f"{lab.store}/{media['mediaId']}.bin"
        with ciphertext.open("rb") as file:
            await _body(await http.put(url, data=file))
        url = f"{lab.processor}/api/contact-centers/{lab.domain}/recordings"
        await _body(await http.post(url, json={"mediaFiles": [media]}))
    operator = lab.users["operator"]
    headers = {"Authorization": basic_header(operator.name, operator.password)}
    async with aiohttp.ClientSession(headers=headers) as http:
        body = await _body(await http.get(f"{lab.processor}/api/v2/recordings/{_ID}"))
    return str(msgspec.json.decode(body)["recording"]["mediaFiles"][0]["mediaPath"])


async def _body(answer: aiohttp.ClientResponse) -> bytes:
    async with answer:
        body = await answer.read()
        if answer.status >= 300:
            raise SettingsError(f"{answer.method} {answer.url.path} was answered {answer.status}")
        return body
