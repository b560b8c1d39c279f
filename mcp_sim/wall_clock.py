"""The platform's wall clock: it labels, nothing is measured with it (architecture law 10)."""

from __future__ import annotations

import time
from datetime import UTC, datetime


class WallClock:
    """The machine's clock, `ahead` seconds of it; those are 0 unless somebody tries it out."""

    def __init__(self) -> None:
        self.ahead = 0.0

    def seconds(self) -> float:
        """Return Unix time."""
        return time.time() + self.ahead

    def nanoseconds(self) -> int:
        """Return Unix time in nanoseconds."""
        return time.time_ns() + round(self.ahead * 1e9)

    def moment(self) -> datetime:
        """Return the time as UTC."""
        return datetime.fromtimestamp(self.seconds(), UTC)
