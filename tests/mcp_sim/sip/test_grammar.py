"""The foreign grammar behind its door: one kind of error, and nothing that stays behind it."""

from __future__ import annotations

import gc
import tracemalloc
from collections.abc import Callable

import pytest

from mcp_sim.sip import grammar
from mcp_sim.sip.message import Malformed, parse_message
from tests.mcp_sim.sip.wire import PEER, message_text


@pytest.mark.parametrize(
    ("parse", "text"),
    [
        (grammar.parse_via, "SIP/2.0/UDP h;self=1"),
        (grammar.parse_via, "SIP/2.0/UDP h;;"),
        (grammar.parse_cseq, "one INVITE"),
        (grammar.parse_address, "<sip:a@h;self=1>"),
        (grammar.parse_address, "<sip:a@h>,"),
        (grammar.parse_uri, "sip:a@h;self"),
        (grammar.parse_uri, "http://h"),
    ],
)
def test_what_is_not_valid_is_a_value_error(parse: Callable[[str], object], text: str) -> None:
    """Whatever the grammar raises, here it is a ValueError."""
    with pytest.raises(ValueError, match="not valid"):
        parse(text)


def test_bad_messages_leave_nothing_behind() -> None:
    """A thousand messages with a bad Via take no memory that is not given back."""
    data = message_text(via="SIP/2.0/UDP 192.0.2.10:port")

    def read(times: int) -> None:
        for _ in range(times):
            with pytest.raises(Malformed):
                parse_message(data, PEER)

    read(10)
    gc.collect()
    tracemalloc.start()
    try:
        read(1000)
        gc.collect()
        assert tracemalloc.get_traced_memory()[0] < 100_000
    finally:
        tracemalloc.stop()
