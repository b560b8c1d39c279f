"""The kills of a run: which processes, after which pause, drawn from the run's seed.

A plan is data and the same for the same seed; which process that is, and what it was doing, the
moment decides.
"""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from tests.end_to_end.lab_under_test import children_of, command_of

Kind: TypeAlias = Literal["main", "capture", "render", "all"]

WEIGHTS: Final[dict[Kind, int]] = {"main": 3, "capture": 2, "render": 2, "all": 3}
CUTTING: Final[frozenset[Kind]] = frozenset({"main", "capture", "all"})
"""Those that end calls: what they had not written by then is gone."""
_MODULES: Final = {
    "main": "-m mcp_sim ",
    "capture": "-m mcp_sim.recording.capture.process",
    "render": "-m mcp_sim.recording.render.worker",
}
_HASTY: Final = 0.15
_LONGEST_PAUSE: Final = 3.0
_LONGEST_LINGER: Final = 6.0


@dataclass(frozen=True)
class PlannedKill:
    """One kill: `pause` seconds after all calls talk, or, if `hasty`, after the kill before.

    A hasty one may strike a start or a recovery. For `linger` seconds more the callers that talked
    to the killed process go on sending, as a far end does that was told nothing.
    """

    number: int
    kind: Kind
    pause: float
    hasty: bool
    linger: float
    choice: float


@dataclass(frozen=True)
class Kill:
    """One kill that was done, at `at_ns` (CLOCK_MONOTONIC, just before)."""

    plan: PlannedKill
    at_ns: int


def plan_kills(seed: int, count: int) -> Iterator[PlannedKill]:
    """Give the kills of a run; each kind comes within the first few."""
    draw = random.Random(f"reclab kills {seed}")  # repeatable, no secret
    kinds: list[Kind] = ["main", "capture", "render", "all"]
    draw.shuffle(kinds)
    for number in range(1, count + 1):
        kind = kinds.pop() if kinds else draw.choices([*WEIGHTS], [*WEIGHTS.values()])[0]
        yield PlannedKill(
            number=number,
            kind=kind,
            pause=draw.uniform(0, _LONGEST_PAUSE),
            hasty=number > 1 and draw.random() < _HASTY,
            linger=draw.uniform(0, _LONGEST_LINGER),
            choice=draw.random(),
        )


def strike(plan: PlannedKill, lab: int) -> Kill | None:
    """Kill what `plan` names below process `lab`; None when nothing of that kind runs now."""
    module = _MODULES["main" if plan.kind == "all" else plan.kind]
    found = [pid for pid in children_of(lab) if module in command_of(pid)]
    if not found:
        return None
    pid = found[int(plan.choice * len(found))]
    at_ns = time.monotonic_ns()
    with suppress(ProcessLookupError):
        # The platform leads a process group: one call ends all of it in one moment.
        (os.killpg if plan.kind == "all" else os.kill)(pid, signal.SIGKILL)
        return Kill(plan, at_ns)
    return None
