"""Sign-in, roles and errors: what every service answers to a client that may not, or cannot."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator

import pytest
import structlog

from service_shell.accounts import Account, Accounts
from service_shell.web import PasswordChecks, TooManyChecks
from tests.service_shell.served import HASH, Service, serving, sign_in


@pytest.fixture
async def service() -> AsyncIterator[Service]:
    """The small service."""
    async with serving() as running:
        yield running


async def test_open_paths_need_no_sign_in(service: Service) -> None:
    """Health is told to everybody, also with a wrong password."""
    assert (await service.ask("/livez")).body == b"ok"
    assert (await service.ask("/livez", sign_in("anna", "no"))).status == 200


@pytest.mark.parametrize(
    "header",
    [
        "X-None: 1", sign_in("anna", "no"), sign_in("nobody"), "Authorization: Bearer x",
        "Authorization: Basic", "Authorization: Basic !!", "Authorization: Basic é",
        "Authorization: Basic " + "A" * 6000, "Authorization:", sign_in("anna", "x" * 3000),
    ],
    ids=range(10),
)  # fmt: skip
async def test_everything_else_needs_one(service: Service, header: str) -> None:
    """No, malformed, wrong and over-long credentials get the same 401, also for unknown paths."""
    for path in ("/admin", "/nothing"):
        reply = await service.ask(path, header)
        assert reply.status == 401
        assert reply.failure == (3, "a valid name and password are needed")
        assert reply.headers["www-authenticate"] == 'Basic realm="test", charset="UTF-8"'


async def test_the_first_of_two_authorizations_counts_for_nothing(service: Service) -> None:
    """A right sign-in does not help behind a wrong one."""
    wrong_first = await service.ask("/admin", sign_in("ops", "no"), sign_in("ops"))
    assert wrong_first.status == 401


async def test_roles(service: Service) -> None:
    """One of the roles is enough; without one the answer names who lacks which."""
    assert (await service.ask("/admin", sign_in("ops"))).body == b"ops"
    reply = await service.ask("/admin", sign_in("anna"))
    assert reply.status == 403
    assert reply.failure == (5, "'anna' does not have the role admin or owner")


@pytest.mark.parametrize(
    ("path", "method", "body", "status", "code"),
    [
        ("/nothing", "GET", b"", 404, 6),
        ("/livez%0d%0aX:%20y", "GET", b"", 404, 6),
        ("/admin", "POST", b"", 405, 2),
        ("/body", "POST", b"x" * 1001, 413, 2),
        ("/broken", "GET", b"", 500, 4),
    ],
)
async def test_errors_are_json(
    service: Service, path: str, method: str, body: bytes, status: int, code: int
) -> None:
    """aiohttp's own errors and the unexpected have the vendor's form, and tell nothing inside."""
    reply = await service.ask(path, sign_in("ops"), method=method, body=body)
    assert reply.status == status
    assert reply.failure[0] == code
    assert reply.headers["content-type"].startswith("application/json")
    assert b"hunter2" not in reply.body
    assert b"Traceback" not in reply.body
    if status == 405:
        assert reply.headers["allow"] == "GET,HEAD"


async def test_what_was_not_expected_is_logged_with_its_trace(service: Service) -> None:
    """The client learns nothing; whoever reads the log learns where."""
    with structlog.testing.capture_logs() as records:
        await service.ask("/broken", sign_in("ops"))
    (record,) = [r for r in records if r["log_level"] == "error"]
    assert (record["method"], record["path"], record["exc_info"]) == ("GET", "/broken", True)


async def test_a_redirect_is_no_error(service: Service) -> None:
    """Only 4xx and 5xx become errors in JSON."""
    reply = await service.ask("/redirect", sign_in("ops"))
    assert (reply.status, reply.headers["location"]) == (302, "/livez")


@pytest.mark.parametrize(
    ("headers", "body"),
    [
        (("Content-Encoding: gzip", "Content-Length: 7"), b"notgzip"),
        (("Transfer-Encoding: chunked",), b"ZZ\r\n\r\n"),
        (("Transfer-Encoding: chunked",), b"5\r\nabc"),
    ],
    ids=["gzip that is none", "chunk without a size", "cut"],
)
async def test_a_broken_body_is_the_clients_fault(
    service: Service, headers: tuple[str, ...], body: bytes
) -> None:
    """A body that is not what its headers say gets 400 or a cut, never a record in the log."""
    head = ["POST /body HTTP/1.1", "Host: lab", sign_in("ops"), "Connection: close", *headers]
    host, _, port = service.address.rpartition(":")
    with structlog.testing.capture_logs() as records:
        async with asyncio.timeout(20):
            reader, writer = await asyncio.open_connection(host, int(port))
            writer.write("\r\n".join([*head, "", ""]).encode() + body)
            writer.write_eof()
            answer = await reader.read()
            writer.close()
    assert answer == b"" or answer.split(b" ")[1] == b"400"
    assert [r for r in records if r["log_level"] == "error"] == []


async def test_passwords_are_checked_a_few_at_a_time() -> None:
    """A flood of wrong passwords fills a bounded queue and leaves the threads to others."""
    checks = PasswordChecks(Accounts([Account("anna", [], password_hash=HASH)]))
    tried = [checks.account(sign_in("anna", f"no{n}").partition(" ")[2]) for n in range(80)]
    flood = asyncio.gather(*tried, return_exceptions=True)
    await asyncio.sleep(0)
    began = time.monotonic()
    assert await asyncio.to_thread(lambda: 42) == 42
    assert time.monotonic() - began < 1.0
    outcomes = await flood
    assert outcomes[:64] == [None] * 64
    assert all(isinstance(outcome, TooManyChecks) for outcome in outcomes[64:])


async def test_one_password_is_checked_once_for_all_who_wait() -> None:
    """Many first requests of one client cost one check, and none of them is refused."""
    counted: list[str | None] = []

    class Counting(Accounts):
        def check_header(self, authorization: str | None) -> Account | None:
            counted.append(authorization)
            return super().check_header(authorization)

    checks = PasswordChecks(Counting([Account("anna", [], password_hash=HASH)]))
    header = sign_in("anna").partition(" ")[2]
    found = await asyncio.gather(*(checks.account(header) for _ in range(200)))
    assert {account.name for account in found if account} == {"anna"}
    assert len(counted) == 1
