"""The INVITE of an interaction recording."""

from __future__ import annotations

import pytest
import sipmessage
from hypothesis import given, settings
from hypothesis import strategies as st

from mcp_sim.sip.errors import BodyError
from mcp_sim.sip.gir import GirCall
from mcp_sim.sip.message import SipRequest
from tests.mcp_sim.sip.wire import message_text, parsed_request, vector


def read(request: SipRequest) -> GirCall | None:
    return GirCall.read(request.uri, request.header)


def test_request_uri_and_headers_are_read() -> None:
    """Conference, DN, flags, DBIDs and the header values come out typed."""
    call = read(parsed_request(vector("valid/invite_gir.sip")))
    assert call == GirCall(
        conference_id="00A1conf",
        dn="7001",
        record=True,
        tenant_dbid=1,
        media_service="record",
        call_uuid="0ABCDEFGHIJKLMNOPQRSTUVWXYZ12345",
        profile_dbid=101,
        session_id="6e2c7f1e-0000-4000-8000-000000000001",
        session_tenant="Environment",
        session_data="callsession=6e2c7f1e",
        geo_location="east",
    )


def test_other_invites_are_none_of_it() -> None:
    """An INVITE whose user is no conference is not a GIR call."""
    assert read(parsed_request(vector("valid/invite_plain.sip"))) is None


@pytest.mark.parametrize(
    ("uri", "message"),
    [
        ("sip:msml=@192.0.2.1", "names no conference"),
        ("sip:msml=a@192.0.2.1;tenant-dbid=one", "tenant-dbid is not a number"),
        ("sip:msml=a@192.0.2.1;tenant-dbid=99999999999", "tenant-dbid is not a number"),
    ],
)
def test_nonsense_is_refused_by_name(uri: str, message: str) -> None:
    """A missing conference id and a DBID that is no number are named."""
    with pytest.raises(BodyError, match=message):
        read(parsed_request(message_text(f"INVITE {uri} SIP/2.0")))


def test_profile_dbid_that_is_no_number_is_refused() -> None:
    """The header that picks the profile is named when it is no number."""
    headers = (("X-Genesys-RM-Application-dbid", "x"),)
    with pytest.raises(BodyError, match="X-Genesys-RM-Application-dbid"):
        read(parsed_request(message_text("INVITE sip:msml=a@h SIP/2.0", headers=headers)))


text = st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Cs")), max_size=12)
names = st.text("abcdefghijklmnop-.", min_size=1, max_size=8).map("x".__add__)


@settings(deadline=None)
@given(
    conference=text.filter(bool),
    dn=text,
    record=st.booleans(),
    dbid=st.none() | st.integers(0, 10**9),
    parameters=st.dictionaries(names, text, max_size=4),
)
def test_calls_survive_writing(
    conference: str, dn: str, record: bool, dbid: int | None, parameters: dict[str, str]
) -> None:
    """Whatever the values hold, the URI that is written reads the same."""
    call = GirCall(
        conference,
        dn=dn,
        record=record,
        tenant_dbid=dbid,
        profile_dbid=dbid,
        call_uuid="A" * 32,
        session_id="u-1" if dbid else "",
        session_tenant="Environment" if dbid else "",
        parameters=parameters,
    )
    headers = dict(call.headers())
    assert GirCall.read(sipmessage.URI.parse(call.uri("192.0.2.1:5060")), headers.get) == call
