"""A lab without services: recordings made by hand, behind the doors that `verify` knocks at.

Each recording is a signed call, written, encrypted and described as the real services would.
"""

from __future__ import annotations

import contextlib
import datetime
import hashlib
import io
import wave
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from aiohttp import web
from aiohttp.test_utils import TestServer

from mcp_sim.load.report import CallReport, LegReport
from mcp_sim.load.signature import LEGS, Floats
from reclab.lab import Lab, User
from reclab.pki import Pair, new_authority, new_recording_certificate
from recording_format.certificates import RecordingCertificate, certificate_alias
from recording_format.cipher import MediaEncryptor
from recording_format.envelope import Envelope, wrap_session_key
from recording_format.integrity import media_mac
from recording_format.session_key import SessionKey
from recording_format.timestamps import format_time
from service_shell.accounts import basic_header
from tests.mcp_sim.load.sounds import stereo

STARTED = datetime.datetime(2026, 1, 2, 10, 0, tzinfo=datetime.UTC)
OPERATOR, LISTENER = User("operator", "o-secret"), User("listener", "l-secret")
PACKETS = 100


@cache
def recording_pair() -> tuple[Pair, RecordingCertificate]:
    """Return one certificate and its key, made once."""
    now = datetime.datetime.now(datetime.UTC)
    pair = new_recording_certificate("Test Recording", new_authority("Test CA", now), now)
    return pair, RecordingCertificate.load(pair.certificate_pem, name="test")


def wav_bytes(sound: Floats) -> bytes:
    """Return a WAV file of 16-bit samples."""
    out = io.BytesIO()
    with wave.open(out, "wb") as file:
        file.setnchannels(len(sound))
        file.setsampwidth(2)
        file.setframerate(8000)
        file.writeframes(np.round(sound.T).astype("<i2").tobytes())
    return out.getvalue()


def call_report(identity: str, packets: int = PACKETS) -> CallReport:
    """Return what the caller would say of such a call."""
    legs = tuple(
        LegReport(
            leg=leg,
            channel="left" if leg == "customer" else "right",
            codec="pcmu",
            packets=packets,
        )
        for leg in LEGS
    )
    return CallReport(
        identity=identity,
        number=0,
        caller="+1",
        dialed="2",
        agent="3",
        connection_id="0" * 16,
        result="completed",
        status=200,
        legs=legs,
    )


