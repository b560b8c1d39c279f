"""The torture messages of RFC 4475, each by the name that its section gives it.

The vectors were written from what the sections say. What an agent does with each is in `EXPECTED`:
"call" (a new call is handed out), "response" (it belongs to no request of ours and is dropped),
"silence" (a response that cannot be read), or the code that is answered.
"""

from __future__ import annotations

import itertools

import pytest

from mcp_sim.invitation import UnknownBody, read_invitation
from mcp_sim.sip.framing import StreamFramer
from mcp_sim.sip.hop import Hop
from mcp_sim.sip.identity import AgentIdentity
from mcp_sim.sip.message import Malformed, SipRequest
from mcp_sim.sip.multipart import parse_parts
from mcp_sim.sip.user_agent import UserAgent
from tests.mcp_sim.sip.wire import (
    PEER,
    PEER_TCP,
    VECTORS,
    parsed_request,
    parsed_response,
    vector,
)

EXPECTED: dict[str, str] = {
    # §3.1.1: valid
    "wsinv": "481",  # its To has a tag of no call here
    "intmeth": "501",
    "esc01": "call",
    "escnull": "405",  # REGISTER is not for a recorder
    "esc02": "501",  # RE%47IST%45R is not REGISTER
    "lwsdisp": "200",
    "longreq": "call",
    "dblreq": "405",  # and the octets behind it are no second request
    "semiuri": "200",
    "transports": "200",
    "mpart01": "405",
    "unreason": "response",
    "noreason": "response",
    # §3.1.2: invalid
    "badinv01": "400",
    "clerr": "400",
    "ncl": "400",
    "scalar02": "400",
    "scalarlg": "silence",
    "quotbal": "400",
    "ltgtruri": "400",
    "lwsruri": "400",
    "lwsstart": "400",
    "trws": "400",
    "escruri": "400",
    "baddate": "call",  # Date is not looked at
    "regbadct": "405",
    "badaspec": "200",  # spaces that mislead nobody are passed over
    "baddn": "200",  # and so are commas in a display name
    "badvers": "505",
    "mismatch01": "400",
    "mismatch02": "400",
    "bigcode": "silence",
    # §3.2: the transaction layer
    "badbranch": "200",
    # §3.3: the application layer
    "insuf": "400",
    "unkscm": "416",
    "novelsc": "416",
    "unksm2": "405",
    "bext01": "420",
    "invut": "call",  # refused with 415 by whoever reads the body
    "regaut01": "405",
    "multi01": "400",
    "mcl01": "400",
    "bcast": "response",
    "zeromf": "200",
    "cparam01": "405",
    "cparam02": "405",
    "regescrt": "405",
    "sdp01": "call",  # its Accept is not looked at: better recorded than refused
    # §3.4: backward compatibility
    "inv2543": "call",
}


def torture(name: str) -> bytes:
    return vector(f"torture/{name}.sip")


def an_agent() -> UserAgent:
    tokens = itertools.count()
    return UserAgent(
        AgentIdentity(
            user_agent="test",
            port=5060,
            local_host=lambda _: "192.0.2.1",
            token=lambda: f"t{next(tokens)}",
        )
    )


def outcome(agent: UserAgent, data: bytes, source: Hop = PEER) -> str:
    """What the agent does with a datagram."""
    before = agent.counters.responses
    agent.receive(data, source, 1.0)
    answers = [transmit.data for transmit in agent.take_transmits()]
    assert len(answers) <= 1
    if agent.take_calls():
        assert not answers
        return "call"
    if answers:
        return answers[0].split()[1].decode()
    return "response" if agent.counters.responses > before else "silence"


def test_every_torture_message_is_here() -> None:
    """All 49 messages of the RFC are vectors, and each has its expectation."""
    assert len(EXPECTED) == 49
    assert {path.stem for path in (VECTORS / "torture").iterdir()} == set(EXPECTED)


@pytest.mark.parametrize("name", EXPECTED)
def test_torture_messages_get_what_they_deserve(name: str) -> None:
    """Each torture message is taken, answered or dropped as its section asks for."""
    assert outcome(an_agent(), torture(name)) == EXPECTED[name]


