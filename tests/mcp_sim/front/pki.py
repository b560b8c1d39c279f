"""Certificates made on the fly, and profiles that hold them."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import cache
from pathlib import Path

from reclab.pki import Pair, new_authority, new_recording_certificate
from recording_format.ivr_profile import IvrProfile, Tenant

NOW = datetime(2026, 6, 1, 12, 0, tzinfo=UTC)


@cache
def authority() -> Pair:
    """One root for all tests: making an RSA key takes a while."""
    return new_authority("Test CA", NOW)


@cache
def recording_pair(number: int) -> Pair:
    """The recording certificate of this number, signed by `authority`."""
    return new_recording_certificate(f"Recording {number}", authority(), NOW)


def profile(
    *certificates: str, dbid: int = 101, name: str = "recording", **said: str
) -> IvrProfile:
    """A recording profile with these certificate texts; `said` are service parameters."""
    parameters = {key.replace("__", ".").replace("_", "-"): f"fixed,{v}" for key, v in said.items()}
    return IvrProfile(
        dbid,
        name,
        Tenant("Environment", 1),
        {
            "gvp.general": {"service-type": "record"},
            "gvp.service-parameters": {
                "recordingclient.recdest": "fixed,http://127.0.0.1:9/recordings",
                "recordingclient.httpauthorization": "fixed,mcp:hunter2",
                **parameters,
            },
            "recording-certificates": {
                f"certificates-{n}": text for n, text in enumerate(certificates, 1)
            },
        },
    )


def ca_file(folder: Path) -> Path:
    """The root as a CA file in `folder`."""
    path = folder / "ca.pem"
    path.write_text(authority().certificate_pem)
    return path
