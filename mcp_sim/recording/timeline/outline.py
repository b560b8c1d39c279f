"""The course of one call, folded from its events: when it began and ended, who took part, pauses.

Pure. A journal whose writer was killed has no end: then the last thing that happened ends it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Literal

from mcp_sim.recording.plan import (
    Ended,
    Event,
    LegClosed,
    LegOpened,
    LegsPlaced,
    ParametersChanged,
    Paused,
    RecordingPlan,
    Resumed,
    Started,
)

Channel = Literal["left", "right"]

SAMPLE_RATE = 8000
_NS = 1_000_000_000


class NothingRecordedError(ValueError):
    """The call never began: no 2xx was sent and no packet came."""


@dataclass(frozen=True, slots=True)
class Leg:
    """One leg: `payload_types` say what each RTP payload type of it carries.

    `dropped` and `overflowed` datagrams reached this machine and not its journal.
    """

    number: int
    label: str
    payload_types: dict[int, str]
    channel: Channel
    opened_ns: int
    closed_ns: int | None = None
    dropped: int = 0
    overflowed: int = 0


@dataclass(frozen=True, slots=True)
class Outline:
    """What the timeline and the metadata need to know of a call.

    `start_ns` (t0) and `end_ns` are CLOCK_MONOTONIC, `wall_ns` is t0 in Unix time. `pauses` are
    pairs of CLOCK_MONOTONIC within the call, in order, none overlapping.
    """

    start_ns: int
    end_ns: int
    wall_ns: int
    legs: dict[int, Leg]
    pauses: tuple[tuple[int, int], ...]
    parameters: dict[str, str]
    reason: str
    recovered: bool

    @property
    def samples(self) -> int:
        """The length of the call, in samples of each channel."""
        return self.position(self.end_ns)

    @property
    def duration_ms(self) -> int:
        """The length of the call in milliseconds, rounded."""
        return round((self.end_ns - self.start_ns) / 1_000_000)

    def position(self, at_ns: int) -> int:
        """Return the sample that lies at `at_ns` on the call's clock (negative before t0)."""
        return ((at_ns - self.start_ns) * SAMPLE_RATE + _NS // 2) // _NS

    def moment(self, at_ns: int) -> datetime:
        """Return the wall clock's time at `at_ns`, as it was at t0 plus the time measured since."""
        wall_us = (self.wall_ns + at_ns - self.start_ns + 500) // 1000
        seconds, microsecond = divmod(wall_us, 1_000_000)
        return datetime.fromtimestamp(seconds, UTC).replace(microsecond=microsecond)

    def paused_ns(self, begin_ns: int, end_ns: int) -> int:
        """Return how long the call was paused between two moments."""
        overlaps = (min(end, end_ns) - max(begin, begin_ns) for begin, end in self.pauses)
        return sum(overlap for overlap in overlaps if overlap > 0)


@dataclass(slots=True)
class _Course:
    """What the events said so far."""

    parameters: dict[str, str]
    started: Started | None = None
    ended: Ended | None = None
    last_ns: int | None = None
    legs: dict[int, Leg] = field(default_factory=dict)
    channels: dict[int, Channel] = field(default_factory=dict)
    turns: list[tuple[int, bool]] = field(default_factory=list)

    def take(self, event: Event) -> None:
        """Fold one event in, in the order in which they were written."""
        match event:
            case Started():
                self.started = self.started or event
            case Ended():
                self.ended = event
            case LegOpened():
                self._open(event)
            case LegClosed() if event.leg in self.legs:
                self._close(event)
            case LegsPlaced():
                self.channels = dict(event.channels)
            case Paused() | Resumed():
                self.turns.append((event.at_ns, isinstance(event, Paused)))
            case ParametersChanged():
                self.parameters.update(event.parameters)
            case _:
                pass
        at_ns = getattr(event, "at_ns", None)
        if at_ns is not None:
            self.last_ns = max(self.last_ns or at_ns, at_ns)

    def _close(self, event: LegClosed) -> None:
        self.legs[event.leg] = replace(
            self.legs[event.leg],
            closed_ns=event.at_ns,
            dropped=event.dropped,
            overflowed=event.overflowed,
        )

    def _open(self, event: LegOpened) -> None:
        """Take a leg; opened again (a new offer) it only learns further payload types."""
        known = self.legs.get(event.leg)
        if known is None:
            self.legs[event.leg] = Leg(
                event.leg, event.label, dict(event.payload_types), "left", event.at_ns
            )
        else:
            types = known.payload_types | event.payload_types
            self.legs[event.leg] = replace(
                known, label=event.label, payload_types=types, closed_ns=None
            )


def outline(
    plan: RecordingPlan,
    events: Sequence[Event],
    *,
    first_packet_ns: int | None = None,
    last_packet_ns: int | None = None,
    last_wall_ns: int = 0,
) -> Outline:
    """Return the outline of a call.

    The keywords matter only where an event is missing. Without `Ended` the later of the last event
    and the last packet is the end. Without `Started` (the writer died right behind the 2xx) the
    first packet is t0, and `last_wall_ns` is the wall clock at the end. Raises
    `NothingRecordedError` when there is neither `Started` nor a packet.
    """
    course = _Course(dict(plan.parameters))
    for event in events:
        course.take(event)
    end_ns = _end(course, last_packet_ns)
    if course.started is not None:
        start_ns, wall_ns = course.started.at_ns, course.started.wall_ns
    elif first_packet_ns is not None:
        start_ns, wall_ns = first_packet_ns, last_wall_ns - (end_ns - first_packet_ns)
    else:
        raise NothingRecordedError(f"recording {plan.recording_id} was never answered")
    end_ns = max(end_ns, start_ns)
    return Outline(
        start_ns=start_ns,
        end_ns=end_ns,
        wall_ns=wall_ns,
        legs=_placed(course),
        pauses=_pauses(course.turns, start_ns, end_ns),
        parameters=course.parameters,
        reason=course.ended.reason if course.ended else "",
        recovered=course.ended is None,
    )


def _end(course: _Course, last_packet_ns: int | None) -> int:
    if course.ended is not None:
        return course.ended.at_ns
    return max(course.last_ns or 0, last_packet_ns or 0)


def _placed(course: _Course) -> dict[int, Leg]:
    """Give each leg its channel: as said, else the first leg is left and the others are right."""
    first = min(course.legs, default=0)
    return {
        number: replace(
            leg, channel=course.channels.get(number, "left" if number == first else "right")
        )
        for number, leg in sorted(course.legs.items())
    }


def _pauses(
    turns: list[tuple[int, bool]], start_ns: int, end_ns: int
) -> tuple[tuple[int, int], ...]:
    """Pair the pauses with their ends; a pause that nobody ended lasts until the call's end."""
    pairs: list[tuple[int, int]] = []
    since: int | None = None
    for at_ns, paused in [*turns, (end_ns, False)]:
        if paused and since is None:
            since = max(at_ns, start_ns)
        elif not paused and since is not None:
            if min(at_ns, end_ns) > since:
                pairs.append((since, min(at_ns, end_ns)))
            since = None
    return tuple(pairs)
