"""Recording metadata: who is heard on which stream."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mcp_sim.sip.errors import BodyError
from mcp_sim.sip.multipart import split_body
from mcp_sim.sip.siprec import (
    CommunicationSession,
    MediaStream,
    Participant,
    RecordingSession,
    recording_body,
)
from tests.mcp_sim.sip.wire import vector


def metadata(name: str) -> RecordingSession:
    return RecordingSession.parse(vector(f"metadata/{name}.xml"))


def speakers(session: RecordingSession) -> dict[str, list[str]]:
    return {label: [p.aor for p in who] for label, who in session.speakers().items()}


def test_speakers_are_found_by_label() -> None:
    """The association decides who is heard on a label, not the order of anything."""
    session = metadata("complete")
    assert speakers(session) == {"96": ["tel:+16175550101"], "97": ["sip:7001@example.com"]}
    assert session.participants["agent-1"].name == "Agent <One>"
    (call,) = session.sessions.values()
    assert call.sip_session_id.startswith("ab30317f1a784dc48ff824d0d3715d86")
    assert call.group == "7+OTCyoxTmqmqyA/1weDAg=="


def test_older_drafts_and_undeclared_prefixes_are_read() -> None:
    """Participants with their own send, invented prefixes and a late XML declaration are read."""
    session = metadata("older_draft")
    assert speakers(session) == {
        "1": ["sip:2014@sbc.example.com"],
        "2": ["sip:+12125550199@sbc.example.com"],
    }


def test_partial_updates_are_merged() -> None:
    """After a transfer the new agent is heard on the old agent's stream."""
    session = metadata("complete").updated(metadata("partial"))
    assert speakers(session) == {"96": ["tel:+16175550101"], "97": ["sip:7002@example.com"]}
    assert set(session.participants) == {"agent-1", "agent-2", "customer-1"}
    assert metadata("partial").updated(metadata("complete")) == metadata("complete")


def test_several_speakers_on_one_stream() -> None:
    """A mixed stream belongs to everybody who sends it; a stream without sender to nobody."""
    session = RecordingSession(
        participants={"a": Participant("a", "sip:a@h")},
        streams={"s": MediaStream("s", "1"), "t": MediaStream("t", "2")},
        sends={"a": ("s",), "unknown": ("s", "nowhere")},
    )
    assert speakers(session) == {"1": ["sip:a@h", ""]}


def test_invite_body_holds_both_parts() -> None:
    """A recording client's body carries SDP and metadata that read the same."""
    session = RecordingSession(
        sessions={"c": CommunicationSession("c", "0123", "g")},
        participants={
            "p1": Participant("p1", "tel:+1", "A & <B>\x01"),
            "p2": Participant("p2", 'sip:"x"@h'),
        },
        streams={"s1": MediaStream("s1", "1", "c"), "s2": MediaStream("s2", "2", "c")},
        sends={"p1": ("s1",), "p2": ("s2",)},
        receives={"p1": ("s2",), "p2": ("s1",)},
    )
    content_type, body = recording_body(b"v=0\r\n", session)
    bodies = split_body(content_type, body)
    assert bodies.sdp == b"v=0\r\n"
    assert bodies.rs_metadata is not None
    read = RecordingSession.parse(bodies.rs_metadata)
    assert read.participants["p1"].name == "A & <B>"
    assert (read.sends, read.receives) == (session.sends, session.receives)
    assert (read.streams, read.sessions) == (session.streams, session.sessions)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<recording>",
        b"<other/>",
        b"<recording><participant/></recording>",
        b"<recording><stream stream_id=' '/></recording>",
        b'<!DOCTYPE r [<!ENTITY a "aaaa">]><recording><label>&a;</label></recording>',
        b'<?xml version="1.0" encoding="no-such"?><recording/>',
        b"<recording>" + b"<a/>" * 6000 + b"</recording>",
        b"<recording>" + b"<participant participant_id='x'/>" * 900 + b"</recording>",
        b"<a>" * 50 + b"</a>" * 50,
        b"<recording>" + b" " * 300_000 + b"</recording>",
    ],
)
def test_metadata_that_cannot_be_used_is_refused(body: bytes) -> None:
    """Broken, hostile, nameless and too large documents raise BodyError."""
    with pytest.raises(BodyError):
        RecordingSession.parse(body)


pieces = st.sampled_from(
    [
        "<recording>",
        "</recording>",
        "<participant participant_id='p'>",
        "</participant>",
        "<x:stream x:stream_id='s'><label>1</label></x:stream>",
        "<participantstreamassoc participant_id='p'><send>s</send></participantstreamassoc>",
        "<nameID aor='sip:a'/>",
        "&amp;",
        "<![CDATA[x]]>",
    ]
)


@settings(deadline=None)
@given(st.lists(pieces | st.text(max_size=8), max_size=14).map("".join))
def test_any_document_is_read_or_refused(text: str) -> None:
    """No text makes the reader raise anything but BodyError, and what is read can be written."""
    try:
        session = RecordingSession.parse(text.encode("utf-8", "replace"))
    except BodyError:
        return
    assert RecordingSession.parse(session.encode()).speakers() == session.speakers()
