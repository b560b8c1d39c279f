"""From captured to delivered: what fails is tried again or left, and never stops the others."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import cast

import pytest

from mcp_sim.pipeline import Pipeline
from mcp_sim.recording.delivery.backoff import Backoff
from mcp_sim.recording.delivery.delivery import Delivery
from mcp_sim.recording.render.pool import RenderPool
from mcp_sim.recording.spool.folders import State
from mcp_sim.recording.spool.spool import Spool
from tests.mcp_sim.front.recorder import until

QUICK = Backoff(first=0.001, longest=0.001)


class FakeRenders:
    """Renders by moving items to ``ready``; an item named in `stuck` never ends, in `bad` fails."""

    def __init__(self, spool: Spool) -> None:
        self._spool = spool
        self.stuck: set[str] = set()
        self.bad: set[str] = set()
        self.seen: list[str] = []

    async def render(self, item: str) -> bool:
        self.seen.append(item)
        if item in self.stuck:
            await asyncio.Event().wait()
        if item in self.bad:
            raise RuntimeError("a fault of the program")
        self._spool.advance(item, State.READY)
        return True


class FakeDelivery:
    """Counts; delivers nothing."""

    def __init__(self) -> None:
        self.woken = 0
        self.running = False
        self.drained: list[float] = []

    async def run(self) -> None:
        self.running = True
        try:
            await asyncio.Event().wait()
        finally:
            self.running = False

    def wake(self) -> None:
        self.woken += 1

    async def drain(self, grace: float) -> bool:
        self.drained.append(grace)
        return True


class Line:
    """A pipeline with fakes behind it."""

    def __init__(self, spool: Spool) -> None:
        self.spool = spool
        self.renders = FakeRenders(spool)
        self.delivery = FakeDelivery()
        self.pipeline = Pipeline(
            spool, cast("RenderPool", self.renders), cast("Delivery", self.delivery), backoff=QUICK
        )


@pytest.fixture
def line(tmp_path: Path) -> Iterator[Line]:
    with Spool(tmp_path / "spool") as spool:
        yield Line(spool)


async def test_captured_is_rendered_and_told_to_delivery(line: Line) -> None:
    """An item goes from ``capturing`` to its render; delivery is woken when it is ready."""
    async with line.pipeline.running():
        await until(lambda: line.delivery.running)
        line.spool.create("a")
        line.pipeline.captured("a")
        assert line.pipeline.rendering == 1
        await until(lambda: line.pipeline.rendering == 0)
        assert line.spool.state_of("a") is State.READY
        assert line.delivery.woken == 1
    assert not line.delivery.running


async def test_what_an_earlier_process_left(line: Line) -> None:
    """Items that were being captured or rendered are rendered at the start."""
    line.spool.create("captured")
    line.spool.create("rendered")
    line.spool.advance("rendered", State.RENDERING)
    async with line.pipeline.running():
        await until(lambda: line.spool.items(State.READY) == ["captured", "rendered"])


async def test_one_fault_does_not_stop_the_others(line: Line) -> None:
    """A render that ends by a fault leaves its item where it is; the next one is rendered."""
    line.renders.bad.add("bad")
    async with line.pipeline.running():
        for item in ("bad", "good"):
            line.spool.create(item)
            line.pipeline.captured(item)
        await until(lambda: line.pipeline.rendering == 0)
    assert line.spool.state_of("bad") is State.RENDERING
    assert line.spool.state_of("good") is State.READY


async def test_disk_that_lets_no_item_move(line: Line, monkeypatch: pytest.MonkeyPatch) -> None:
    """A captured item that cannot be moved is tried again until it can; nobody is told an error."""
    tries = []
    advance = line.spool.advance

    def sometimes(item: str, state: State) -> Path:
        tries.append(state)
        if len(tries) < 3:
            raise OSError(28, "No space left on device")
        return advance(item, state)

    monkeypatch.setattr(line.spool, "advance", sometimes)
    async with line.pipeline.running():
        line.spool.create("a")
        line.pipeline.captured("a")
        await until(lambda: line.delivery.woken == 1)
    assert len(tries) == 4


async def test_item_that_is_gone(line: Line) -> None:
    """An item that somebody removed is no reason to try for ever."""
    async with line.pipeline.running():
        line.pipeline.captured("nobody")
        await until(lambda: line.pipeline.rendering == 0)
    assert line.renders.seen == []


async def test_drain_is_bounded(line: Line) -> None:
    """A render that does not end costs the grace period, and is taken up at the next start."""
    line.renders.stuck.add("stuck")
    async with line.pipeline.running():
        line.spool.create("stuck")
        line.pipeline.captured("stuck")
        await until(lambda: line.renders.seen == ["stuck"])
        async with asyncio.timeout(5):
            await line.pipeline.drain(0.05)
        assert line.delivery.drained[0] < 0.05
    assert line.pipeline.rendering == 0
    assert line.spool.state_of("stuck") is State.RENDERING


async def test_captured_after_the_end(line: Line) -> None:
    """What is handed on too late stays in ``capturing`` for the next start."""
    async with line.pipeline.running():
        pass
    line.spool.create("late")
    line.pipeline.captured("late")
    assert line.pipeline.rendering == 0
    assert line.spool.state_of("late") is State.CAPTURING
