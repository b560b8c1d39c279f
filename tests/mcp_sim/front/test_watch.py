"""The platform's look at itself: what it reads of its processes, and that nothing stops it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from typing import Any

import pytest

from mcp_sim.admission.gauges import Gauges
from mcp_sim.call import Call
from mcp_sim.config import LimitSettings
from mcp_sim.lapse import Lapse, Lapses
from mcp_sim.recording.capture.messages import CaptureStats
from mcp_sim.watch import Watch


class Client:
    """A capture process that tells figures."""

    pid = 0

    def __init__(self) -> None:
        self.stats = CaptureStats()


class Fleet:
    """Some of them."""

    def __init__(self, *clients: Client) -> None:
        self.up = list(clients)
        self.pids: list[int] = []


class NoCalls:
    """No call runs."""

    running: tuple[()] = ()


class Broken(Lapses):
    """Fails at its first look."""

    def __init__(self, then: Callable[[], None]) -> None:
        super().__init__(0.0)
        self._looks = 0
        self._then = then

    def look(self, calls: Iterable[Call], now: float) -> list[Lapse]:
        self._looks += 1
        if self._looks == 1:
            raise ValueError("a figure that nobody foresaw")
        self._then()
        return []


@pytest.fixture
def gauges() -> Gauges:
    return Gauges(LimitSettings())


def watching(gauges: Gauges, *clients: Client, lapses: Lapses | None = None) -> Watch:
    fleet: Any = Fleet(*clients)
    calls: Any = NoCalls()
    return Watch(calls, fleet, gauges, lapses or Lapses(0.0))


def values(gauges: Gauges) -> dict[str, float]:
    return {gauge.name: gauge.value for gauge in gauges.all}


def test_the_worst_process_counts(gauges: Gauges) -> None:
    """Of ticks and flushes the worst of all capture processes; the share of files is measured."""
    one, other = Client(), Client()
    one.stats = CaptureStats(worst_tick_lag=0.7, worst_flush=0.1)
    other.stats = CaptureStats(worst_tick_lag=0.2, worst_flush=2.5)
    watching(gauges, one, other).measure(0.0)
    assert values(gauges)["capture-lag"] == 0.7
    assert values(gauges)["flush-lag"] == 2.5
    assert 0 < values(gauges)["open-files"] < 1


def test_a_process_that_tells_nothing_is_late(gauges: Gauges) -> None:
    """Figures come every second; how long they are overdue is a lag, until new ones come."""
    client = Client()
    watch = watching(gauges, client)
    late = []
    for second in range(6):
        if second == 5:
            client.stats = CaptureStats()
        watch.measure(float(second))
        late.append(round(values(gauges)["capture-lag"], 3))
    assert late == [0, 0, 0.8, 1.8, 2.8, 0]


def test_without_capture_processes(gauges: Gauges) -> None:
    """Their end is no lag: that they are missing is told otherwise."""
    client = Client()
    watch = watching(gauges, client)
    watch.measure(0.0)
    watch._fleet.up.clear()
    watch.measure(100.0)
    assert values(gauges)["capture-lag"] == 0


async def test_one_bad_look_does_not_end_it(
    gauges: Gauges, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What goes wrong in a look is logged; the next one is made, and cancelling ends it."""
    monkeypatch.setattr("mcp_sim.watch._EVERY", 0.001)
    again = asyncio.Event()
    task = asyncio.create_task(watching(gauges, lapses=Broken(again.set)).run())
    async with asyncio.timeout(10):
        await again.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
