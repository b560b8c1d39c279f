"""One run of a fault plan in one service: which operation is struck by which fault.

Pure: `now` is an argument. Each fault draws from a stream of its own, once for each operation that
it could strike, so that the n-th of them is struck, or not, whatever happens elsewhere.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import TypeVar

import msgspec

from service_shell.faults.fault import Fault
from service_shell.faults.plan import FaultPlan

F = TypeVar("F", bound=Fault)


class FaultCount(msgspec.Struct, frozen=True):
    """How many operations a fault could have struck since the run began, and how many it did."""

    seen: int
    struck: int


class _Dice:
    """The draws and counts of one fault."""

    def __init__(self, seed: int, fault: Fault) -> None:
        self.fault = fault
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
    """A plan in force since `began` (seconds on the clock that `now` is read from)."""

    def __init__(self, plan: FaultPlan, target: str, *, began: float) -> None:
        self.plan = plan.only(target)
        self.began = began
        self._dice = [_Dice(plan.seed, fault) for fault in self.plan.faults]

    def strike(self, kind: type[F], fits: Callable[[F], bool], *, now: float) -> list[F]:
        """Return the faults of type `kind` that strike an operation at `now`, in the plan's order.

        Only those that are in force and for which `fits` is true draw.
        """
        elapsed = now - self.began
        struck: list[F] = []
        for dice in self._dice:
            fault = dice.fault
            if isinstance(fault, kind) and fault.lasts(elapsed) and fits(fault) and dice.strike():
                struck.append(fault)
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
