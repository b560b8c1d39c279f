"""Plans, events and preambles that are not what they claim to be."""

from __future__ import annotations

import struct
from collections.abc import Callable

import msgspec
import pytest

from mcp_sim.recording.journal.frames import MAGIC, JournalError, decode_preamble
from mcp_sim.recording.plan import PlanError, decode_event, decode_plan, encode_plan
from tests.mcp_sim.recording.journals import a_plan

DEEP = b"\x91" * 100_000 + b"\xc0"
"""MessagePack: lists in lists, deeper than can be followed."""


@pytest.mark.parametrize("decode", [decode_plan, decode_event])
def test_nesting_without_end_is_a_plan_error(decode: Callable[[bytes], object]) -> None:
    """A value of an unknown field that is nested too deep is refused like any other fault."""
    tag = b"\xa4type\xa5ended" if decode is decode_event else b"\xa1a\xc0"
    with pytest.raises(PlanError):
        decode(b"\x82" + tag + b"\xa1x" + DEEP)


@pytest.mark.parametrize("change", [{"node": "no hex"}, {"segment": 0}])
def test_serial_that_is_none_is_a_plan_error(change: dict[str, object]) -> None:
    """A plan whose media serial cannot be one is refused like any other fault."""
    plan = msgspec.msgpack.decode(encode_plan(a_plan()))
    plan["serial"] |= change
    with pytest.raises(PlanError, match="cannot be read"):
        decode_plan(msgspec.msgpack.encode(plan))


def test_preamble_nested_without_end_is_a_journal_error() -> None:
    """A journal's beginning is in clear, so it may hold anything; it is refused as damaged."""
    body = b"\x81\xa1x" + DEEP
    with pytest.raises(JournalError, match="damaged"):
        decode_preamble(MAGIC + struct.pack("<I", len(body)) + body)
