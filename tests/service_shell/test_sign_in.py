"""Guessing passwords: 429 after so many failures, and nobody else is locked out by it."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

import pytest

from service_shell.accounts import Account, Accounts, hash_password
from service_shell.sign_in import Guesses, SignInSettings, TooManyGuesses
from service_shell.web import PasswordChecks
from tests.service_shell.served import serving, sign_in


@dataclass
class Clock:
    """Monotonic seconds that a test sets."""

    now: float = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def checks(clock: Clock) -> PasswordChecks:
    """Five failures at once, and as many again in 50 s."""
    accounts = Accounts([Account("anna", [], password_hash=hash_password("right"))], clock=clock)
    return PasswordChecks(accounts, Guesses(SignInSettings(failures=5, seconds=50.0), clock=clock))


def header(password: str, name: str = "anna") -> str:
    return sign_in(name, password).partition(" ")[2]


async def fail(checks: PasswordChecks, times: int, host: str = "192.0.2.1") -> None:
    """Guess wrongly, so often."""
    for number in range(times):
        assert await checks.account(header(f"wrong {number}", f"name {number}"), host) is None


async def test_too_many_failures(checks: PasswordChecks, clock: Clock) -> None:
    """Names may vary, the address counts; after the time that is told there is one more try."""
    await fail(checks, 5)
    with pytest.raises(TooManyGuesses) as refused:
        await checks.account(header("wrong"), "192.0.2.1")
    assert refused.value.seconds == 10
    clock.now += 9.0
    with pytest.raises(TooManyGuesses):
        await checks.account(header("right"), "192.0.2.1")
    clock.now += 1.0
    assert await checks.account(header("right"), "192.0.2.1") is not None


async def test_other_addresses_go_on(checks: PasswordChecks) -> None:
    """Who guesses holds up only who comes from the same address."""
    await fail(checks, 5)
    assert await checks.account(header("right"), "192.0.2.2") is not None


async def test_who_was_right_is_never_held_up(checks: PasswordChecks, clock: Clock) -> None:
    """Behind the guesser's address too, and long after the password was verified."""
    assert await checks.account(header("right"), "192.0.2.1") is not None
    for _ in range(3):
        await fail(checks, 5)
        with pytest.raises(TooManyGuesses):
            await checks.account(header("wrong"), "192.0.2.1")
        assert await checks.account(header("right"), "192.0.2.1") is not None
        clock.now += 3600.0


async def test_what_was_right_elsewhere_is_held_up(checks: PasswordChecks, clock: Clock) -> None:
    """Else a guesser would be told at any pace when a guess is the password that somebody uses."""
    assert await checks.account(header("right"), "192.0.2.2") is not None
    await fail(checks, 5)
    with pytest.raises(TooManyGuesses):
        await checks.account(header("right"), "192.0.2.1")
    assert await checks.account(header("right"), "192.0.2.2") is not None
    clock.now += 10.0
    assert await checks.account(header("right"), "192.0.2.1") is not None


async def test_a_check_of_another_address_is_not_joined(checks: PasswordChecks) -> None:
    """A guess does not ride on somebody's sign-in at the same moment."""
    await fail(checks, 5)
    hosts = ("192.0.2.2", "192.0.2.1")
    tried = [checks.account(header("right"), host) for host in hosts]
    theirs, guess = await asyncio.gather(*tried, return_exceptions=True)
    assert getattr(theirs, "name", "") == "anna"
    assert isinstance(guess, TooManyGuesses)


async def test_right_again_gives_nothing_back(checks: PasswordChecks, clock: Clock) -> None:
    """Somebody who signs in for hours is no source of tries for a guesser of the same address."""
    for _ in range(3):
        assert await checks.account(header("right"), "192.0.2.1") is not None
        clock.now += 100.0
    await fail(checks, 5)
    assert await checks.account(header("right"), "192.0.2.1") is not None
    with pytest.raises(TooManyGuesses):
        await checks.account(header("wrong"), "192.0.2.1")


async def test_right_passwords_cost_no_tries(checks: PasswordChecks, clock: Clock) -> None:
    """A new right password takes none of the failures that are free."""
    await fail(checks, 4)
    assert await checks.account(header("right"), "192.0.2.1") is not None
    await fail(checks, 1)
    with pytest.raises(TooManyGuesses):
        await checks.account(header("wrong"), "192.0.2.1")


async def test_guesses_at_once_count_before_they_are_checked(checks: PasswordChecks) -> None:
    """A flood at one moment gets no more tries than one after the other."""
    tried = [checks.account(header(f"no {n}"), "192.0.2.1") for n in range(40)]
    outcomes = await asyncio.gather(*tried, return_exceptions=True)
    assert outcomes.count(None) == 5
    assert sum(isinstance(outcome, TooManyGuesses) for outcome in outcomes) == 35


async def test_what_is_no_sign_in_is_no_guess(checks: PasswordChecks) -> None:
    """No header, and what is no name and password, cost nothing: a browser begins without any."""
    for _ in range(20):
        assert await checks.account(None, "192.0.2.1") is None
        assert await checks.account("Basic !!", "192.0.2.1") is None
    assert await checks.account(header("right"), "192.0.2.1") is not None


async def test_answer() -> None:
    """429 with Retry-After and one sentence; health stays open; 0 switches it off."""
    async with serving(sign_in_rule=SignInSettings(failures=2, seconds=600.0)) as service:
        for expected in (401, 401, 429, 429):
            reply = await service.ask("/admin", sign_in("anna", f"no {expected}"))
            assert reply.status == expected
        assert 0 < int(reply.headers["retry-after"]) <= 300
        assert reply.failure == (3, "too many sign-ins from this address have failed")
        assert (await service.ask("/livez", sign_in("anna", "no"))).status == 200
        assert (await service.ask("/admin")).status == 401
    async with serving(sign_in_rule=SignInSettings(failures=0)) as service:
        for number in range(5):
            assert (await service.ask("/admin", sign_in("anna", f"no {number}"))).status == 401
