"""What is broken on purpose in one service now: the run in force, put and cleared while it works.

Nothing is in force at first. Whoever causes faults asks `run` at each operation, or follows the
changes.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping

from service_shell.faults.fault import Fault
from service_shell.faults.plan import FaultPlan, FaultPlanError
from service_shell.faults.run import PlanRun

Follower = Callable[[PlanRun | None], None]


class FaultSwitch:
    """The plan in force in the service `target`. `clock` is monotonic seconds.

    Of a plan only the faults on the target matter; one without any is none.
    """

    def __init__(self, target: str, clock: Callable[[], float] = time.monotonic) -> None:
        self.target = target
        self.clock = clock
        self._run: PlanRun | None = None
        self._followers: list[Follower] = []
        self._past: Counter[str] = Counter()

    @property
    def run(self) -> PlanRun | None:
        """The run in force, or None."""
        return self._run

    @property
    def seconds(self) -> float | None:
        """How long the plan has been in force, or None."""
        return None if self._run is None else self.clock() - self._run.began

    @property
    def struck(self) -> Mapping[str, int]:
        """How often faults struck since the service began, by their kind."""
        return self._past + Counter(self._run.struck if self._run else {})

    def put(self, plan: FaultPlan) -> None:
        """Put `plan` in force, in place of what was; its seconds begin now."""
        if plan.only(self.target).faults:
            self._replace(PlanRun(plan, self.target, began=self.clock()))
        else:
            self._replace(None)

    def add(self, fault: Fault) -> str:
        """Put one more fault in force; return its name. Its seconds begin now.

        Raises `FaultPlanError` for a fault of another service, and for a name that is taken.
        """
        if fault.target != self.target:
            raise FaultPlanError(f"this is the {self.target}; the fault is on the {fault.target}")
        if self._run is None:
            self.put(FaultPlan(faults=[fault]))
            return f"{self.target}-1" if not fault.name else fault.name
        name = self._run.add(fault, now=self.clock())
        self._tell()
        return name

    def clear(self) -> None:
        """End all faults."""
        self._replace(None)

    def follow(self, callback: Follower) -> None:
        """Call `callback` after each change with the run in force, or None; and now, if one is.

        A fault that was added comes with the same run as before.
        """
        self._followers.append(callback)
        if self._run is not None:
            callback(self._run)

    def _replace(self, run: PlanRun | None) -> None:
        self._past += Counter(self._run.struck if self._run else {})
        self._run = run
        self._tell()

    def _tell(self) -> None:
        for follower in self._followers:
            follower(self._run)
