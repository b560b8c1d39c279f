"""MSML bodies that control a recorder."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mcp_sim.sip.errors import BodyError
from mcp_sim.sip.msml import (
    BAD_REQUEST,
    INVALID_VALUE,
    UNKNOWN_ELEMENT,
    MsmlError,
    MsmlResult,
    RecorderCommand,
    RecorderState,
    parse_commands,
)

COMMAND = b'<msml><modifyconference id="c">%s</modifyconference></msml>'


def test_command_with_parameters_is_read() -> None:
    """State and parameters come out, whichever way a parameter's value is written."""
    body = b"""<?xml version="1.0"?>
    <msml version="1.1"><createconference name="c1"><gvp:recorder state="START"><gvp:params>
      <gvp:param name="ani" value="+16175550101"/><gvp:param name="dnis" expr="800"/>
      <gvp:param name="agentId"> agent1 </gvp:param></gvp:params></gvp:recorder>
    </createconference>
    <modifyconference id="conf:c1/stream:x"><gvp:recorder state="pause"/></modifyconference>
    </msml>"""
    start, pause = parse_commands(body)
    assert start == RecorderCommand(
        "c1", "start", {"ani": "+16175550101", "dnis": "800", "agentId": "agent1"}, create=True
    )
    assert pause == RecorderCommand("c1", "pause")


def test_conference_may_be_made_without_a_recorder() -> None:
    """`createconference` alone is a command without a state."""
    assert parse_commands(b'<msml><createconference name="c"/></msml>') == (
        RecorderCommand("c", None, create=True),
    )


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", BAD_REQUEST),
        (b"<msml>", BAD_REQUEST),
        (b"<other/>", BAD_REQUEST),
        (b"<msml/>", BAD_REQUEST),
        (b"<msml><modifyconference/></msml>", BAD_REQUEST),
        (b"<msml><dialogstart/></msml>", UNKNOWN_ELEMENT),
        (
            COMMAND % b'<recorder state="x"/>',
            INVALID_VALUE,
        ),
        (
            COMMAND % b"<recorder><param/></recorder>",
            BAD_REQUEST,
        ),
        (
            COMMAND % (b"<recorder/>" * 20),
            BAD_REQUEST,
        ),
        (b'<!DOCTYPE x [<!ENTITY a "b">]><msml>&a;</msml>', BAD_REQUEST),
    ],
)
def test_commands_that_cannot_be_read_name_their_result(body: bytes, code: int) -> None:
    """Each kind of bad command raises with the result code of RFC 5707 §11."""
    with pytest.raises(MsmlError) as caught:
        parse_commands(body)
    assert caught.value.code == code


texts = st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Cs")), max_size=12).map(
    str.strip
)
states = st.sampled_from(["start", "pause", "resume", "stop", None])


@settings(deadline=None)
@given(
    texts.filter(lambda t: bool(t) and "/" not in t and not t.startswith("conf:")),
    states,
    st.dictionaries(texts.filter(bool), texts, max_size=3),
    st.booleans(),
)
def test_commands_survive_writing(
    conference: str, state: RecorderState | None, parameters: dict[str, str], create: bool
) -> None:
    """Whatever the names and values hold, a command that is written reads the same."""
    command = RecorderCommand(conference, state, parameters, create)
    assert parse_commands(command.encode()) == (command,)


@settings(deadline=None)
@given(
    st.integers(200, 599), texts, texts.filter(lambda t: "/" not in t and not t.startswith("conf:"))
)
def test_results_survive_writing(code: int, description: str, conference: str) -> None:
    """A result that is written reads the same."""
    result = MsmlResult(code, description, conference)
    assert MsmlResult.parse(result.encode()) == result


def test_answer_without_a_result_is_refused() -> None:
    """An MSML answer must carry a numeric response."""
    for body in (b"<msml/>", b"<msml><result response='ok'/></msml>", b"<msml><result/></msml>"):
        with pytest.raises(BodyError):
            MsmlResult.parse(body)
