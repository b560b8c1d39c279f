"""The clock that stamps datagrams, asked for its distance to CLOCK_MONOTONIC."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from mcp_sim.rtp.kernel_clock import KernelClock


@pytest.fixture
def clock() -> Iterator[KernelClock]:
    with KernelClock() as clock:
        yield clock


def test_offset_is_the_difference_of_both_clocks(clock: KernelClock) -> None:
    """The kernel's answer agrees with reading both clocks one after the other."""
    before = time.monotonic_ns() - time.time_ns()
    clock.refresh()
    after = time.monotonic_ns() - time.time_ns()
    assert min(before, after) - 5_000_000 < clock.offset_ns < max(before, after) + 5_000_000


def test_step_is_a_jump_and_keeps_the_offset_before(
    clock: KernelClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a step both offsets are known, so that packets from before it can still be placed."""
    before = clock.offset_ns
    monkeypatch.setattr(clock, "_ask", lambda: before + 60_000_000_000)
    clock.refresh()
    assert clock.offset_ns == before + 60_000_000_000
    assert clock.earlier_offset_ns == before
    assert clock.jumps == 1


def test_drift_is_no_jump(clock: KernelClock, monkeypatch: pytest.MonkeyPatch) -> None:
    """A clock that is slewed is followed without being called a jump."""
    earlier, before = clock.earlier_offset_ns, clock.offset_ns
    monkeypatch.setattr(clock, "_ask", lambda: before + 50_000)
    clock.refresh()
    assert (clock.offset_ns, clock.earlier_offset_ns, clock.jumps) == (before + 50_000, earlier, 0)
