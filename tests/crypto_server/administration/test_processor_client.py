"""A processor that fails in every way: one sentence each, in time, and no password goes astray."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import aiohttp
import pytest
from aiohttp import web

from crypto_server.administration.errors import (
    AdministrationRefused,
    Conflict,
    ProcessorUnavailable,
    Unknown,
)
from crypto_server.administration.processor import AdministrationClient
from crypto_server.settings import ProcessorSettings
from service_shell.listening import bind_tcp, display

SECRET = "the account's password"


@dataclass
class Odd:
    """A server that answers everything in one way; `asked` counts."""

    status: int = 200
    body: bytes = b"{}"
    headers: dict[str, str] = field(default_factory=dict)
    silent: bool = False
    asked: int = 0
    url: str = ""
    over: asyncio.Event = field(default_factory=asyncio.Event)

    async def answer(self, _request: web.Request) -> web.Response:
        """Answer, or do not."""
        self.asked += 1
        if self.silent:
            await self.over.wait()
        return web.Response(status=self.status, body=self.body, headers=self.headers)


@pytest.fixture
async def odd() -> AsyncIterator[Odd]:
    """An odd server that is running."""
    odd = Odd()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", odd.answer)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    host, port = runner.addresses[0][:2]
    odd.url = f"http://{host}:{port}"
    yield odd
    odd.over.set()
    await runner.cleanup()


async def refusal(url: str, *, read_seconds: float = 10.0) -> AdministrationRefused:
    """Ask for the tenants; return what was refused."""
    settings = ProcessorSettings(url=url, user="crypto", read_seconds=read_seconds)
    async with aiohttp.ClientSession() as http:
        with pytest.raises(AdministrationRefused) as error:
            await AdministrationClient(settings, SECRET, http).tenants()
    assert SECRET not in str(error.value)
    return error.value


@pytest.mark.parametrize(
    ("status", "body", "kind", "sentence"),
    [
        (401, b"{}", ProcessorUnavailable, "refused the crypto server's account"),
        (403, b"{}", ProcessorUnavailable, "refused the crypto server's account"),
        (404, b'{"statusMessage": "there is none"}', Unknown, "there is none"),
        (404, b"<html>", ProcessorUnavailable, "the recording processor answered 404"),
        (409, b'{"statusMessage": "it is taken"}', Conflict, "it is taken"),
        (409, b'{"statusMessage": 5}', ProcessorUnavailable, "answered 409"),
        (500, b'{"statusMessage": "a trace"}', ProcessorUnavailable, "answered 500"),
        (200, b"[]", ProcessorUnavailable, "something else than was asked"),
        (200, b'{"tenants": [{"name": 1}]}', ProcessorUnavailable, "something else"),
        (200, b"\xff", ProcessorUnavailable, "something else"),
    ],
)
async def test_odd_answers(
    odd: Odd, status: int, body: bytes, kind: type[Exception], sentence: str
) -> None:
    """What the processor refuses with a sentence is passed on; everything else is its failure."""
    odd.status, odd.body = status, body
    error = await refusal(odd.url)
    assert type(error) is kind
    assert sentence in str(error)


async def test_redirect(odd: Odd) -> None:
    """A redirect is not followed: it would take our password somewhere else."""
    odd.status, odd.headers = 307, {"Location": f"{odd.url}/elsewhere"}
    assert "answered 307" in str(await refusal(odd.url))
    assert odd.asked == 1


async def test_endless_answer(odd: Odd) -> None:
    """An answer without an end is given up."""
    odd.body = b" " * (17 * 1024 * 1024)
    assert "is too long" in str(await refusal(odd.url))


async def test_silence(odd: Odd) -> None:
    """A processor that does not answer is not waited for for ever."""
    odd.silent = True
    assert "did not answer in time" in str(await refusal(odd.url, read_seconds=0.05))


async def test_nobody() -> None:
    """Where nothing listens, the sentence says so without the address."""
    sock = bind_tcp("127.0.0.1:0")
    url = f"http://{display(sock)}"
    sock.close()
    assert str(await refusal(url)) == "the recording processor cannot be reached"
