"""The running of a server: what is no HTTP, hosts that cannot be, and an end that loses nothing."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator

import pytest
import structlog

from service_shell import serving as serving_module
from service_shell.serving import is_host
from tests.service_shell.served import Service, parse, serving, sign_in

SECRET = sign_in("anna", "hunter2")
MALFORMED = {
    "noise": b"\x00\x01\x02\r\n\r\n",
    "tls": bytes.fromhex("16030100a5010000a10303") + bytes(range(160)),
    "no method": b"GET\r\n\r\n",
    "unknown method": f"FOO /livez HTTP/1.1\r\nHost: x\r\n{SECRET}\r\n\r\n".encode(),
    "no host": b"GET /livez HTTP/1.1\r\n\r\n",
    "two hosts": b"GET /livez HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n",
    "zero in a secret": f"GET /livez HTTP/1.1\r\nHost: x\r\n{SECRET}\0\r\n\r\n".encode(),
    "huge header": b"GET /livez HTTP/1.1\r\nHost: x\r\nX: " + b"a" * 100_000 + b"\r\n\r\n",
    "many headers": b"GET /livez HTTP/1.1\r\nHost: x\r\n" + b"X: a\r\n" * 50_000 + b"\r\n",
    "length and chunks": (
        b"POST /body HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n"
    ),
    "length of letters": b"POST /body HTTP/1.1\r\nHost: x\r\nContent-Length: abc\r\n\r\n",
    "http/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "target of nonsense": b"GET http://[::1/livez HTTP/1.1\r\nHost: x\r\n\r\n",
}


@pytest.fixture
async def service() -> AsyncIterator[Service]:
    """The small service."""
    async with serving() as running:
        yield running


@pytest.mark.parametrize("request_", MALFORMED.values(), ids=MALFORMED.keys())
async def test_malformed_http(
    service: Service, request_: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    """One sentence in JSON that quotes nothing of what came, and no record in the log."""
    with structlog.testing.capture_logs() as records, caplog.at_level(logging.INFO):
        reply = parse(await service.raw(request_))
    assert reply.status == 400
    assert reply.failure[0] == 2
    assert "connection" not in reply.headers or reply.headers["connection"] == "close"
    for quoted in (SECRET.rpartition(" ")[2].encode(), b"hunter2", b"aaaa", b"FOO"):
        assert quoted not in reply.body
    assert [r for r in records if r["log_level"] in ("warning", "error")] == []
    assert caplog.records == []
    assert (await service.ask("/livez")).status == 200


@pytest.mark.parametrize(
    "host",
    ["lab", "lab:8801", "LAB.example.:80", "127.0.0.1", "[::1]", "[2001:db8::1]:443", "a_b-c~d",
     "lab:", "recording_processor:8802", "x%41"],
)  # fmt: skip
async def test_a_host_of_a_url(service: Service, host: str) -> None:
    """Names, addresses and ports as URLs have them are taken."""
    assert is_host(host)
    assert (await service.ask("/livez", host=host)).status == 200


@pytest.mark.parametrize(
    "host",
    ["", "a b", "[::1", "::1", "lab:99999", "lab:port", "user@lab", "a/b", 'a"b', "a\\b", "é",
     "a<b>", "a?b", "a#b", "%", "%zz", "a:1:2", "x" * 301],
)  # fmt: skip
async def test_a_host_that_is_none(service: Service, host: str) -> None:
    """Anything else, which could reach an answer as a part of a URL, is refused."""
    assert not is_host(host)
    reply = await service.ask("/livez", host=host)
    assert (reply.status, reply.failure[0]) == (400, 2)


async def test_answers_do_not_tell_versions(service: Service) -> None:
    """Neither right answers nor refusals say which software, in which version, gave them."""
    replies = [
        await service.ask("/livez"),
        await service.ask("/admin"),
        parse(await service.raw(MALFORMED["noise"])),
    ]
    for reply in replies:
        assert reply.headers["server"] == "reclab"


async def test_answers_are_no_pages(service: Service) -> None:
    """Whatever an answer holds, a browser neither runs nor frames it, nor guesses its type."""
    for path in ("/livez", "/admin"):
        headers = (await service.ask(path)).headers
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["x-frame-options"] == "DENY"
        assert headers["referrer-policy"] == "no-referrer"
        policy = headers["content-security-policy"]
        assert "default-src 'none'; frame-ancestors 'none'; sandbox" in policy


async def test_a_running_request_ends_before_the_service() -> None:
    """At the end nobody new is served, and an answer that has begun is sent to its last byte."""
    stopping = asyncio.Event()

    async def life(ready: asyncio.Future[Service]) -> None:
        async with serving(grace=20) as service:
            ready.set_result(service)
            await stopping.wait()

    ready: asyncio.Future[Service] = asyncio.get_running_loop().create_future()
    living = asyncio.create_task(life(ready))
    service = await ready
    asking = asyncio.create_task(service.ask("/slow", sign_in("ops")))
    await service.entered.wait()
    stopping.set()
    while True:
        try:
            await service.raw(b"")
        except OSError:
            break  # the door is closed
    assert not living.done()
    assert not asking.done()
    service.gate.set()
    assert (await asking).body == b"done"
    await living


async def test_the_grace_is_bounded() -> None:
    """A request that never ends holds up the end for the grace period only, and is cut."""
    async with serving(grace=0.1) as service:
        asking = asyncio.create_task(service.ask("/slow", sign_in("ops")))
        await service.entered.wait()
    assert (await asking).body == b"do"


@pytest.mark.parametrize("said", [b"", b"GET /livez HTTP/1.1\r\nHost: x\r\nX-Slow: "])
async def test_a_client_that_never_says_what_it_wants(
    monkeypatch: pytest.MonkeyPatch, said: bytes
) -> None:
    """Half a head, or nothing, holds a connection for a bounded time only."""
    monkeypatch.setattr(serving_module, "_FIRST_REQUEST_SECONDS", 0.05)
    async with serving() as service:
        assert await service.raw(said) == b""


async def test_a_slow_answer_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """Once the request is there, only its handler decides how long it takes."""
    monkeypatch.setattr(serving_module, "_FIRST_REQUEST_SECONDS", 0.05)
    async with serving() as service:
        asking = asyncio.create_task(service.ask("/slow", sign_in("ops")))
        await service.entered.wait()
        assert await service.raw(b"") == b""  # as long as an impatient one is waited for
        service.gate.set()
        assert (await asking).body == b"done"
