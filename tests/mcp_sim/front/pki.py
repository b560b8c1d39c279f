"""Certificates made on the fly, and profiles that hold them."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import cache
from pathlib import Path

from reclab.pki import Pair, new_authority, new_recording_certificate, utc_now
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


@cache
def fresh_authority() -> Pair:
    """A root that is valid now."""
    return new_authority("Fresh CA", utc_now())


@cache
def fresh_pair() -> Pair:
    """A recording certificate that is valid now."""
    return new_recording_certificate("Fresh recording", fresh_authority(), utc_now())


@cache
def stranger() -> Pair:
    """A recording certificate that is valid now, of a root that nobody knows."""
    return new_recording_certificate("Stranger", new_authority("Other CA", utc_now()), utc_now())


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
                "recordingclient.callrec_dest": "fixed,http://127.0.0.1:9/posts",
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


def fresh_ca_file(folder: Path) -> Path:
    """The root that is valid now as a CA file in `folder`."""
    path = folder / "fresh-ca.pem"
    path.write_text(fresh_authority().certificate_pem)
    return path


def with_options(chosen: IvrProfile, said: dict[str, str]) -> IvrProfile:
    """The profile with further service parameters."""
    fixed = {name: f"fixed,{value}" for name, value in said.items()}
    chosen.sections["gvp.service-parameters"].update(fixed)
    return chosen
