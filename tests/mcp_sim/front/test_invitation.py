"""What an INVITE asks for, whichever of the three ways it came."""

from __future__ import annotations

import pytest

from mcp_sim.invitation import (
    Invitation,
    UnknownBody,
    address_user,
    clean_parameters,
    read_invitation,
)
from mcp_sim.sip.errors import BodyError, NoCommonCodec
from mcp_sim.sip.hop import Hop
from mcp_sim.sip.message import MessageLimits, SipRequest, parse_message

SDP = (
    "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n"
    "m=audio 40000 RTP/AVP 8\r\na=sendonly\r\n"
)
UUID = "0123456789ABCDEFGHIJKLMNOPQRSTUV"
METADATA = """<?xml version="1.0"?><recording xmlns="urn:ietf:params:xml:ns:recording:1">
<datamode>complete</datamode><session session_id="s"/>
<participant participant_id="p"><nameID aor="tel:+1617"/></participant>
<stream stream_id="m" session_id="s"><label>1</label></stream>
<participantstreamassoc participant_id="p"><send>m</send></participantstreamassoc></recording>"""


def invite(
    uri: str = "sip:8005550199@127.0.0.1", *headers: str, kind: str = "application/sdp",
    body: str = SDP,
) -> SipRequest:  # fmt: skip
    lines = [
        f"INVITE {uri} SIP/2.0",
        "Via: SIP/2.0/UDP 127.0.0.1:5070;branch=z9hG4bK1",
        "Max-Forwards: 70",
        "From: <sip:+16175550101@gw>;tag=a",
        "To: <sip:8005550199@127.0.0.1>",
        "Call-ID: c1",
        "CSeq: 1 INVITE",
        "Contact: <sip:gw>",
        *headers,
        f"Content-Type: {kind}",
        f"Content-Length: {len(body)}",
    ]
    data = ("\r\n".join(lines) + "\r\n\r\n" + body).encode()
    message = parse_message(data, Hop("udp", "127.0.0.1", 5070), MessageLimits(), to_tag="t")
    assert isinstance(message, SipRequest)
    return message


def read(*headers: str, uri: str = "sip:8005550199@127.0.0.1") -> Invitation:
    return read_invitation(invite(uri, *headers))


def test_plain_call() -> None:
    """Any INVITE with audio is recorded; its numbers are those of From and the request-URI."""
    invitation = read(f"X-Genesys-CallUUID: {UUID}")
    assert invitation.kind == "plain"
    assert invitation.offer is not None
    assert [line.port for line in invitation.lines] == [40000]
    assert invitation.call_uuid == UUID
    assert invitation.parameters == {"ani": "+16175550101", "dnis": "8005550199"}


def test_gir() -> None:
    """A conference in the request-URI makes it GIR, with the profile by DBID and the dn."""
    uri = "sip:msml=conf1@127.0.0.1;dn=7001;record;tenant-dbid=1;media-service=record"
    invitation = read("X-Genesys-RM-Application-dbid: 101", "X-Genesys-geo-location: us", uri=uri)
    assert (invitation.kind, invitation.conference) == ("gir", "conf1")
    assert (invitation.profile_dbid, invitation.dn) == (101, "7001")
    assert invitation.geo_location == "us"


def test_siprec() -> None:
    """A multipart body with recording metadata makes it SIPREC."""
    body = (
        f"--b\r\nContent-Type: application/sdp\r\n\r\n{SDP}\r\n"
        f"--b\r\nContent-Type: application/rs-metadata+xml\r\n\r\n{METADATA}\r\n--b--\r\n"
    )
    request = invite("sip:srs@127.0.0.1", "Require: siprec", kind="multipart/mixed;boundary=b",
                     body=body)  # fmt: skip
    invitation = read_invitation(request)
    assert invitation.kind == "siprec"
    assert invitation.siprec is not None
    assert invitation.siprec.speakers()["1"][0].aor == "tel:+1617"


def test_siprec_without_metadata() -> None:
    """A recording client that forgot its metadata is recorded all the same."""
    assert read("Require: siprec").kind == "siprec"


@pytest.mark.parametrize("uuid", ["", "short", UUID.lower(), UUID + "0", "../../../../etc/passwd"])
def test_odd_uuids_are_not_taken(uuid: str) -> None:
    """Only 32 of 0-9A-Z name a recording; anything else gets a new id."""
    assert read(f"X-Genesys-CallUUID: {uuid}").call_uuid == ""


@pytest.mark.parametrize("dbid", ["many", "-1", "1" * 5000, "1.5"])
def test_dbid_must_be_a_number(dbid: str) -> None:
    """A DBID that is no number is refused by the header's name."""
    with pytest.raises(BodyError, match="X-Genesys-RM-Application-dbid"):
        read(f"X-Genesys-RM-Application-dbid: {dbid}")


def test_body_of_another_kind() -> None:
    """A body that is neither a session description nor metadata is named."""
    with pytest.raises(UnknownBody, match="application/isup"):
        read_invitation(invite(kind="application/isup", body="01 00 49"))


def test_offer_without_a_codec_of_ours() -> None:
    """An offer that cannot be recorded is refused before anything begins."""
    with pytest.raises(NoCommonCodec):
        read_invitation(invite(body=SDP.replace("RTP/AVP 8", "RTP/AVP 18")))


def test_no_body_asks_for_our_offer() -> None:
    """An INVITE without a body is taken; the offer is ours to make."""
    invitation = read_invitation(invite(body=""))
    assert (invitation.offer, invitation.lines) == (None, ())


def test_parameters_take_their_known_names() -> None:
    """The key's case differs by release; the known spelling is used, empty ones go."""
    said = {"recorddn": "7001", "AGENTID": "a1", "custom": "x", "dnis": ""}
    assert clean_parameters(said) == {"recordDN": "7001", "agentId": "a1", "custom": "x"}


def test_id_is_not_a_parameter_to_be_said() -> None:
    """The recording's id cannot be taken over by whoever may send parameters; texts are bounded."""
    said = {"id": "other", "ID": "other", "n" * 100: "v" * 1000}
    assert clean_parameters(said) == {"n" * 64: "v" * 256}


@pytest.mark.parametrize(
    ("aor", "user"),
    [("sip:+1617@gw;user=phone", "+1617"), ("tel:+1617;ext=2", "+1617"), ("anna", "anna")],
)
def test_user_of_an_address(aor: str, user: str) -> None:
    """Numbers come out of sip: and tel: addresses alike."""
    assert address_user(aor) == user


def test_caller_that_cannot_be_read_is_no_caller() -> None:
    """A From with a parameter that is named "self" is an unknown caller, and no failure."""
    request = invite()
    request.headers.set("From", "<sip:+1@gw;self=1>;tag=a")
    assert "ani" not in read_invitation(request).parameters
