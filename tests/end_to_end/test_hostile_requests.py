"""Hostile HTTP for every service over real sockets: answered or cut, never obeyed, no crash."""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from urllib.parse import urlsplit

import pytest

from tests.end_to_end.four_services import SERVICES, FourServices, sign_in

pytestmark = pytest.mark.slow

PATIENCE = 60.0
SLOW_CLIENTS = 60
HEALTH = dict.fromkeys(SERVICES, "/livez") | {"store": "/-/livez"}
TRAVERSALS = (
    "/../../../../etc/passwd",
    "/%2e%2e/%2e%2e/%2e%2e/%2e%2e/etc/passwd",
    "/..%2f..%2f..%2f..%2fetc%2fpasswd",
    "/%2e%2e%5c%2e%2e%5cetc%5cpasswd",
    "/%252e%252e/%252e%252e/etc/passwd",
    "/%c0%ae%c0%ae/%c0%ae%c0%ae/etc/passwd",
    "/recordings/..;/..;/etc/passwd",
    "/recordings/%00../../etc/passwd",
    "/console/assets/..%2f..%2fsettings.py",
    "/calls/..%2f..%2fetc%2fpasswd",
    "/rcs/recordings/..%2f..%2f/play/..%2f..%2fetc%2fpasswd",
    "//etc/passwd",
    "/file:///etc/passwd",
)
INJECTIONS = (
    "/none%0d%0aX-Injected:%20yes",
    "/recordings/none%0aX-Injected:%20yes",
    "/api/v2/recordings/none%0d%0a%0d%0a<html>?x=%0d%0aX-Injected:%20yes",
    "/lab/profiles?after=1%0d%0aX-Injected:%20yes",
    "/calls/none%0d%0aX-Injected:%20yes",
)
BODIES = {
    "mcp": "DELETE /calls/none",
    "store": "PROPFIND /recordings/",
    "processor": "POST /api/contact-centers/lab.example/recordings",
    "crypto": "POST /lab/certificates",
}


@contextmanager
def connected(services: FourServices, service: str) -> Iterator[socket.socket]:
    """Give a connection to a service."""
    where = urlsplit(services.urls[service])
    with socket.create_connection((where.hostname or "", where.port or 0), PATIENCE) as sock:
        yield sock


def exchange(services: FourServices, service: str, head: str, role: str = "admin") -> bytes:
    """Send the head of a request that asks to close; return all that comes back."""
    lines = [head, "Host: lab.example", "Connection: close"]
    lines += [f"{name}: {value}" for name, value in sign_in(role=role).items()]
    with connected(services, service) as sock:
        sock.sendall(("\r\n".join(lines) + "\r\n\r\n").encode("latin-1"))
        return everything(sock)


def everything(sock: socket.socket) -> bytes:
    """Return the answer: until its length, where it tells one, or the other end's close.

    After a refusal a server still waits for the rest of the request, so that its answer is read.
    """
    told = bytearray()
    try:
        while piece := sock.recv(65536):
            told += piece
            head, blank, body = bytes(told).partition(b"\r\n\r\n")
            length = re.search(rb"\r\ncontent-length: *(\d+)", head, re.IGNORECASE)
            if blank and length and len(body) >= int(length[1]):
                break
    except ConnectionResetError:
        pass  # cut, after what was said
    return bytes(told)


def status(answer: bytes) -> int:
    """Return the status of an answer."""
    assert answer.startswith(b"HTTP/1."), answer[:100]
    return int(answer[9:12])


@pytest.mark.parametrize("service", SERVICES)
@pytest.mark.parametrize("path", TRAVERSALS)
def test_no_path_leaves_its_place(services: FourServices, service: str, path: str) -> None:
    """Dots, their encodings and zero bytes reach no file: a 4xx, for readers and for writers."""
    for method in ("GET", "DELETE"):
        for role in ("admin", "mcp", "listener"):
            answer = exchange(services, service, f"{method} {path} HTTP/1.1", role)
            assert 400 <= status(answer) < 500, (method, role, answer[:200])
            assert b"root:" not in answer


@pytest.mark.parametrize("service", SERVICES)
@pytest.mark.parametrize("path", INJECTIONS)
def test_no_line_end_in_a_path_begins_a_header(
    services: FourServices, service: str, path: str
) -> None:
    """What is decoded from a path or a query never becomes a header or a body of its own."""
    answer = exchange(services, service, f"GET {path} HTTP/1.1")
    head = answer.partition(b"\r\n\r\n")[0].lower()
    assert 400 <= status(answer) < 500
    assert b"x-injected" not in head


@pytest.mark.parametrize("service", SERVICES)
@pytest.mark.parametrize(
    "line",
    ["X-A: b\rX-Injected: yes", "X-A: \0", "X A: b", " folded: b", "Content-Length: 1, 2",
     "Transfer-Encoding: chunked\r\nContent-Length: 3", "Content-Length: -1"],
)  # fmt: skip
def test_a_header_that_is_none_is_400(services: FourServices, service: str, line: str) -> None:
    """Bare line ends, zeros, folding and contradicting lengths are refused, not guessed at."""
    answer = exchange(services, service, f"GET {HEALTH[service]} HTTP/1.1\r\n{line}")
    assert status(answer) == 400, answer[:200]


@pytest.mark.parametrize("service", SERVICES)
def test_what_is_too_large_is_refused_before_it_is_sent(
    services: FourServices, service: str
) -> None:
    """A long target, a long header, too many headers, a body of a terabyte: a 4xx at once."""
    health = HEALTH[service]
    for head in (
        f"GET {health}?{'a' * 100_000} HTTP/1.1",
        f"GET {health} HTTP/1.1\r\nX-Long: {'a' * 100_000}",
        f"GET {health} HTTP/1.1" + "\r\nX-Many: a" * 20_000,
        (
            f"{BODIES[service]} HTTP/1.1\r\nContent-Type: application/json\r\n"
            f"Content-Length: {1 << 40}"
        ),
    ):
        for role in ("admin", "mcp"):
            answer = exchange(services, service, head, role)
            assert 400 <= status(answer) < 500, (head[:60], answer[:200])


@pytest.mark.parametrize("service", SERVICES)
def test_slow_clients_hold_up_nobody(services: FourServices, service: str) -> None:
    """With many half-open heads and bodies around it, a request is answered."""
    body = (
        f"{BODIES[service]} HTTP/1.1\r\nHost: lab.example\r\nContent-Length: 1000\r\n"
        f"Content-Type: application/json\r\n"
        f"Authorization: {sign_in(role='mcp')['Authorization']}\r\n\r\n{{"
    )
    with ExitStack() as slow:
        for number in range(SLOW_CLIENTS):
            sock = slow.enter_context(connected(services, service))
            sock.sendall(body.encode() if number % 2 else b"GET /livez HTTP/1.1\r\nHost: l")
        for _ in range(10):
            answer = exchange(services, service, f"GET {HEALTH[service]} HTTP/1.1")
            assert status(answer) == 200
    assert services.alive()
