"""What must be recorded of a call: all that it had sent when the recorder was killed under it.

Pure. Times are CLOCK_MONOTONIC in nanoseconds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from mcp_sim.load.signature import Leg
from tests.faults.calls import Spoken
from tests.faults.kills import CUTTING, Kill

CELL_NS: Final = 20_000_000
MOST_MISSING_MS: Final = 1000
_NEAR_NS: Final = 5_000_000_000


@dataclass(frozen=True)
class Expected:
    """A call as the judge sees it: `cut` by a kill or not, and what arrived on each leg.

    `arrived` counts packets. `recovered` is what the recording has to say of itself; None where
    a kill came so soon after the call's end, or before its answer, that both are right.
    """

    identity: str
    cut: Kill | None
    arrived: Mapping[Leg, int]
    recovered: bool | None
    may_miss_ms: int
    """A second, of a call that was cut off, or that ended just before a kill."""

    @property
    def may_be_absent(self) -> bool:
        """Whether all that arrived did so in the last second before the kill, or nothing did."""
        most = max(self.arrived.values(), default=0)
        return most * CELL_NS <= self.may_miss_ms * 1_000_000


def expect(call: Spoken, kills: Sequence[Kill]) -> Expected:
    """Return what must be there of `call`."""
    cutting = [kill for kill in kills if kill.plan.kind in CUTTING]
    during = [kill for kill in cutting if call.answered_ns <= kill.at_ns <= call.ended_ns]
    cut = during[0] if during and call.answered_ns else None
    while_asked = [kill for kill in cutting if call.started_ns <= kill.at_ns < call.answered_ns]
    return Expected(
        call.identity,
        cut,
        {leg: _arrived(call, leg, cut, asked_twice=bool(while_asked)) for leg in call.legs},
        _recovered(call, cut, cutting),
        MOST_MISSING_MS if cut or _killed_behind(call, cutting) else 0,
    )


def _arrived(call: Spoken, leg: Leg, cut: Kill | None, *, asked_twice: bool) -> int:
    sent = call.legs[leg]
    if asked_twice and sent.unreachable:
        return 0  # it was answered by the process that was killed before anything was sent
    if cut is None or not sent.packets:
        return sent.packets
    return min(sent.packets, max(0, (cut.at_ns - sent.first_ns) // CELL_NS + 1))


def _recovered(call: Spoken, cut: Kill | None, cutting: Sequence[Kill]) -> bool | None:
    if cut is not None:
        return True
    while_asked = any(call.started_ns <= kill.at_ns < call.answered_ns for kill in cutting)
    return None if while_asked or _killed_behind(call, cutting) else False


def _killed_behind(call: Spoken, cutting: Sequence[Kill]) -> bool:
    """Whether a kill may have come before the end of the call was on disk."""
    return any(0 <= kill.at_ns - call.ended_ns <= _NEAR_NS for kill in cutting)