@pytest.mark.parametrize("name", EXPECTED)
def test_torture_messages_on_a_stream_harm_nobody(name: str) -> None:
    """On TCP too each is cut out and answered, or breaks its own connection only."""
    agent = an_agent()
    framer = StreamFramer()
    messages = [message for byte in torture(name) for message in framer.feed(bytes([byte]))]
    for message in messages:
        agent.receive(message, PEER_TCP, 1.0)
    assert messages or framer.partial


def test_tortuous_invite_means_what_a_tidy_one_means() -> None:
    """Folding, odd spacing and quotes within quotes come out as plain values (§3.1.1.1)."""
    request = parsed_request(torture("wsinv"))
    assert (request.cseq, request.max_forwards, request.from_tag) == (9, 68, "98asjd8")
    assert request.to_tag == "1918181833n"
    assert len(request.header_values("Via")) == 3
    assert request.header_values("NewFangledHeader") == [
        "newfangled value continued newfangled value"
    ]
    assert len(request.body) == 150


def test_semicolons_in_the_user_part_belong_to_the_user() -> None:
    """`user;par=u%40example.net` is one user, not a user with a parameter (§3.1.1.9)."""
    request = parsed_request(torture("semiuri"))
    assert request.uri.user == "user;par=u@example.net"
    assert not request.uri.parameters
    assert "multipart/signed" in request.header_values("Accept")


def test_escapes_are_read_once_and_only_where_they_are_escapes() -> None:
    """%3A in a user is a colon; in a method it is three characters (§3.1.1.3, §3.1.1.5)."""
    assert parsed_request(torture("esc01")).uri.user == "sips:user@example.com"
    assert parsed_request(torture("esc02")).method == "RE%47IST%45R"
    assert parsed_request(torture("escnull")).from_tag == "839923423"


def test_reason_phrases_may_hold_anything_or_nothing() -> None:
    """A phrase of other letters and an empty one are read (§3.1.1.12, §3.1.1.13)."""
    assert parsed_response(torture("unreason")).phrase.startswith("= 2**3 * 5**2 ")
    assert parsed_response(torture("noreason")).phrase == ""


def test_binary_parts_come_out_whole() -> None:
    """A multipart with all 256 octets in a part is taken apart without loss (§3.1.1.11)."""
    request = parsed_request(torture("mpart01"))
    parts = parse_parts(request.content_type, request.body)
    assert [part.body for part in parts] == [b"Hello", bytes(range(256))]


def test_unknown_body_is_refused_with_a_reason() -> None:
    """An INVITE whose body nobody knows is told apart: that is 415 (§3.3.6)."""
    with pytest.raises(UnknownBody):
        read_invitation(parsed_request(torture("invut")))


def test_requests_that_share_the_bare_cookie_are_two() -> None:
    """A branch that is the cookie alone identifies nothing: both are answered (§3.2.1)."""
    agent = an_agent()
    first = torture("badbranch")
    second = first.replace(b"badbranch.", b"another.")
    assert [outcome(agent, first), outcome(agent, second)] == ["200", "200"]
    assert agent.counters.requests == 2


@pytest.mark.parametrize(
    ("name", "via"),
    [
        ("badinv01", "SIP/2.0/UDP host1.example.com:5060;branch=z9hG4bK-badinv01"),
        ("badvers", "SIP/7.0/UDP c.example.com;branch=z9hG4bK-badvers"),
    ],
)
def test_via_with_a_flaw_still_leads_back(name: str, via: str) -> None:
    """Empty parameters and another version in the Via do not keep the refusal back."""
    with pytest.raises(Malformed) as caught:
        parsed_request(torture(name))
    lines = (caught.value.reply or b"").decode().split("\r\n")
    assert lines[1] == f"Via: {via};received={PEER.host}"


def test_known_parts_survive_unknown_ones() -> None:
    """Unknown transports, schemes and parameters leave the rest readable (§3.1.1.10, §3.3.4)."""
    vias = parsed_request(torture("transports")).header_values("Via")
    assert [via.split()[0].rpartition("/")[2] for via in vias] == [
        "UDP", "SCTP", "TLS", "UNKNOWN", "TCP",
    ]  # fmt: skip
    assert isinstance(parsed_request(torture("unksm2")), SipRequest)
