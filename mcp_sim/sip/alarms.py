"""One heap of deadlines for everything that waits: transactions and unacknowledged answers.

Pure: `now` is an argument. A deadline that moved is forgotten lazily, so setting one costs
O(log n) and no message ever scans the others.
"""

from __future__ import annotations

import heapq
import itertools
from typing import Generic, TypeVar

STALE = 256

Key = TypeVar("Key")


class Alarms(Generic[Key]):
    """Deadlines in seconds by owner; an owner has at most one."""

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, Key]] = []
        self._deadlines: dict[Key, float] = {}
        self._order = itertools.count()

    def __len__(self) -> int:
        return len(self._deadlines)

    def set(self, owner: Key, deadline: float | None) -> None:
        """Move the owner's deadline; None forgets it."""
        if self._deadlines.get(owner) == deadline:
            return
        if deadline is None:
            del self._deadlines[owner]
            return
        self._deadlines[owner] = deadline
        if len(self._heap) > 4 * len(self._deadlines) + STALE:
            self._forget_stale()
        heapq.heappush(self._heap, (deadline, next(self._order), owner))

    def _forget_stale(self) -> None:
        """Let go of owners whose deadline moved or went; amortised over what was pushed."""
        self._heap = [entry for entry in self._heap if self._deadlines.get(entry[2]) == entry[0]]
        heapq.heapify(self._heap)

    def next_deadline(self) -> float | None:
        """The earliest deadline that still counts, None when nothing waits."""
        while self._heap:
            deadline, _, owner = self._heap[0]
            if self._deadlines.get(owner) == deadline:
                return deadline
            heapq.heappop(self._heap)
        return None

    def pop_due(self, now: float) -> Key | None:
        """Take one owner whose deadline has come, None when there is none."""
        deadline = self.next_deadline()
        if deadline is None or deadline > now:
            return None
        owner = heapq.heappop(self._heap)[2]
        del self._deadlines[owner]
        return owner
