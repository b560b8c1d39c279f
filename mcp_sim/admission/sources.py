"""What one source of calls may do: so many calls at a time, so many new ones per second."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable

import msgspec

from mcp_sim.admission.room import SourceLimitError
from service_shell.sources import SourceCounts, TokenBuckets, source_of

_TOLD = 200


class SourceLimits:
    """Counts the running calls of each source; `refused` are those that it was not allowed.

    `calls` at a time and `rate` new ones per second, 0: no limit. `clock` is monotonic seconds.
    """

    def __init__(
        self, *, calls: int = 0, rate: float = 0.0, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.refused = SourceCounts()
        self._calls = calls
        self._rate = rate
        self._buckets = TokenBuckets(burst=max(1.0, rate), per_second=rate)
        self._running: Counter[str] = Counter()
        self._clock = clock

    @property
    def running(self) -> dict[str, int]:
        """How many calls each source has now."""
        return dict(self._running)

    def check(self, host: str) -> None:
        """One more call is wanted from `host`. Raises `SourceLimitError`."""
        source = source_of(host)
        if 0 < self._calls <= self._running[source]:
            self.refused.count(source)
            raise SourceLimitError(f"{source} has {self._calls} calls, the most that it may have")
        wait = self._buckets.take(source, self._clock())
        if wait > 0:
            self.refused.count(source)
            reason = f"{source} places more than {self._rate:g} calls per second"
            raise SourceLimitError(reason, wait)

    def began(self, host: str) -> None:
        """A call of `host` runs."""
        self._running[source_of(host)] += 1

    def ended(self, host: str) -> None:
        """It does not any more."""
        source = source_of(host)
        self._running[source] -= 1
        if self._running[source] <= 0:
            del self._running[source]


class SourceView(msgspec.Struct, frozen=True):
    """One source, as the control API shows it.

    `refused` counts calls that its limits refused, `malformed` SIP messages that were none.
    """

    source: str
    calls: int
    refused: int
    malformed: int


def told_sources(limits: SourceLimits, malformed: SourceCounts) -> list[SourceView]:
    """Return what is known of each source: first who has the most calls, then who is oddest."""
    running = limits.running
    names = {*running, *limits.refused, *malformed}
    views = [SourceView(n, running.get(n, 0), limits.refused[n], malformed[n]) for n in names]
    return sorted(views, key=lambda v: (-v.calls, -v.refused - v.malformed, v.source))[:_TOLD]
