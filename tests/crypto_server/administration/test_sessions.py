"""Sessions: they idle out, are bounded and unguessable, and a restart ends them all."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crypto_server.administration.sessions import MOST_OF_ONE, MOST_SESSIONS, Sessions
from service_shell.accounts import Account
from tests.crypto_server.administration.desk import Desk, MovedClock, own

ADA = Account("ada", ["admin"])
TOOL = {"X-Requested-With": "tests"}


def sessions_at(clock: MovedClock) -> Sessions:
    """Sessions that idle out after half an hour."""
    return Sessions(1800, clock.seconds)


def test_idle_session_ends() -> None:
    """A session lives while it is used, and ends when it idles for longer than it may."""
    clock = MovedClock()
    sessions = sessions_at(clock)
    token = sessions.open(ADA)
    for _ in range(3):
        clock.pass_by(minutes=29)
        assert sessions.account(token) is ADA
    clock.pass_by(minutes=31)
    assert sessions.account(token) is None
    assert len(sessions) == 0


def test_sessions_are_bounded() -> None:
    """One more than there may be takes the place of the one that was used longest ago."""
    sessions = sessions_at(MovedClock())
    tokens = [sessions.open(Account(f"admin {n % 10}", ["admin"])) for n in range(MOST_SESSIONS)]
    assert sessions.account(tokens[0]) is not None, "it is the youngest again"
    sessions.open(ADA)
    assert len(sessions) == MOST_SESSIONS
    assert sessions.account(tokens[0]) is not None
    assert sessions.account(tokens[1]) is None


def test_one_account_does_not_take_all() -> None:
    """An account that opens many sessions loses its own, not another's."""
    sessions = sessions_at(MovedClock())
    other = sessions.open(Account("other", ["admin"]))
    first, second, *_ = [sessions.open(ADA) for _ in range(MOST_OF_ONE + 1)]
    assert len(sessions) == MOST_OF_ONE + 1
    assert sessions.account(first) is None
    assert sessions.account(second) is ADA
    assert sessions.account(other) is not None


def test_closed_session() -> None:
    """A closed session is over; closing again is no error."""
    sessions = sessions_at(MovedClock())
    token = sessions.open(ADA)
    assert sessions.close(token)
    assert not sessions.close(token)
    assert sessions.account(token) is None


@given(st.text(max_size=100))
def test_guessed_tokens(token: str) -> None:
    """No text opens a session, whatever characters it has."""
    sessions = sessions_at(MovedClock())
    known = sessions.open(ADA)
    assert sessions.account(token) is None
    assert sessions.account(known + token) is (None if token else ADA)


def test_tokens_have_256_bits() -> None:
    """Each token is another one, and long enough."""
    sessions = sessions_at(MovedClock())
    tokens = {sessions.open(ADA) for _ in range(100)}
    assert len(tokens) == 100
    assert {len(token) for token in tokens} == {43}


async def test_session_instead_of_a_password(desk: Desk) -> None:
    """Signed in once, the cookie is enough; it is for this path, this site and no script."""
    answer = await desk.ask("POST", "/lab/session")
    assert answer.json == {
        "statusCode": 0, "user": "ada", "roles": ["admin"], "tenants": ["*"], "idleSeconds": 1800,
    }  # fmt: skip
    said = answer.headers["Set-Cookie"]
    assert {"HttpOnly", "SameSite=Strict", "Path=/lab"} <= {
        each.strip() for each in said.split(";")
    }
    cookie = {"Cookie": f"rcs_session={answer.cookie}"}
    listed = await desk.ask("GET", "/lab/certificates", who=None, headers=cookie)
    assert listed.status == 200
    desk.clock.pass_by(minutes=31)
    listed = await desk.ask("GET", "/lab/certificates", who=None, headers=cookie)
    assert (listed.status, listed.json) == (
        401,
        {"statusCode": 3, "statusMessage": "RCS is not available"},
    )


