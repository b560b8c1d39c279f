"""One run of a fault plan in one service: which operation is struck by which fault.

Pure: `now` is an argument. Each fault draws from a stream of its own, once for each operation that
it could strike, so that the n-th of them is struck, or not, whatever happens elsewhere.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable
from typing import TypeVar

import msgspec

from service_shell.faults.fault import Fault, kind_of
from service_shell.faults.plan import FaultPlan

F = TypeVar("F", bound=Fault)
_KEPT_STRIKES = 100


class FaultCount(msgspec.Struct, frozen=True):
    """How many operations a fault could have struck since the run began, and how many it did."""

    seen: int
    struck: int


class Strike(msgspec.Struct, frozen=True):
    """A fault struck: when, in seconds after the plan was put in force, and what."""

    seconds: float
    fault: str
    kind: str
    operation: str


class _Dice:
    """The draws and counts of one fault, which is in force since `began`."""

    def __init__(self, seed: int, fault: Fault, began: float) -> None:
        self.fault = fault
        self.began = began
        # The name is in it, so that two faults of one plan are struck at different operations.
        self.random = random.Random(f"{seed} {fault.target} {fault.name}")  # noqa: S311  # repeatable
        # Of its own, so that how many are drawn for one operation changes nothing for the next.
        self.further = random.Random(f"{seed} {fault.target} {fault.name} +")  # noqa: S311  # likewise
        self.seen = self.struck = 0

    def strike(self) -> bool:
        """Draw for one more operation."""
        drawn = self.random.random()
        self.seen += 1
        if self.seen <= self.fault.skip or drawn >= self.fault.probability:
            return False
        if self.fault.times and self.struck >= self.fault.times:
            return False
        self.struck += 1
        return True


class PlanRun:
    """A plan in force since `began` (seconds on the clock that `now` is read from).

    `strikes` has the last ones, oldest first.
    """

    def __init__(self, plan: FaultPlan, target: str, *, began: float) -> None:
        self.plan = plan.only(target)
        self.began = began
        self.strikes: deque[Strike] = deque(maxlen=_KEPT_STRIKES)
        self._dice = [_Dice(plan.seed, fault, began) for fault in self.plan.faults]

    def add(self, fault: Fault, *, now: float) -> str:
        """Add a fault, whose `begin` and `end` count from `now`; return its name.

        The others go on as they are. Raises `FaultPlanError` when it cannot be in the plan.
        """
        self.plan = self.plan.with_fault(fault)
        added = self.plan.faults[-1]
        self._dice.append(_Dice(self.plan.seed, added, now))
        return added.name

    def strike(
        self, kind: type[F], fits: Callable[[F], bool], *, now: float, operation: str = ""
    ) -> list[F]:
        """Return the faults of type `kind` that strike an operation at `now`, in the plan's order.

        Only those that are in force and for which `fits` is true draw. `operation` says to people
        what was struck.
        """
        struck: list[F] = []
        for dice in self._dice:
            fault = dice.fault
            if not isinstance(fault, kind) or not fault.lasts(now - dice.began):
                continue
            if fits(fault) and dice.strike():
                struck.append(fault)
                at = round(now - self.began, 3)
                self.strikes.append(Strike(at, fault.name, kind_of(fault), operation[:200]))
        return struck

    def draw(self, fault: Fault) -> float:
        """Return a further number in [0, 1) for a fault that struck, for example for its jitter."""
        for dice in self._dice:
            if dice.fault is fault:
                return dice.further.random()
        raise KeyError(fault.name)

    @property
    def counts(self) -> dict[str, FaultCount]:
        """What became of each fault, by its name."""
        return {d.fault.name: FaultCount(d.seen, d.struck) for d in self._dice}

    @property
    def struck(self) -> dict[str, int]:
        """How often faults struck, by their kind."""
        found: dict[str, int] = {}
        for dice in self._dice:
            kind = kind_of(dice.fault)
            found[kind] = found.get(kind, 0) + dice.struck
        return found
