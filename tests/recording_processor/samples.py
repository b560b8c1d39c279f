"""Metadata, profiles and settings as the tests use them, each with a few things to vary."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from recording_format.certificates import RecordingCertificate
from recording_format.envelope import Envelope, wrap_session_key
from recording_format.session_key import SessionKey

DOMAIN = "lab.example"
CCID = "5f3b0c5e-1111-4222-8333-444455556666"
STORE = "http://127.0.0.1:1/recordings"
ENVELOPE = "-----BEGIN PKCS7-----\nMIIBNQYJKoZIhvcNAQcDoIIBJjCCASICAQAx\n-----END PKCS7-----\n"
ALIAS = "rcs_Environment:1:C=US,ST=CA,O=Example,CN=example_ca:10"

Json = dict[str, Any]


def media_file(
    recording_id: str = "CALL1",
    *,
    media_id: str = "",
    start: str = "2026-01-02T10:00:00.000Z",
    stop: str = "2026-01-02T10:00:12.500Z",
    store: str = STORE,
    parameters: Mapping[str, object] | None = None,
    **changed: Any,
) -> Json:
    """Return one media file as an MCP posts it; a key changed to None is left out."""
    name = media_id or f"{recording_id}_2026-01-02-0a1b2c3d-00000001-00000001.wav"
    whole: Json = {
        "mediaDescriptor": {"storage": "webDAV", "path": f"{store}/{name}.bin", "data": {}},
        "startTime": start,
        "stopTime": stop,
        "mediaId": name,
        "type": "audio/wav",
        "duration": "12500",
        "size": "400044",
        "tenant": "Environment",
        "ivrprofile": "recording",
        "parameters": {
            "id": recording_id,
            "callUuid": recording_id,
            "ani": "+16175550101",
            "dnis": "8005550199",
            "agentId": "agent1",
            "recordDN": "7001",
            "connId": "006a0269722cd93f",
            **(parameters or {}),
        },
        "masks": [
            {"time": "2026-01-02T10:00:05.000Z", "type": "paused"},
            {"time": "2026-01-02T10:00:08.000Z", "type": "resume"},
        ],
        "pkcs7": ENVELOPE,
        "certAlias": [ALIAS],
        "lab": {
            "size": 400048,
            "sha256": hashlib.sha256(name.encode()).hexdigest(),
            "chunks": [hashlib.sha256(name.encode()).hexdigest()],
            "mac": "ab" * 32,
            "recovered": False,
            "skippedCertificates": [],
            "legs": [],
        },
        **changed,
    }
    return {key: value for key, value in whole.items() if value is not None}


def post(*files: Json) -> bytes:
    """Return the body of a post."""
    return msgspec.json.encode({"mediaFiles": list(files)})


def profile(
    dbid: int = 101, parameters: Mapping[str, str] | None = None, *, name: str = "recording"
) -> Json:
    """Return a profile's JSON; `parameters` are more or other service parameters."""
    return {
        "dbid": dbid,
        "name": name,
        "tenant": {"name": "Environment", "dbid": 1},
        "sections": {
            "gvp.general": {"service-type": "record"},
            "gvp.service-parameters": {
                "recordingclient.recdest": f"fixed,{STORE}",
                "recordingclient.httpauthorization": "fixed,mcp:store-secret",
                "recordingclient.type": "fixed,audio/wav",
                **(parameters or {}),
            },
            "recording-certificates": {},
        },
    }


def envelope(
    certificates: Sequence[RecordingCertificate],
    *,
    iv: bytes = bytes(16),
    key: SessionKey | None = None,
) -> str:
    """Return a real envelope (PEM) for the certificates."""
    session_key = key or SessionKey(bytes(32))
    recipients = wrap_session_key(session_key, certificates)
    return Envelope(recipients, session_key.algorithm, iv).to_pem()
