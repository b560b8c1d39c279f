"""What an INVITE asks the recorder for, whichever of the three ways it came.

SIPREC (a recording client sends both parties' streams), GIR (one INVITE per party with a common
conference id), or a plain call. Pure: reads a checked request, keeps nothing.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Literal

from mcp_sim.sip import SipRequest
from mcp_sim.sip.errors import BodyError
from mcp_sim.sip.gir import CALL_UUID, GEO_LOCATION, PROFILE_DBID, GirCall
from mcp_sim.sip.grammar import parse_address
from mcp_sim.sip.multipart import CallBodies, split_body
from mcp_sim.sip.offer_answer import AudioLine, usable_lines
from mcp_sim.sip.sdp import SessionDescription
from mcp_sim.sip.siprec import RecordingSession

_CALL_UUID = re.compile(r"[0-9A-Z]{32}")
_DBID = re.compile(r"[0-9]{1,10}")
_PARAMETER_LIMIT = 256
_KNOWN_PARAMETERS = {
    "ani": "ani", "dnis": "dnis", "agentid": "agentId", "connid": "connId",
    "recorddn": "recordDN", "sipsappname": "sipsAppName", "record": "record",
    "calluuid": "callUuid", "datetime": "dateTime",
}  # fmt: skip

Kind = Literal["siprec", "gir", "plain"]


class UnknownBody(BodyError):
    """The INVITE has a body, and nothing in it is a session description (answer 415)."""


@dataclass(frozen=True, slots=True)
class Invitation:
    """One INVITE. `conference` joins several of them to one recording; empty where it is alone.

    `call_uuid` is empty unless it is 32 of 0-9A-Z. `parameters` are the recording's, under GIR's
    names. `offer` None means that the offer is ours to make; `lines` are the offer's that can be
    recorded, at least one. `dn` is the party's (GIR).
    """

    kind: Kind
    offer: SessionDescription | None
    lines: tuple[AudioLine, ...] = ()
    conference: str = ""
    call_uuid: str = ""
    profile_dbid: int | None = None
    geo_location: str | None = None
    tenant_dbid: int | None = None
    parameters: dict[str, str] = field(default_factory=dict)
    dn: str = ""
    siprec: RecordingSession | None = None


def read_invitation(request: SipRequest) -> Invitation:
    """Read the request. Raises `BodyError` with the sentence for the refusal.

    Of its kinds `NoCommonCodec` stands for 488, `UnknownBody` for 415, all others for 400.
    """
    bodies = split_body(request.content_type, request.body)
    if request.body and bodies.sdp is None and bodies.rs_metadata is None:
        raise UnknownBody(f"the body {request.content_type[:80]!r} is no session description")
    offer = SessionDescription.parse(bodies.sdp) if bodies.sdp else None
    lines = usable_lines(offer) if offer else ()
    uuid = (request.header(CALL_UUID) or "").strip()
    uuid = uuid if _CALL_UUID.fullmatch(uuid) else ""
    gir = GirCall.read(request.uri, request.header)
    if gir is not None:
        return Invitation(
            kind="gir",
            offer=offer,
            lines=lines,
            conference=gir.conference_id,
            call_uuid=uuid,
            profile_dbid=gir.profile_dbid,
            geo_location=gir.geo_location or None,
            tenant_dbid=gir.tenant_dbid,
            parameters=_gir_parameters(gir),
            dn=gir.dn,
        )
    siprec = _is_siprec(request, bodies)
    session = RecordingSession.parse(bodies.rs_metadata) if bodies.rs_metadata else None
    plain = {"ani": _user(request.header("From")), "dnis": request.uri.user or ""}
    return Invitation(
        kind="siprec" if siprec else "plain",
        offer=offer,
        lines=lines,
        call_uuid=uuid,
        profile_dbid=_number(request.header(PROFILE_DBID)),
        geo_location=(request.header(GEO_LOCATION) or "").strip() or None,
        parameters={} if siprec else clean_parameters(plain),
        siprec=session,
    )


def clean_parameters(said: dict[str, str]) -> dict[str, str]:
    """Return parameters under GIR's names, bounded in length, without empty ones.

    Without the recording's id too: that is not the caller's to change.
    """
    known = {_KNOWN_PARAMETERS.get(name.lower(), name): value for name, value in said.items()}
    return {
        name[:64]: value[:_PARAMETER_LIMIT]
        for name, value in known.items()
        if value and name.lower() != "id"
    }


def address_user(aor: str) -> str:
    """Return the user part (or the number) of a ``sip:``, ``sips:`` or ``tel:`` address."""
    scheme, colon, rest = aor.partition(":")
    address = rest if colon and scheme.lower() in ("sip", "sips", "tel") else aor
    return address.partition(";")[0].partition("@")[0]


def _is_siprec(request: SipRequest, bodies: CallBodies) -> bool:
    """Some clients forget the metadata, others the option tag (RFC 7866 §6.1.1)."""
    required = {value.strip().lower() for value in request.header_values("Require")}
    return bodies.rs_metadata is not None or "siprec" in required


def _gir_parameters(gir: GirCall) -> dict[str, str]:
    said = {name: value for name, value in gir.parameters.items() if name in _KNOWN_PARAMETERS}
    return clean_parameters(said)


def _number(text: str | None) -> int | None:
    text = (text or "").strip()
    if not text:
        return None
    if not _DBID.fullmatch(text):
        raise BodyError(f"{PROFILE_DBID} is not a number")
    return int(text)


def _user(address: str | None) -> str:
    """The user part of a From header; empty when there is none."""
    if address is None:
        return ""
    try:
        return parse_address(address).uri.user or ""
    except ValueError:
        return ""
