"""What one HTTP request may be, in every service: lines, headers, body; and when to retry."""

from __future__ import annotations

import gzip
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.service_shell.served import Service, parse, serving, sign_in

ROOT = Path(__file__).parent.parent.parent
SERVICES = ("mcp_sim", "webdav_store", "recording_processor", "crypto_server")
UNREADABLE = (2, "the request is not HTTP that can be read")


@pytest.fixture
async def service() -> AsyncIterator[Service]:
    """The small service; bodies of more than 1000 bytes are too large for it."""
    async with serving() as running:
        yield running


async def test_a_request_line_has_8190_bytes(service: Service) -> None:
    """A target near the bound is looked up; one beyond it is refused and not repeated."""
    assert (await service.ask("/" + "a" * 8000, sign_in("ops"))).status == 404
    reply = await service.ask("/" + "a" * 8200, sign_in("ops"))
    assert (reply.status, reply.failure) == (400, UNREADABLE)


@pytest.mark.parametrize("line", ["X: {}", "{}: x"])
async def test_a_header_has_8190_bytes(service: Service, line: str) -> None:
    """In its value as in its name."""
    assert (await service.ask("/livez", line.format("a" * 8000))).status == 200
    reply = await service.ask("/livez", line.format("a" * 8200))
    assert (reply.status, reply.failure) == (400, UNREADABLE)


async def test_a_request_has_128_headers(service: Service) -> None:
    """Two of which are the host and the connection."""
    assert (await service.ask("/livez", *["X: 1"] * 126)).status == 200
    reply = await service.ask("/livez", *["X: 1"] * 127)
    assert (reply.status, reply.failure) == (400, UNREADABLE)


async def test_trailers_are_headers_too(service: Service) -> None:
    """What follows a chunked body is bounded as what goes before it."""
    head = f"POST /body HTTP/1.1\r\nHost: lab\r\nConnection: close\r\n{sign_in('ops')}\r\n"
    body = "Transfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n" + "X: 1\r\n" * 1000 + "\r\n"
    assert parse(await service.raw((head + body).encode())).status == 400


async def test_a_packed_body_counts_unpacked(service: Service) -> None:
    """A few bytes that unpack to ten million are 413, and never unpacked whole."""
    for packed, status in (
        (gzip.compress(b"a" * 1000), 200),
        (gzip.compress(bytes(10_000_000)), 413),
    ):
        reply = await service.ask(
            "/body", sign_in("ops"), "Content-Encoding: gzip", method="POST", body=packed
        )
        assert reply.status == status


@pytest.mark.parametrize("status", [429, 503, 507])
@pytest.mark.parametrize("way", ["raised", "answered", "said"])
async def test_every_limit_says_when_to_try_again(service: Service, status: int, way: str) -> None:
    """However a handler refuses, Retry-After goes with it; what it says itself stays."""
    reply = await service.ask(f"/refusing/{status}/{way}", sign_in("ops"))
    assert reply.status == status
    assert reply.headers["retry-after"] == ("77" if way == "said" else "5")


async def test_other_answers_do_not(service: Service) -> None:
    """A fault that time does not mend asks nobody to come again."""
    assert "retry-after" not in (await service.ask("/broken", sign_in("ops"))).headers


@pytest.mark.parametrize("package", SERVICES)
def test_every_service_is_served_that_way(package: str) -> None:
    """No service runs a server of its own, around these bounds."""
    texts = [path.read_text(encoding="utf-8") for path in (ROOT / package).rglob("*.py")]
    own = ("AppRunner", "SockSite", "TCPSite", "UnixSite", "run_app", "ServerRunner")
    assert not [word for word in own for text in texts if word in text]
    assert any("serve(" in text for text in texts)
