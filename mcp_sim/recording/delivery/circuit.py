"""The circuit of one destination: after failures in a row nothing goes there but a probe at a time.

Closed, deliveries flow. Open, they wait for a pause that grows with each probe that failed. The
first success closes it, whoever had it. Pure: `now` is an argument, in seconds.
"""

from __future__ import annotations

import math

from mcp_sim.recording.delivery.backoff import Backoff


class Circuit:
    """Begins closed."""

    def __init__(self, *, failures: int, pause: Backoff) -> None:
        """`failures` in a row open it."""
        self._limit = failures
        self._pause = pause
        self._failures = 0
        self._probes = 0
        self._until = 0.0
        self._wait = 0.0
        self._probing = False
        self.open = False

    @property
    def idle(self) -> bool:
        """Whether there is nothing to remember about it."""
        return not self.open and self._failures == 0

    def earliest(self, now: float) -> float:
        """Return when a delivery may begin; never while a probe is under way."""
        if not self.open:
            return now
        if self._probing:
            return math.inf
        # A clock that was set back must not make the pause longer than it was meant to be.
        self._until = min(self._until, now + self._wait)
        return self._until

    def begin(self) -> bool:
        """Say that a delivery begins; return whether it is the probe of an open circuit."""
        self._probing = self._probing or self.open
        return self.open

    def succeeded(self) -> bool:
        """The destination did what was asked, or knew why not. Return whether this closed it."""
        was_open, self.open = self.open, False
        self._failures = self._probes = 0
        self._probing = False
        return was_open

    def failed(self, now: float, *, probe: bool, retry_after: float | None = None) -> bool:
        """The destination failed. Return whether this opened it.

        What began before it opened, and fails afterwards, says nothing new.
        """
        if self.open and not probe:
            return False
        opened = False
        if not self.open:
            self._failures += 1
            if self._failures < self._limit:
                return False
            self.open = opened = True
        self._probing = False
        self._probes += 1
        self._wait = max(self._pause.delay(self._probes), retry_after or 0.0)
        self._until = now + self._wait
        return opened

    def released(self) -> None:
        """The probe ended before it came to this destination: the next one may go."""
        self._probing = False

    def probe_at_once(self) -> None:
        """Something changed that may help: do not wait for the end of the pause."""
        self._until = 0.0
        self._probes = 0
