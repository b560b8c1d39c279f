"""A figure that shuts the door: not by one bad moment, and not open and shut all the time."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from mcp_sim.admission.gauge import Gauge, Threshold

RULE = Threshold(1.0, release=0.5, patience=2.0, calm=5.0)


def gauge(rule: Threshold = RULE) -> Gauge:
    return Gauge("lag", "it is {value:.1f} s late, {limit:.1f} s are the limit", rule)


def shut_at(made: Gauge, *readings: float, start: int = 0) -> list[int]:
    """Note one reading per second; return the seconds behind which the door was shut."""
    shut = []
    for second, value in enumerate(readings, start):
        made.note(value, float(second))
        shut += [second] if made.shut else []
    return shut


def test_one_bad_moment_shuts_nothing() -> None:
    """A single stall, however long, is over when it is seen."""
    assert shut_at(gauge(), 0, 90, 0, 0, 90, 90, 0, 90) == []


def test_a_lag_that_stays_shuts() -> None:
    """It shuts when the figure stayed above the limit, and says by how much."""
    made = gauge()
    assert shut_at(made, 0, 2, 2, 2) == [3]
    assert made.reason == "it is 2.0 s late, 1.0 s are the limit"


def test_it_opens_when_it_was_calm() -> None:
    """Just under the limit is not calm; half of it, for a while, is."""
    made = gauge()
    shut_at(made, 2, 2, 2)
    assert shut_at(made, 0.9, 0.9, 0.4, 0.4, 0.6, start=3) == [3, 4, 5, 6, 7]
    assert shut_at(made, *[0.5] * 7, start=8) == [8, 9, 10, 11, 12]
    assert made.reason == ""


def test_the_limit_itself_is_allowed() -> None:
    """Exactly the limit shuts nothing."""
    assert shut_at(gauge(), *[1.0] * 20) == []


def test_without_patience_it_shuts_at_once() -> None:
    """What cannot pass by itself is not waited for."""
    rule = Threshold(0.9, release=0.95, patience=0.0, calm=1.0)
    made = gauge(rule)
    assert shut_at(made, 0.5, 0.95, 0.87, 0.85, 0.85) == [1, 2, 3]


def test_zero_limits_nothing() -> None:
    """Switched off, the figure is still told."""
    made = gauge(Threshold(0.0))
    assert shut_at(made, *[99.0] * 10) == []
    assert made.value == 99.0


def test_it_tells_each_turn_once() -> None:
    """`note` is true when the door moved, and only then."""
    made = gauge()
    turns = [made.note(9.0 if second < 5 else 0.0, float(second)) for second in range(20)]
    assert [second for second, turned in enumerate(turns) if turned] == [2, 10]


@given(st.lists(st.floats(0, 3), max_size=80))
def test_it_never_flaps(readings: list[float]) -> None:
    """Whatever the figure does, the door stays as it is for at least the shorter of both times."""
    made = gauge()
    turns = [float(t) for t, value in enumerate(readings) if made.note(value, float(t))]
    assert all(later - earlier >= 2.0 for earlier, later in pairwise(turns))