@dataclass
class FakeLab:
    """The recordings of a lab; change them as you like before they are asked for."""

    folder: Path
    answers: dict[str, dict[str, Any]] = field(default_factory=dict)
    objects: dict[str, bytes] = field(default_factory=dict)
    played: dict[str, bytes] = field(default_factory=dict)
    lab: Lab = field(init=False)

    def add(self, identity: str, sound: Floats | None = None, **media: Any) -> dict[str, Any]:
        """Store a call; `media` changes fields of its metadata. Returns the media file."""
        sound = stereo(identity, PACKETS) if sound is None else sound
        plain = wav_bytes(sound)
        _, certificate = recording_pair()
        key = SessionKey.generate()
        encryptor = MediaEncryptor(key)
        stored = encryptor.update(plain) + encryptor.finalize()
        envelope = Envelope(wrap_session_key(key, [certificate]), key.algorithm, encryptor.iv)
        media_id = f"{identity}-0a1b2c3d-00000001-00000001.wav"
        milliseconds = sound.shape[1] / 8
        stopped = STARTED + datetime.timedelta(milliseconds=milliseconds)
        digests = encryptor.digests
        mac = media_mac(key, media_id=media_id, iv=encryptor.iv, digests=digests)
        leg = {"codec": "pcmu", "packets": PACKETS}
        document: dict[str, Any] = {
            "mediaDescriptor": {"path": f"{self.lab.store}/{media_id}.bin", "storage": "webDAV"},
            "startTime": format_time(STARTED),
            "stopTime": format_time(stopped),
            "mediaId": media_id,
            "type": "audio/wav",
            "duration": str(round(milliseconds)),
            "size": str(len(plain)),
            "tenant": "Environment",
            "parameters": {"id": identity, "callUuid": identity},
            "masks": [],
            "pkcs7": envelope.to_pem(),
            "certAlias": [certificate_alias(certificate, "Environment", 1)],
            "mediaPath": f"/recordings/{identity}/play/x.wav.bin",
            "lab": {
                "size": digests.size,
                "sha256": hashlib.sha256(stored).hexdigest(),
                "chunks": list(digests.chunks),
                "mac": mac,
                "legs": [leg | {"channel": "left"}, leg | {"channel": "right"}],
            },
        } | media
        document["originalMediaDescriptor"] = document["mediaDescriptor"]
        self.objects[f"/recordings/{media_id}.bin"] = stored
        self.played[f"/rcs{document['mediaPath']}"] = plain
        self.answers[identity] = {
            "id": identity,
            "callerPhoneNumber": "+16175550000",
            "dialedPhoneNumber": "8005550000",
            "startTime": document["startTime"],
            "mediaFiles": [document],
        }
        return document

    def write_lab_file(self) -> None:
        """Write lab.json for commands to find."""
        (self.folder / "lab.json").write_bytes(msgspec.json.encode(self.lab))

    async def _search(self, request: web.Request) -> web.Response:
        if _account(request) != OPERATOR.name:
            return web.Response(status=403)
        order = list(self.answers)
        at = int(request.query.get("next", "0"))
        page = [self.answers[one] for one in order[at : at + 2]]
        following = str(at + 2) if at + 2 < len(order) else None
        return web.json_response({"statusCode": 0, "recordings": page, "next": following})

    async def _one(self, request: web.Request) -> web.Response:
        answer = self.answers.get(request.match_info["id"])
        if answer is None:
            return web.json_response({"statusCode": 6}, status=404)
        return web.json_response({"statusCode": 0, "recording": answer})

    async def _object(self, request: web.Request) -> web.Response:
        stored = self.objects.get(request.path)
        known = _account(request) == OPERATOR.name
        return web.Response(body=stored) if stored and known else web.Response(status=404)

    async def _played(self, request: web.Request) -> web.Response:
        sound = self.played.get(request.path)
        known = _account(request) == LISTENER.name
        return web.Response(body=sound) if sound and known else web.Response(status=404)

    def application(self) -> web.Application:
        """The doors: processor, store and crypto server in one."""
        application = web.Application()
        application.add_routes(
            [
                web.get("/api/v2/recordings", self._search),
                web.get("/api/v2/recordings/{id}", self._one),
                web.get("/recordings/{name}", self._object),
                web.get("/rcs/recordings/{id}/play/{name}", self._played),
            ]
        )
        return application


def _account(request: web.Request) -> str:
    given = request.headers.get("Authorization")
    known = {basic_header(user.name, user.password): user.name for user in (OPERATOR, LISTENER)}
    return known.get(given or "", "")


@contextlib.asynccontextmanager
async def fake_lab(folder: Path) -> AsyncIterator[FakeLab]:
    """Serve a fake lab within the block."""
    fake = FakeLab(folder)
    pair, certificate = recording_pair()
    key_file = folder / "key.pem"
    key_file.write_bytes(pair.key_pem)
    async with TestServer(fake.application()) as server:
        origin = str(server.make_url("")).rstrip("/")
        fake.lab = Lab(
            sip="127.0.0.1:1",
            control=origin,
            store=f"{origin}/recordings",
            processor=origin,
            crypto=origin,
            users={"operator": OPERATOR, "listener": LISTENER},
            ca_file="",
            keys={certificate_alias(certificate, "Environment", 1): str(key_file)},
            domain="lab.example",
            ccid="c",
            profile_dbid=101,
        )
        yield fake
