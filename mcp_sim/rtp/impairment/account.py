"""What was done to a leg until it was stopped: counts, and the frames that were never sent.

The counts are those that a receiver can know, so that a recording's own counts can be compared:
what is missing before the first or behind the last packet of a source, nobody can miss.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import msgspec
import numpy as np
import numpy.typing as npt

from mcp_sim.rtp.impairment.fate import LegFate

Bools = npt.NDArray[np.bool_]
Int64s = npt.NDArray[np.int64]

_CHUNK: Final = 1 << 16


class Account(msgspec.Struct, frozen=True, kw_only=True):
    """What an impairment did to a leg. A cell is 20 ms of its sound, counted as in the report."""

    cells: int = 0
    """Cells that had their time, sent or not."""
    unsent: tuple[tuple[int, int], ...] = ()
    """Cells among them that were never sent, as runs: the first one, how many."""
    lost: int = 0
    """Sequence numbers missing between the first and the last packet of each source."""
    lost_at_ends: int = 0
    """Further packets that were lost, which no receiver can miss."""
    bursts: int = 0
    duplicated: int = 0
    """Packets that were sent a second time."""
    reordered: int = 0
    """Packets that left behind a later one."""
    delayed: int = 0
    """Packets that left behind their time."""
    silent: int = 0
    """Cells of suppressed silence between the first and the last packet of the leg."""
    ssrc_changes: tuple[int, ...] = ()
    """Cells at which another SSRC began."""
    rebindings: int = 0
    drift_ppm: float = 0.0
    one_way: bool = False

    def moved(self, by: int) -> Account:
        """Return the account with all cells counted from `by` earlier."""
        return msgspec.structs.replace(
            self,
            unsent=tuple((first + by, count) for first, count in self.unsent),
            ssrc_changes=tuple(cell + by for cell in self.ssrc_changes),
        )


@dataclass(frozen=True, slots=True, eq=False)
class _Course:
    """What had become of the leg's frames when it stopped."""

    left: Bools
    silent: Bools
    left_ns: Int64s
    turn: Int64s
    bursts: int
    duplicated: int
    delayed: int


def account(
    leg: LegFate, elapsed_ns: int, *, frames: int | None = None, rebindings: int = 0
) -> Account:
    """Return what was done until `elapsed_ns`. What had not left by then is lost.

    `frames` is how many the leg has at most, where its sound ends by itself.
    """
    count = leg.frames_by(elapsed_ns)
    count = count if frames is None else min(count, frames)
    course = _follow(leg, count, elapsed_ns)
    change = leg.change_frame
    changed = change is not None and change < count
    sources = (slice(0, change), slice(change, count)) if changed else (slice(0, count),)
    lost = missing = 0
    for source in sources:
        numbered = course.left[source][~course.silent[source]]
        lost += _holes(numbered)
        missing += int(np.count_nonzero(~numbered))
    left = np.flatnonzero(course.left)
    inside = slice(int(left[0]), int(left[-1])) if len(left) else slice(0, 0)
    return Account(
        cells=count,
        unsent=_runs(~course.left),
        lost=lost,
        lost_at_ends=missing - lost,
        bursts=course.bursts,
        duplicated=course.duplicated,
        reordered=_reordered(left, course),
        delayed=course.delayed,
        silent=int(np.count_nonzero(course.silent[inside])),
        ssrc_changes=(change,) if changed and change is not None else (),
        rebindings=rebindings,
        drift_ppm=leg.impairment.drift_ppm,
    )


def _follow(leg: LegFate, count: int, elapsed_ns: int) -> _Course:
    left, silent, left_ns, turn = [], [], [], []
    bursts = duplicated = delayed = 0
    for first in range(0, count, _CHUNK):
        fates = leg.fates(first, min(_CHUNK, count - first))
        gone = fates.sent & (fates.left_ns <= elapsed_ns)
        left.append(gone)
        silent.append(fates.silent)
        left_ns.append(fates.left_ns)
        turn.append(fates.turn)
        bursts += int(np.count_nonzero(fates.burst))
        duplicated += int(np.count_nonzero(fates.duplicate & gone))
        delayed += int(np.count_nonzero(gone & (fates.left_ns > fates.due_ns)))
    none, nothing = np.zeros(0, np.bool_), np.zeros(0, np.int64)
    return _Course(
        np.concatenate([none, *left]),
        np.concatenate([none, *silent]),
        np.concatenate([nothing, *left_ns]),
        np.concatenate([nothing, *turn]),
        bursts,
        duplicated,
        delayed,
    )


def _holes(there: Bools) -> int:
    """Return how many are not there between the first and the last that are."""
    index = np.flatnonzero(there)
    return int(index[-1] - index[0] + 1 - len(index)) if len(index) else 0


def _reordered(left: Int64s, course: _Course) -> int:
    order = left[np.lexsort((course.turn[left], course.left_ns[left]))]
    return int(np.count_nonzero(order < np.maximum.accumulate(order)))


def _runs(which: Bools) -> tuple[tuple[int, int], ...]:
    edges = np.flatnonzero(np.diff(which.astype(np.int8), prepend=0, append=0))
    return tuple((int(a), int(b - a)) for a, b in edges.reshape(-1, 2))
