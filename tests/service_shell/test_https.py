"""A service by HTTPS: what it adds, what is no TLS on its port, and clients that never finish."""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import structlog
import uvloop

from service_shell import serving as serving_module
from service_shell.tls import ServerTls
from tests.service_shell.secured import believer, issue
from tests.service_shell.served import Reply, Service, parse, serving

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]

HALF_OPEN = 60
HELLO = bytes.fromhex("1603010200010001fc0303")  # the beginning of one that goes on for 512 bytes
GET = b"GET /livez HTTP/1.1\r\nHost: lab\r\nConnection: close\r\n\r\n"


async def said_by(service: Service, context: ssl.SSLContext, request: bytes) -> bytes:
    """Send bytes over TLS; return everything that comes until the end."""
    host, _, port = service.address.rpartition(":")
    async with asyncio.timeout(20):
        reader, writer = await asyncio.open_connection(host, int(port), ssl=context)
        try:
            writer.write(request)
            return await reader.read()
        finally:
            writer.close()


async def get(service: Service, context: ssl.SSLContext) -> Reply:
    """GET /livez by HTTPS."""
    return parse(await said_by(service, context, GET))


@pytest.fixture
async def secure(tmp_path: Path) -> AsyncIterator[Service]:
    """The small service, by HTTPS only."""
    async with serving(tls=ServerTls(issue(tmp_path))) as running:
        yield running


async def test_browsers_are_told_to_stay(secure: Service, tmp_path: Path) -> None:
    """An answer by HTTPS says that plain HTTP is over for this host, one by HTTP says nothing."""
    reply = await get(secure, believer(tmp_path))
    assert (reply.status, reply.body) == (200, b"ok")
    assert reply.headers["strict-transport-security"] == "max-age=86400"
    async with serving() as plain:
        assert "strict-transport-security" not in (await plain.ask("/livez")).headers


@pytest.mark.parametrize(
    "said", [GET, b"\0\1\2\3" * 100, b"\x16\x03\x01" + b"\xff" * 600, b"", HELLO]
)
async def test_what_is_no_tls(
    secure: Service, tmp_path: Path, caplog: pytest.LogCaptureFixture, said: bytes
) -> None:
    """Plain HTTP, noise and a client that leaves are hung up on, without a word in the log."""
    host, _, port = secure.address.rpartition(":")
    with structlog.testing.capture_logs() as records, caplog.at_level(logging.INFO):
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(said)
        writer.write_eof()
        async with asyncio.timeout(20):
            answer = await reader.read()
        assert not answer or answer[:1] == b"\x15"  # nothing, or an alert of TLS
        writer.close()
        assert (await get(secure, believer(tmp_path))).status == 200
    assert records == []
    assert caplog.records == []


async def half_open(service: Service, said: bytes) -> Streams:
    """A connection whose handshake is never finished."""
    host, _, port = service.address.rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(said)
    return reader, writer


async def test_unfinished_handshakes_hold_up_nobody(secure: Service, tmp_path: Path) -> None:
    """While sixty clients are silent in the middle of theirs, another one is answered."""
    held = [await half_open(secure, HELLO if n % 2 else b"") for n in range(HALF_OPEN)]
    assert (await get(secure, believer(tmp_path))).status == 200
    assert not any(reader.at_eof() for reader, _ in held), "they were gone before the answer"
    for _, writer in held:
        writer.close()
        await writer.wait_closed()


@pytest.mark.parametrize("said", [b"", HELLO])
async def test_an_unfinished_handshake_is_cut(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: bytes
) -> None:
    """A handshake may take a bounded time only."""
    monkeypatch.setattr(serving_module, "HANDSHAKE_SECONDS", 0.05)
    async with serving(tls=ServerTls(issue(tmp_path))) as service, asyncio.timeout(20):
        reader, writer = await half_open(service, said)
        assert await reader.read() == b""
        writer.close()


async def test_a_client_that_never_asks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After the handshake the time for the first request is bounded as without TLS."""
    monkeypatch.setattr(serving_module, "_FIRST_REQUEST_SECONDS", 0.05)
    async with serving(tls=ServerTls(issue(tmp_path))) as service:
        context = believer(tmp_path)
        for said in (b"", b"GET /livez HTTP/1.1\r\nX-Slow: "):
            assert await said_by(service, context, said) == b""


async def test_malformed_http_over_tls(secure: Service, tmp_path: Path) -> None:
    """What is no HTTP gets the same sentence as without TLS."""
    reply = parse(await said_by(secure, believer(tmp_path), b"\0\1\2\r\n\r\n"))
    assert (reply.status, reply.failure[0]) == (400, 2)


def test_on_the_loop_that_services_run_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """uvloop does the same: what is no TLS gets nothing, an unfinished handshake is cut."""
    monkeypatch.setattr(serving_module, "HANDSHAKE_SECONDS", 0.5)

    async def talk() -> None:
        async with serving(tls=ServerTls(issue(tmp_path))) as service, asyncio.timeout(30):
            for said in (GET, b"", HELLO):
                reader, writer = await half_open(service, said)
                answer = await reader.read()
                assert not answer or answer[:1] == b"\x15"
                writer.close()
            assert (await get(service, believer(tmp_path))).status == 200

    uvloop.run(talk())
