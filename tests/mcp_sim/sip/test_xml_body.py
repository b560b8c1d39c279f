"""XML bodies: their text as it was written, at a cost that grows with their length only."""

from __future__ import annotations

import time

import pytest

from mcp_sim.sip.errors import BodyError
from mcp_sim.sip.message import MessageLimits
from mcp_sim.sip.xml_body import MAX_BYTES, parse_xml


def test_text_around_children_is_joined() -> None:
    """Text in pieces (lines, entities, around children) belongs to its own element."""
    root = parse_xml(b"<a>one\ntwo<b>&lt;in&gt;</b>three</a>", "the body")
    assert root.text == "one\ntwothree"
    assert root.text_of("b") == "<in>"


def test_many_lines_cost_little() -> None:
    """The longest body, of empty lines only, takes less than 50 ms of processor time."""
    body = b"<a>" + b"\n" * (MAX_BYTES - 7) + b"</a>"
    took = []
    for _ in range(3):
        started = time.process_time()
        assert len(parse_xml(body, "the body").text) == MAX_BYTES - 7
        took.append(time.process_time() - started)
    assert min(took) < 0.05


def test_longest_document_is_the_longest_body() -> None:
    """No more is read than the body of a message may hold."""
    assert MessageLimits().body_bytes == MAX_BYTES
    with pytest.raises(BodyError, match="longer than"):
        parse_xml(b" " * (MAX_BYTES + 1), "the body")
