"""What an INVITE asks the recorder for, whichever of the three ways it came.

SIPREC (a recording client sends both parties' streams), GIR (one INVITE per party with a common
conference id), or a plain call. Pure: reads a checked request, keeps nothing.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Literal

import sipmessage

from mcp_sim.sip import SipRequest
from mcp_sim.sip.errors import BodyError
from mcp_sim.sip.gir import CALL_UUID, GEO_LOCATION, PROFILE_DBID, GirCall
from mcp_sim.sip.multipart import split_body
from mcp_sim.sip.siprec import RecordingSession

_CALL_UUID = re.compile(r"[0-9A-Z]{32}")
_PARAMETER_LIMIT = 256
_KNOWN_PARAMETERS = {
    "ani": "ani", "dnis": "dnis", "agentid": "agentId", "connid": "connId",
    "recorddn": "recordDN", "sipsappname": "sipsAppName", "record": "record",
}  # fmt: skip

Kind = Literal["siprec", "gir", "plain"]


@dataclass(frozen=True, slots=True)
class Invitation:
    """One INVITE. `conference` joins several of them to one recording; empty where it is alone.

    `call_uuid` is empty unless it is 32 of 0-9A-Z. `parameters` are the recording's, under GIR's
    names. `sdp` None means that the offer is ours to make. `dn` is the party's (GIR).
    """

    kind: Kind
    sdp: bytes | None
    conference: str = ""
    call_uuid: str = ""
    profile_dbid: int | None = None
    geo_location: str | None = None
    parameters: dict[str, str] = field(default_factory=dict)
    dn: str = ""
    siprec: RecordingSession | None = None


def read_invitation(request: SipRequest) -> Invitation:
    """Read the request. Raises `BodyError` with the sentence for a 400."""
    bodies = split_body(request.content_type, request.body)
    gir = GirCall.read(request.uri, request.header)
    uuid = (request.header(CALL_UUID) or "").strip()
    uuid = uuid if _CALL_UUID.fullmatch(uuid) else ""
    if gir is not None:
        return Invitation(
            kind="gir",
            sdp=bodies.sdp,
            conference=gir.conference_id,
            call_uuid=uuid,
            profile_dbid=gir.profile_dbid,
            geo_location=gir.geo_location or None,
            parameters=_gir_parameters(gir),
            dn=gir.dn,
        )
    dbid = _number(request.header(PROFILE_DBID))
    location = (request.header(GEO_LOCATION) or "").strip() or None
    required = {value.strip().lower() for value in request.header_values("Require")}
    if bodies.rs_metadata is None and "siprec" not in required:
        plain = {"ani": _user(request.header("From")), "dnis": request.uri.user or ""}
        return Invitation("plain", bodies.sdp, "", uuid, dbid, location, clean_parameters(plain))
    session = RecordingSession.parse(bodies.rs_metadata) if bodies.rs_metadata else None
    return Invitation("siprec", bodies.sdp, "", uuid, dbid, location, siprec=session)


def clean_parameters(said: dict[str, str]) -> dict[str, str]:
    """Return parameters under GIR's names, bounded in length, without empty ones."""
    known = {_KNOWN_PARAMETERS.get(name.lower(), name): value for name, value in said.items()}
    return {name[:64]: value[:_PARAMETER_LIMIT] for name, value in known.items() if value}


def address_user(aor: str) -> str:
    """Return the user part (or the number) of a ``sip:``, ``sips:`` or ``tel:`` address."""
    scheme, colon, rest = aor.partition(":")
    address = rest if colon and scheme.lower() in ("sip", "sips", "tel") else aor
    return address.partition(";")[0].partition("@")[0]


def _gir_parameters(gir: GirCall) -> dict[str, str]:
    said = {name: value for name, value in gir.parameters.items() if name in _KNOWN_PARAMETERS}
    return clean_parameters(said)


def _number(text: str | None) -> int | None:
    if text is None or not text.strip():
        return None
    if not text.strip().isascii() or not text.strip().isdecimal():
        raise BodyError(f"{PROFILE_DBID} is not a number")
    return int(text)


def _user(address: str | None) -> str:
    """The user part of a From header; empty when there is none."""
    if address is None:
        return ""
    try:
        return sipmessage.Address.parse(address).uri.user or ""
    except ValueError:
        return ""
