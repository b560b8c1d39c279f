"""The heap of deadlines."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from mcp_sim.sip.alarms import Alarms

deadlines = st.floats(0, 100, allow_nan=False) | st.none()


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 5), deadlines), max_size=60), st.floats(0, 100))
def test_alarms_ring_once_in_order(steps: list[tuple[int, float | None]], now: float) -> None:
    """Whatever was set, moved and forgotten, exactly the last deadlines that are due ring."""
    alarms: Alarms[int] = Alarms()
    wanted: dict[int, float] = {}
    for owner, deadline in steps:
        alarms.set(owner, deadline)
        wanted.pop(owner, None)
        if deadline is not None:
            wanted[owner] = deadline
    assert alarms.next_deadline() == min(wanted.values(), default=None)
    rung = []
    while (owner := alarms.pop_due(now)) is not None:  # type: ignore[assignment]  # ends the loop
        rung.append(wanted.pop(owner))
    assert rung == sorted(rung)
    assert all(deadline > now for deadline in wanted.values())
    assert len(alarms) == len(wanted)


def test_forgotten_owners_are_let_go() -> None:
    """Moving one deadline thousands of times does not fill the heap."""
    alarms: Alarms[str] = Alarms()
    for step in range(5000):
        alarms.set("one", 1000.0 + step)
    assert alarms.next_deadline() == 5999.0
    assert len(alarms._heap) < 600
