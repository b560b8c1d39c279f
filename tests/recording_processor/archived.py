"""Recordings with real ciphertext, a store that holds them, and zips as their readers see them."""

from __future__ import annotations

import io
import json
import random
import zipfile
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
from aiohttp import web
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from recording_format.certificates import RecordingCertificate, certificate_alias
from recording_format.cipher import MediaEncryptor
from recording_format.digests import CiphertextHasher
from recording_format.envelope import Envelope, wrap_session_key
from recording_format.integrity import media_mac
from recording_format.session_key import SessionKey
from service_shell.accounts import basic_header
from tests.crypto_server.keys import key_pair
from tests.recording_processor.conftest import Client, sign_in
from tests.recording_processor.samples import CCID, Json, media_file
from tests.recording_processor.upstreams import Upstream

START = datetime(2026, 1, 2, 10, tzinfo=UTC)
NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)
STORE_ACCOUNT = basic_header("processor", "store-secret")
RECORDER = key_pair("Archive Recorder")


@dataclass(frozen=True)
class Made:
    """One media file: what is posted, what is stored, and what was said."""

    media: Json
    stored: bytes
    sound: bytes

    @property
    def path(self) -> str:
        """Where it lies in the store."""
        return "/" + str(self.media["mediaDescriptor"]["path"]).split("/", 3)[3]


def made(
    recording_id: str,
    store: str,
    *,
    seconds: int = 0,
    size: int = 3000,
    encrypted: bool = True,
    recipient: RecordingCertificate = RECORDER.certificate,
    **changed: Any,
) -> Made:
    """Return a media file that stopped `seconds` behind the first one."""
    sound = random.Random(recording_id).randbytes(size)
    key = SessionKey.generate()
    encryptor = MediaEncryptor(key)
    cipher = encryptor.update(sound) + encryptor.finalize()
    envelope = Envelope(
        recipients=wrap_session_key(key, [recipient]),
        algorithm=key.algorithm,
        iv=encryptor.iv,
    )
    stored = cipher if encrypted else sound
    hasher = CiphertextHasher()
    hasher.update(stored)
    digests = hasher.finish()
    media_id = str(changed.pop("media_id", f"{recording_id}-0a1b2c3d-00000001-00000001.wav"))
    mac = media_mac(key, media_id=media_id, iv=encryptor.iv, digests=digests)
    lab = {"size": digests.size, "sha256": digests.sha256, "chunks": list(digests.chunks)}
    stop = START + timedelta(seconds=seconds)
    fields: Json = {
        "start": _text(stop - timedelta(seconds=5)),
        "stop": _text(stop),
        "size": str(size),
        "pkcs7": envelope.to_pem() if encrypted else None,
        "certAlias": [certificate_alias(recipient, "Environment", 1)] if encrypted else None,
        "lab": lab | ({"mac": mac} if encrypted else {}),
        "masks": [],
    }
    media = media_file(
        recording_id, media_id=media_id, store=f"{store}/recordings", **(fields | changed)
    )
    return Made(media, stored, sound)


def _text(moment: datetime) -> str:
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


class Objects:
    """What a store holds, by path; it serves the processor's account only."""

    def __init__(self, store: Upstream) -> None:
        self.held: dict[str, bytes] = {}
        self.served: list[str] = []
        store.answer = self._answer

    def add(self, *files: Made) -> None:
        """Keep the files' bytes."""
        self.held |= {file.path: file.stored for file in files}

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        if request.headers.get("Authorization") != STORE_ACCOUNT:
            return web.Response(status=401)
        self.served.append(request.path)
        held = self.held.get(request.path)
        return web.Response(status=404) if held is None else web.Response(body=held)


async def file_all(client: Client, *files: Made) -> None:
    """Post the metadata, one post for each file."""
    for file in files:
        body = msgspec.json.encode({"mediaFiles": [file.media]})
        path = "/api/contact-centers/lab.example/recordings"
        async with client.post(path, data=body, headers=sign_in("mcp")) as answer:
            assert answer.status == 200, await answer.text()


async def zip_of(client: Client, query: str = "", *, role: str = "operator") -> zipfile.ZipFile:
    """Get the zip and read it; its digests are right."""
    async with client.get(f"/lab/archive.zip{query}", headers=sign_in(role)) as answer:
        assert answer.status == 200, await answer.text()
        assert answer.content_type == "application/zip"
        opened = zipfile.ZipFile(io.BytesIO(await answer.read()))
    assert opened.testzip() is None
    return opened


def json_in(archive: zipfile.ZipFile, name: str) -> Any:
    """Return a JSON entry."""
    return json.loads(archive.read(name))


def folder_of(recording_id: str, *, tenant: str = "Environment", day: str = "2026-01-02") -> str:
    """The folder that the documents give to a recording."""
    return f"{CCID}/{tenant}/{day}/{recording_id}"


def write_key(folder: Path) -> Path:
    """Write the recorder's private key as PEM."""
    key = folder / "key.pem"
    key.write_bytes(
        RECORDER.private_key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    )
    return key
