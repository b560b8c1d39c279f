"""Hostile XML in SIPREC and MSML bodies: refused by one sentence, at no cost, nothing fetched."""

from __future__ import annotations

import socket
import time
import tracemalloc
from collections.abc import Callable, Iterator

import pytest

from mcp_sim.sip.errors import BodyError
from mcp_sim.sip.msml import BAD_REQUEST, MsmlError, parse_commands
from mcp_sim.sip.siprec import RecordingSession
from mcp_sim.sip.xml_body import MAX_ATTRIBUTE_CHARS, MAX_ATTRIBUTES, MAX_BYTES, parse_xml
from tests.xml_bombs import bulky_xml, xml_bombs

NAMES = [*xml_bombs("a"), *bulky_xml("a")]
SPACE = ' xmlns="urn:ietf:params:xml:ns:recording:1"'


@pytest.fixture(scope="module")
def trap() -> Iterator[socket.socket]:
    """Where a fetched document would come from."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.setblocking(False)
        yield server


def hostile(root: str, attributes: str, trap: socket.socket) -> dict[str, bytes]:
    host, port = trap.getsockname()
    found = xml_bombs(root, attributes, listening=f"{host}:{port}") | bulky_xml(root, attributes)
    assert max(map(len, found.values())) < MAX_BYTES + 2000
    return found


def check(read: Callable[[bytes], object], body: bytes, trap: socket.socket) -> str:
    """See that a body is refused within bounds of time and memory; return the sentence."""
    tracemalloc.start()
    began = time.process_time()
    try:
        with pytest.raises((BodyError, MsmlError)) as refused:
            read(body)
        assert tracemalloc.get_traced_memory()[1] < 16 << 20
    finally:
        tracemalloc.stop()
    assert time.process_time() - began < 2.0
    with pytest.raises(BlockingIOError):
        trap.accept()
    if isinstance(refused.value, MsmlError):
        assert refused.value.code == BAD_REQUEST
    return str(refused.value)


@pytest.mark.parametrize("name", NAMES)
def test_siprec(name: str, trap: socket.socket) -> None:
    """No recording metadata expands an entity, reads a file, asks the network or grows."""
    sentence = check(RecordingSession.parse, hostile("recording", SPACE, trap)[name], trap)
    assert "root:" not in sentence


@pytest.mark.parametrize("name", NAMES)
def test_msml(name: str, trap: socket.socket) -> None:
    """Neither does any command."""
    check(parse_commands, hostile("msml", ' version="1.1"', trap)[name], trap)


def test_what_an_element_may_have() -> None:
    """Attributes up to the bounds are read; one more, or one character more, is refused."""
    most = " ".join(f'a{n}="b"' for n in range(MAX_ATTRIBUTES))
    assert len(parse_xml(f"<x {most}/>".encode(), "it").attributes) == MAX_ATTRIBUTES
    assert parse_xml(f'<x a="{"b" * MAX_ATTRIBUTE_CHARS}"/>'.encode(), "it").attributes
    for body in (f'<x {most} z="b"/>', f'<x a="{"b" * (MAX_ATTRIBUTE_CHARS + 1)}"/>'):
        with pytest.raises(BodyError, match="it has too many attributes, or too long ones"):
            parse_xml(body.encode(), "it")
