"""Kernel stamps become monotonic times, also when somebody sets the wall clock."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from hypothesis import given, settings
from hypothesis import strategies as st

from mcp_sim.rtp.arrival import SLACK_NS, monotonic_arrivals

MS = 1_000_000
TICK = 100 * MS
NOW = 7_000_000 * MS
WALL = 1_700_000_000_000 * MS
OFFSET = NOW - WALL


def arrivals(
    true: npt.NDArray[np.int64], jump: int, jumped_at: int, *, known: int, earlier: int
) -> npt.NDArray[np.int64]:
    """Stamp packets that arrived at `true`, by a clock that was set ahead by `jump` meanwhile."""
    stamps = true - OFFSET + np.where(true >= jumped_at, jump, 0)
    since = np.full(len(true), NOW - TICK)
    return monotonic_arrivals(stamps, since, NOW, known, earlier)


def spread() -> npt.NDArray[np.int64]:
    return np.arange(NOW - TICK, NOW, 7 * MS)


def test_steady_clock_gives_exact_times() -> None:
    """Without a jump each arrival is right to the nanosecond."""
    true = spread()
    assert (arrivals(true, 0, NOW, known=OFFSET, earlier=OFFSET) == true).all()


def test_jump_within_the_tick_shifts_nothing() -> None:
    """An hour forth or back in the middle of a tick: both halves are still exact."""
    true = spread()
    for jump in (3_600_000 * MS, -3_600_000 * MS):
        got = arrivals(true, jump, NOW - TICK // 2, known=OFFSET - jump, earlier=OFFSET)
        assert (got == true).all()


def test_jump_behind_the_last_measurement_is_taken_for_now() -> None:
    """Packets stamped by a clock that nobody has measured yet count as arriving now."""
    true = spread()
    jumped_at = NOW - TICK // 2
    got = arrivals(true, 10_000 * MS, jumped_at, known=OFFSET, earlier=OFFSET)
    assert (got == np.where(true >= jumped_at, NOW, true)).all()


def test_missing_stamp_counts_as_now() -> None:
    """A datagram without a stamp arrived when it was found."""
    since = np.array([NOW - TICK])
    assert monotonic_arrivals(np.array([0]), since, NOW, OFFSET, OFFSET).tolist() == [NOW]


def test_measuring_error_does_not_discard_a_stamp() -> None:
    """A stamp that is beyond the span by less than the slack is moved to its border."""
    since = np.array([NOW - TICK, NOW - TICK])
    stamps = np.array([NOW - TICK - SLACK_NS // 2, NOW + SLACK_NS // 2]) - OFFSET
    got = monotonic_arrivals(stamps, since, NOW, OFFSET, OFFSET)
    assert got.tolist() == [NOW - TICK, NOW]


@settings(max_examples=200)
@given(
    jump=st.integers(-(10**6) * MS, 10**6 * MS) | st.integers(-TICK, TICK),
    at=st.integers(0, TICK),
    measured=st.booleans(),
)
def test_no_jump_shifts_a_stamp_by_more_than_a_tick(jump: int, at: int, measured: bool) -> None:
    """Whatever the jump, and whether it was noticed or not: the error stays under one tick."""
    true = spread()
    known = OFFSET - jump if measured else OFFSET
    got = arrivals(true, jump, NOW - at, known=known, earlier=OFFSET)
    assert (np.abs(got - true) <= TICK).all()
    assert (got <= NOW).all()
