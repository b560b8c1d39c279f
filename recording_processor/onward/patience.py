"""How long to wait before the next try: for one post, and for web services that do not answer.

Exponential, never over a bound, and a third of each wait is left to chance. Pure: times are
arguments, in seconds.
"""

from __future__ import annotations

import random
from collections.abc import Callable

_JITTER = 0.3
_FAILURES = 3
_CHANCE = random.SystemRandom()


class Backoff:
    """`first` and `longest` in seconds; `chance` draws from 0 to 1."""

    def __init__(
        self, first: float, longest: float, chance: Callable[[], float] = _CHANCE.random
    ) -> None:
        self.first = first
        self.longest = longest
        self._chance = chance

    def delay(self, tries: int, retry_after: float | None = None) -> float:
        """Return how long to wait after so many failed tries (one at least)."""
        whole = min(self.longest, self.first * 2.0 ** min(tries - 1, 64))
        drawn = whole * (1 - _JITTER * self._chance())
        return min(self.longest, max(drawn, retry_after or 0.0))


class Circuit:
    """Lets posts through while the web services answer; else one at a time, after a pause.

    After three failures in a row it is open; any success closes it. So an outage costs a post none
    of its tries but the one that finds out.
    """

    def __init__(self, backoff: Backoff) -> None:
        self._backoff = backoff
        self._failures = 0
        self._until = 0.0

    @property
    def open(self) -> bool:
        """Whether only probes go through."""
        return self._failures >= _FAILURES

    def places(self, now: float, *, running: int, most: int) -> int:
        """Return how many may begin now beside those that run."""
        if not self.open:
            return max(0, most - running)
        return 1 if running == 0 and self.probe_in(now) == 0 else 0

    def probe_in(self, now: float) -> float:
        """Return the seconds until a probe may go."""
        # A clock that was set back must not make the pause longer than any would be.
        self._until = min(self._until, now + self._backoff.longest)
        return max(0.0, self._until - now) if self.open else 0.0

    def succeeded(self) -> None:
        """The web services answered what they should."""
        self._failures = 0

    def failed(self, now: float, retry_after: float | None) -> None:
        """They did not."""
        self._failures += 1
        if self.open:
            pause = self._backoff.delay(self._failures - _FAILURES + 1, retry_after)
            self._until = now + pause
