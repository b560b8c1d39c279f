"""Which calls a load run places, when, with which numbers: a pure function of its options.

The same options and seed give the same calls, identities included. Nothing is sent here.
"""

from __future__ import annotations

import random
import re
import string
from collections.abc import Iterator
from typing import Final, Literal, TypeAlias

import msgspec

from mcp_sim.load.g711 import Law
from mcp_sim.load.impairments import Impairments
from mcp_sim.load.signature import Leg
from mcp_sim.rtp.impairment import ImpairmentError

Signalling: TypeAlias = Literal["siprec", "gir", "plain"]
Arrivals: TypeAlias = Literal["even", "poisson"]

MOST_CALLS: Final = 1_000_000
LONGEST_HOLD: Final = 24 * 3600.0
_UUID_LETTERS: Final = string.digits + string.ascii_uppercase
_NUMBER_PATTERN: Final = re.compile(r"\+?[0-9#]{1,32}")


class ScenarioError(ValueError):
    """An option of the load run makes no sense; the sentence names it."""


class Scenario(msgspec.Struct, frozen=True, kw_only=True):
    """What a load run does. Times are seconds, `rate` is calls per second.

    In `caller`, `dialed` and `agent` each ``#`` is a digit of the call's running number.
    """

    calls: int = 1
    rate: float = 1.0
    hold: float = 10.0
    signalling: Signalling = "siprec"
    codec: Law = "pcmu"
    arrivals: Arrivals = "even"
    concurrency: int = 2000
    stagger: float = 0.0
    """GIR: how long after the first leg's answer the second leg is placed; 0: both speak at once,
    when both are answered."""
    seed: int = 0
    caller: str = "+1617555####"
    dialed: str = "800555####"
    agent: str = "7###"
    profile_dbid: int | None = None
    impairments: Impairments = Impairments()

    def check(self) -> None:
        """Raise `ScenarioError` for the first option that makes no sense."""
        _require(1 <= self.calls <= MOST_CALLS, f"--calls must be between 1 and {MOST_CALLS}")
        _require(0 < self.rate <= 10_000, "--rate must be above 0 and at most 10000 per second")
        _require(0 < self.hold <= LONGEST_HOLD, "--hold must be above 0 and at most a day")
        _require(self.concurrency >= 1, "--concurrency must be at least 1")
        _require(0 <= self.stagger <= LONGEST_HOLD, "--stagger must not be negative")
        _require(
            not self.stagger or self.signalling == "gir",
            "--stagger is for --signalling gir, where each leg has an INVITE of its own",
        )
        for option, pattern in (
            ("--caller", self.caller),
            ("--dialed", self.dialed),
            ("--agent", self.agent),
        ):
            _require(
                _NUMBER_PATTERN.fullmatch(pattern) is not None,
                f"{option} {pattern!r} is not a number with # for digits",
            )
        _require(
            self.profile_dbid is None or self.profile_dbid > 0, "--profile-dbid must be above 0"
        )
        self._check_impairments()

    def _check_impairments(self) -> None:
        _require(
            self.impairments.agent is None or "agent" in self.legs,
            "--impair agent: a call of --signalling plain has no agent",
        )
        try:
            self.impairments.check()
        except ImpairmentError as error:
            raise ScenarioError(f"--impair {error}") from None

    @property
    def legs(self) -> tuple[Leg, ...]:
        """The legs of each call: a plain call has its customer only."""
        return ("customer",) if self.signalling == "plain" else ("customer", "agent")


class PlannedCall(msgspec.Struct, frozen=True, kw_only=True):
    """One call to place: `at` seconds after the run began."""

    number: int
    at: float
    identity: str
    """The call's UUID, 32 of 0-9A-Z: X-Genesys-CallUUID, and the seed of its signatures."""
    connection_id: str
    """16 hex digits."""
    caller: str
    dialed: str
    agent: str
    legs: tuple[Leg, ...]
    """In the order in which they are offered or invited: the customer is not always the first."""


def plan_calls(scenario: Scenario) -> Iterator[PlannedCall]:
    """Yield the calls in the order of their times."""
    draw = random.Random(f"reclab load {scenario.seed}")  # noqa: S311  # repeatable, no secret
    at = 0.0
    for number in range(scenario.calls):
        legs = scenario.legs
        if draw.random() < 0.5:
            legs = legs[::-1]
        yield PlannedCall(
            number=number,
            at=at,
            identity="".join(draw.choices(_UUID_LETTERS, k=32)),
            connection_id=f"{draw.getrandbits(64):016x}",
            caller=fill_number(scenario.caller, number),
            dialed=fill_number(scenario.dialed, number),
            agent=fill_number(scenario.agent, number),
            legs=legs,
        )
        even = 1 / scenario.rate
        at += even if scenario.arrivals == "even" else draw.expovariate(scenario.rate)


def fill_number(pattern: str, number: int) -> str:
    """Put the last digits of `number` in place of each ``#``.

    >>> fill_number("+1617555####", 42)
    '+16175550042'
    """
    places = pattern.count("#")
    digits = iter(f"{number:0{places}d}"[-places:] if places else "")
    return "".join(next(digits) if letter == "#" else letter for letter in pattern)


def _require(holds: bool, otherwise: str) -> None:
    if not holds:
        raise ScenarioError(otherwise)
