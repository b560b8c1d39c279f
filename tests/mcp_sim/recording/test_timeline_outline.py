"""The course of a call, from its events: complete, cut off, or told twice."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

import pytest

from mcp_sim.recording.plan import (
    Ended,
    Event,
    LegClosed,
    LegOpened,
    LegsPlaced,
    ParametersChanged,
    Paused,
    Resumed,
    Started,
)
from mcp_sim.recording.timeline.outline import NothingRecordedError, outline

from .recorded_call import course, make_plan
from .synthetic_call import MS, SECOND, T0, WALL


def _opened(leg: int, at: int = 0, **types: str) -> LegOpened:
    payload_types = {int(number[1:]): codec for number, codec in types.items()}
    return LegOpened(leg, f"leg-{leg}", payload_types, 8000, T0 + at)


def _pauses(*events: Event) -> Sequence[tuple[int, int]]:
    call = outline(make_plan(), course(10_000, extra=events))
    return [((begin - T0) // MS, (end - T0) // MS) for begin, end in call.pauses]


def test_a_complete_call() -> None:
    """Start, end, legs, channels and parameters are as the events say."""
    events = course(12_500, legs=2, extra=[ParametersChanged({"agentId": "a", "ani": "+1"})])
    call = outline(make_plan(), events)
    assert (call.start_ns, call.end_ns, call.samples) == (T0, T0 + 12_500 * MS, 100_000)
    assert (call.duration_ms, call.recovered, call.reason) == (12_500, False, "bye")
    assert [leg.channel for leg in call.legs.values()] == ["left", "right"]
    assert call.parameters == {"ani": "+1", "dnis": "8005550199", "agentId": "a"}
    assert call.moment(T0 + 1500 * MS) == datetime(2026, 1, 2, 10, 0, 1, 500_000, UTC)


def test_positions_are_rounded_to_the_nearest_sample() -> None:
    """A moment lies on the sample that it is nearest to, before t0 too."""
    call = outline(make_plan(), course(1000))
    assert [call.position(T0 + at) for at in (0, 62_499, 62_500, 125_000, -62_501)] == [
        *(0, 0, 1, 1, -1)
    ]


def test_the_length_of_the_file_is_that_of_the_call() -> None:
    """Samples are the rounded length, whatever the nanoseconds."""
    events: list[Event] = [_opened(0), Started(T0, WALL), Ended(T0 + 4_321_098_765, "bye")]
    assert outline(make_plan(), events).samples == 34_569


def test_without_an_end_the_last_thing_ends_the_call() -> None:
    """The last packet or the last event, whichever is later."""
    events: list[Event] = [_opened(0), Started(T0, WALL), Paused(T0 + SECOND)]
    by_event = outline(make_plan(), events, last_packet_ns=T0 + 5)
    by_packet = outline(make_plan(), events, last_packet_ns=T0 + 2 * SECOND)
    assert (by_event.end_ns, by_packet.end_ns) == (T0 + SECOND, T0 + 2 * SECOND)
    assert by_event.recovered
    assert by_packet.recovered


def test_without_a_start_the_first_packet_starts_the_call() -> None:
    """Its wall clock is counted back from the last one that is known."""
    call = outline(
        make_plan(),
        [_opened(0)],
        first_packet_ns=T0 + SECOND,
        last_packet_ns=T0 + 4 * SECOND,
        last_wall_ns=WALL,
    )
    assert (call.start_ns, call.wall_ns) == (T0 + SECOND, WALL - 3 * SECOND)


def test_a_call_that_was_never_answered_is_nothing() -> None:
    """Neither a start nor a packet: there is no call, and the error names it."""
    with pytest.raises(NothingRecordedError, match="CALL1 was never answered"):
        outline(make_plan(), [_opened(0), Ended(T0 + SECOND, "cancelled")])


def test_a_call_never_ends_before_it_begins() -> None:
    """An end before t0 makes an empty call, not a negative one."""
    call = outline(make_plan(), [Started(T0, WALL), Ended(T0 - SECOND, "bye")])
    assert (call.samples, call.duration_ms) == (0, 0)


def test_the_first_start_counts() -> None:
    """A second leg's answer does not move t0."""
    events: list[Event] = [
        Started(T0, WALL),
        Started(T0 + SECOND, 0),
        Ended(T0 + 2 * SECOND, "bye"),
    ]
    assert outline(make_plan(), events).start_ns == T0


