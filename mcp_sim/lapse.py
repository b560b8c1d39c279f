"""Calls that nobody ends: their media has stopped without a BYE, or they last too long.

Pure: `now` is monotonic seconds, to be told about once a second. Who is on hold, paused or silent
in one direction is not cut: only what arrives on no active leg at all has stopped.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal

from mcp_sim.call import Call
from mcp_sim.recording.capture.messages import CaptureStats
from mcp_sim.sip.message import HeaderList

Cause = Literal["no-media", "too-long"]
CAUSES: tuple[Cause, ...] = ("no-media", "too-long")


@dataclass(frozen=True)
class Lapse:
    """A call that is to be ended; `reason` is for the metadata, the log and its peers."""

    call: Call
    cause: Cause
    reason: str

    @property
    def headers(self) -> HeaderList:
        """What the BYE says (RFC 3326)."""
        cause = "SIP;cause=408" if self.cause == "no-media" else "Q.850;cause=31"
        return [("Reason", f'{cause};text="{self.reason}"')]


@dataclass
class _Course:
    """What is known of one call: since when it is answered, and since when it is silent."""

    answered: float
    quiet_since: float
    stats: CaptureStats | None = None
    received: dict[int, int] = field(default_factory=dict)


class Lapses:
    """Watches the running calls. `longest_call` is in seconds, 0: as long as they want."""

    def __init__(self, longest_call: float) -> None:
        self._longest = longest_call
        self._courses: dict[Call, _Course] = {}

    def look(self, calls: Iterable[Call], now: float) -> list[Lapse]:
        """Return the calls that have to end. Calls that are not among `calls` are forgotten."""
        answered = [c for c in calls if c.started_wall_ns is not None and not c.ending]
        known = self._courses
        self._courses = {call: known.get(call) or _Course(now, now) for call in answered}
        found = (self._lapse(call, course, now) for call, course in self._courses.items())
        return [lapse for lapse in found if lapse is not None]

    def _lapse(self, call: Call, course: _Course, now: float) -> Lapse | None:
        if 0 < self._longest <= now - course.answered:
            return Lapse(call, "too-long", f"the call lasted {self._longest:g} s, the longest time")
        if call.rtp_timeout <= 0 or not _may_be_silent(call, course, now):
            return None
        if now - course.quiet_since < call.rtp_timeout:
            return None
        return Lapse(call, "no-media", f"no packet arrived for {call.rtp_timeout:g} s")


def _may_be_silent(call: Call, course: _Course, now: float) -> bool:
    """Take note of what has arrived; return whether its absence means something now."""
    active = [leg.number for leg in call.legs.open if leg.active]
    if call.paused or not active:
        course.quiet_since = now
        return False
    stats = call.capture.stats
    if stats is course.stats:
        return False  # the capture process has told nothing since, of silence neither
    course.stats = stats
    counts = stats.per_call.get(call.id, {})
    received = {leg: counts[leg].received for leg in active if leg in counts}
    if received != course.received:
        course.received, course.quiet_since = received, now
    return True