async def test_after_a_restart(desk: Desk) -> None:
    """A cookie of an earlier process gets 401 "RCS is not available" until somebody signs in."""
    stale = {"Cookie": "rcs_session=mK0nq8pFQZ5n3o4u2pPq3F0u9t8E7d6c5b4a3Z2Y1X0"}
    for method, path in (
        ("GET", "/lab/certificates"),
        ("POST", "/lab/certificates"),
        ("DELETE", "/lab/session"),
        ("POST", "/lab/recordings/x/rewrap"),
    ):
        answer = await desk.ask(method, path, who=None, headers={**stale, **TOOL})
        assert (answer.status, answer.json["statusCode"]) == (401, 3)
        assert answer.sentence == "RCS is not available"
    assert answer.cookie is None, "only logging out forgets the cookie"
    again = await desk.ask("POST", "/lab/session", headers=stale)
    assert again.status == 200
    fresh = {"Cookie": f"rcs_session={again.cookie}"}
    assert (await desk.ask("GET", "/lab/certificates", who=None, headers=fresh)).status == 200


async def test_password_beside_a_stale_cookie(desk: Desk) -> None:
    """With a name and a password a cookie does not matter."""
    stale = {"Cookie": "rcs_session=nothing"}
    assert (await desk.ask("GET", "/lab/certificates", headers=stale)).status == 200


async def test_signing_out(desk: Desk) -> None:
    """Signed out, the cookie is worth nothing and is forgotten."""
    opened = await desk.ask("POST", "/lab/session")
    cookie = {"Cookie": f"rcs_session={opened.cookie}", **TOOL}
    closed = await desk.ask("DELETE", "/lab/session", who=None, headers=cookie)
    assert (closed.status, closed.cookie) == (200, "")
    assert (await desk.ask("GET", "/lab/certificates", who=None, headers=cookie)).status == 401


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 403),
        ({"Origin": "http://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": "http://[broken"}, 403),
        ({"X-Requested-With": "page"}, 404),
        ({"Origin": "own"}, 404),
    ],
)
async def test_foreign_pages(desk: Desk, headers: dict[str, str], status: int) -> None:
    """A change by cookie needs what the page of another site cannot send."""
    opened = await desk.ask("POST", "/lab/session")
    if headers.get("Origin") == "own":
        headers = {"Origin": desk.url}
    sent = {"Cookie": f"rcs_session={opened.cookie}", **headers}
    path = f"/lab/certificates/{own().recording().fingerprint}"
    answer = await desk.ask("DELETE", path, who=None, headers=sent)
    assert answer.status == status


async def test_foreign_page_with_a_remembered_password(desk: Desk) -> None:
    """A browser may add a password to what a foreign page sends: the origin tells them apart."""
    path = f"/lab/certificates/{own().recording().fingerprint}"
    foreign = {"Origin": "http://evil.example"}
    answer = await desk.ask("DELETE", path, headers=foreign)
    assert (answer.status, answer.json["statusCode"]) == (403, 3)
    assert (await desk.ask("DELETE", path, headers={"Origin": desk.url})).status == 404
    assert (await desk.ask("DELETE", path)).status == 404


async def test_cookie_is_for_the_administration(desk: Desk) -> None:
    """A session's cookie opens nothing outside ``/lab/``."""
    opened = await desk.ask("POST", "/lab/session")
    cookie = {"Cookie": f"rcs_session={opened.cookie}"}
    for path in ("/rcs/recordings/x/play/y.wav.bin", "/labs", "/lab"):
        answer = await desk.ask("GET", path, who=None, headers=cookie)
        assert (answer.status, answer.sentence) == (401, "a valid name and password are needed")


async def test_sessions_are_for_administrators(desk: Desk) -> None:
    """A listener gets no session; nobody gets one without a password."""
    assert (await desk.ask("POST", "/lab/session", who="anna")).status == 403
    assert (await desk.ask("POST", "/lab/session", who=None)).status == 401
    assert [line["outcome"] for line in desk.lines()] == ["forbidden"]


@pytest.mark.parametrize(
    "cookie",
    [
        "rcs_session=", 'rcs_session="', "rcs_session=\xff\xfe", "rcs_session=a; rcs_session=b",
        "rcs_session=" + "a" * 3000, "=;=;rcs_session=%00", "rcs_session=a\tb",
    ],
)  # fmt: skip
async def test_odd_cookies(desk: Desk, cookie: str) -> None:
    """Whatever a cookie looks like, it is refused, and nothing breaks."""
    answer = await desk.ask("GET", "/lab/certificates", who=None, headers={"Cookie": cookie})
    assert (answer.status, answer.json["statusCode"]) == (401, 3)