@pytest.mark.parametrize(
    ("events", "expected"),
    [
        ([Paused(T0 + SECOND), Resumed(T0 + 2 * SECOND)], [(1000, 2000)]),
        ([Paused(T0 + SECOND)], [(1000, 10_000)]),
        ([Resumed(T0 + SECOND)], []),
        ([Paused(T0 - SECOND), Resumed(T0 + SECOND)], [(0, 1000)]),
        ([Paused(T0 - 2 * SECOND), Resumed(T0 - SECOND)], []),
        ([Paused(T0 + SECOND), Paused(T0 + 2 * SECOND), Resumed(T0 + 3 * SECOND)], [(1000, 3000)]),
        ([Paused(T0 + 9 * SECOND), Resumed(T0 + 11 * SECOND)], [(9000, 10_000)]),
        (
            [
                *(Paused(T0 + SECOND), Resumed(T0 + 2 * SECOND)),
                *(Paused(T0 + 4 * SECOND), Resumed(T0 + 5 * SECOND)),
            ],
            [(1000, 2000), (4000, 5000)],
        ),
    ],
)
def test_pauses_are_paired(events: list[Event], expected: list[tuple[int, int]]) -> None:
    """Within the call, in order, open ends closed, said twice or not at all."""
    assert _pauses(*events) == expected


def test_time_paused_is_counted_within_a_span() -> None:
    """Only what lies in the span counts."""
    turns: list[Event] = [Paused(T0 + SECOND), Resumed(T0 + 2 * SECOND), Paused(T0 + 4 * SECOND)]
    call = outline(make_plan(), course(5000, extra=turns))
    assert call.paused_ns(T0 + 1500 * MS, T0 + 4500 * MS) == SECOND
    assert call.paused_ns(T0, T0 + SECOND) == 0


def test_the_last_placing_counts() -> None:
    """Channels may be said again; a leg that nobody placed is right, the first one left."""
    events: list[Event] = [
        *(_opened(0), _opened(1), _opened(2)),
        LegsPlaced({0: "left", 1: "right"}),
        LegsPlaced({0: "right", 1: "left"}),
        *(Started(T0, WALL), Ended(T0 + SECOND, "bye")),
    ]
    legs = outline(make_plan(), events).legs
    assert [leg.channel for leg in legs.values()] == ["right", "left", "right"]


def test_an_unplaced_first_leg_is_left() -> None:
    """Without any placing the first leg is left, the others right."""
    events: list[Event] = [_opened(3), _opened(5), Started(T0, WALL), Ended(T0 + SECOND, "bye")]
    legs = outline(make_plan(), events).legs
    assert [leg.channel for leg in legs.values()] == ["left", "right"]


def test_a_leg_opened_again_learns_payload_types() -> None:
    """A new offer on the same leg: what it carried before is still understood."""
    events: list[Event] = [
        _opened(0, p8="pcma"),
        LegClosed(0, T0 + SECOND),
        _opened(0, 2 * SECOND, p0="pcmu", p101="telephone-event"),
        *(Started(T0, WALL), Ended(T0 + 9 * SECOND, "bye")),
    ]
    (leg,) = outline(make_plan(), events).legs.values()
    assert leg.payload_types == {8: "pcma", 0: "pcmu", 101: "telephone-event"}
    assert leg.closed_ns is None


def test_what_this_machine_lost_stands_with_the_leg() -> None:
    """Drops and overflows that the capture process counted are kept; an unknown leg is none."""
    events: list[Event] = [
        *(_opened(0), Started(T0, WALL)),
        LegClosed(0, T0 + SECOND, received=50, overflowed=3, dropped=2),
        LegClosed(7, T0 + SECOND),
        Ended(T0 + SECOND, "bye"),
    ]
    legs = outline(make_plan(), events).legs
    assert list(legs) == [0]
    assert (legs[0].overflowed, legs[0].dropped) == (3, 2)
