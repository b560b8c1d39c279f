"""The machine's monotonic time, and the wall-clock label that a report gives it."""

from __future__ import annotations

import time

from mcp_sim.load.report import timestamp


class RunClock:
    """Monotonic nanoseconds measure; the wall clock, read once at the start, only labels."""

    def __init__(self) -> None:
        self.began_ns = time.monotonic_ns()
        self._wall_offset_ns = time.time_ns() - self.began_ns

    def now(self) -> int:
        """Return CLOCK_MONOTONIC in nanoseconds."""
        return time.monotonic_ns()

    def seconds(self) -> float:
        """Return the seconds since the run began."""
        return (time.monotonic_ns() - self.began_ns) / 1e9

    def label(self, monotonic_ns: int | None) -> str:
        """Return a monotonic time as UTC text; empty for None."""
        return "" if monotonic_ns is None else timestamp(monotonic_ns + self._wall_offset_ns)
