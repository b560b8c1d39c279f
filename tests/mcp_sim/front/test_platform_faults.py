"""The platform breaks itself as a plan says: at its moments, and nowhere else."""

from __future__ import annotations

import asyncio
import os
import signal
from dataclasses import dataclass, field

import pytest

from mcp_sim.faults import PlatformFaults
from mcp_sim.recording.disk_calls import FaultsInForce
from mcp_sim.wall_clock import WallClock
from service_shell.faults import FaultPlan, FaultSwitch, PlatformFault


@dataclass
class Captures:
    """Capture processes that only take note."""

    pids: list[int] = field(default_factory=lambda: [11, 12])
    told: list[FaultsInForce | None] = field(default_factory=list)

    async def set_faults(self, faults: FaultsInForce | None) -> None:
        self.told.append(faults)


class Scene:
    """A switch, a clock that stands still, and who was killed."""

    def __init__(self) -> None:
        self.time = 100.0
        self.switch = FaultSwitch("mcp", clock=lambda: self.time)
        self.wall = WallClock()
        self.captures = Captures()
        self.killed: list[int] = []
        self.faults = PlatformFaults(self.switch, self.wall, self.kill)

    def kill(self, pid: int, number: int) -> None:
        assert number == signal.SIGKILL
        self.killed.append(pid)

    def put(self, *faults: PlatformFault) -> None:
        self.switch.put(FaultPlan(faults=list(faults)))

    def due(self) -> float | None:
        return self.faults.do_due(self.captures)


def test_a_crash_strikes_once_at_its_moment() -> None:
    """Not before `begin`, then once; what comes next is told, so that nobody has to look."""
    scene = Scene()
    scene.put(PlatformFault(kind="crash", begin=5.0))
    assert scene.due() == 5.0
    assert scene.killed == []
    scene.time += 5
    assert scene.due() is None
    scene.time += 5
    scene.due()
    assert scene.killed == [os.getpid()]


def test_a_capture_process_is_killed() -> None:
    """One of those that are up; without any there is nothing to be done."""
    scene = Scene()
    scene.put(PlatformFault(kind="capture-crash"))
    scene.due()
    assert scene.killed[0] in scene.captures.pids
    scene.captures.pids.clear()
    scene.put(PlatformFault(kind="capture-crash"))
    scene.due()
    assert len(scene.killed) == 1


def test_the_wall_clock_jumps_and_comes_back() -> None:
    """From `begin` to `end` it is ahead; two jumps add up; clearing ends them all."""
    scene = Scene()
    scene.put(
        PlatformFault(kind="clock-jump", seconds_ahead=-86_400, begin=1, end=3),
        PlatformFault(kind="clock-jump", seconds_ahead=10),
    )
    seen = []
    for _ in range(4):
        scene.due()
        seen.append(scene.wall.ahead)
        scene.time += 1
    assert seen == [10, -86_390, -86_390, 10]
    scene.switch.clear()
    scene.due()
    assert scene.wall.ahead == 0
    assert scene.due() is None


def test_an_added_fault_counts_from_its_own_beginning() -> None:
    """It strikes `begin` seconds after it was added; the others are as they were."""
    scene = Scene()
    scene.put(PlatformFault(kind="crash", begin=50, name="first"))
    scene.time += 10
    scene.switch.add(PlatformFault(kind="crash", begin=2, name="second"))
    assert scene.due() == 2
    in_force = scene.faults.in_force
    assert in_force is not None
    assert [fault.begin for fault in in_force.plan.faults] == [50, 12]
    scene.time += 2
    scene.due()
    assert len(scene.killed) == 1


def test_renders_crash_as_often_as_the_plan_says() -> None:
    """`skip` and `times` count renders, whichever worker has them."""
    scene = Scene()
    scene.put(PlatformFault(kind="render-crash", skip=1, times=2))
    assert [scene.faults.crashes(f"item {n}") for n in range(5)] == [
        False,
        True,
        True,
        False,
        False,
    ]


def test_improbable_moments_may_not_come() -> None:
    """A moment is drawn like everything else."""
    scene = Scene()
    scene.put(PlatformFault(kind="crash", probability=0.0))
    scene.due()
    assert scene.killed == []


@pytest.mark.parametrize("cleared", [False, True])
async def test_capture_processes_are_told_of_every_change(cleared: bool) -> None:
    """What is in force now, or that nothing is any more."""
    scene = Scene()
    scene.put(PlatformFault(kind="disk-full", begin=3600))
    async with scene.faults.causing(scene.captures):
        while not scene.captures.told:
            await asyncio.sleep(0)
        if cleared:
            scene.switch.clear()
            while len(scene.captures.told) < 2:
                await asyncio.sleep(0)
    last = scene.captures.told[-1]
    assert (last is None) is cleared
    if last is not None:
        assert last.began == 100.0
        assert [fault.kind for fault in last.plan.faults if isinstance(fault, PlatformFault)] == [
            "disk-full"
        ]


def test_jumps_together_stay_in_time() -> None:
    """Many jumps are no further than one may be: times can still be written."""
    for ahead in (-1e9, 1e9):
        scene = Scene()
        jumps = [PlatformFault(kind="clock-jump", seconds_ahead=ahead) for _ in range(200)]
        scene.put(*jumps)
        scene.due()
        assert scene.wall.ahead == ahead
        assert 1980 < scene.wall.moment().year < 2100


def test_a_capture_process_that_has_just_ended_costs_nothing() -> None:
    """A crash that comes too late ends nothing else: not the platform with all its calls."""
    scene = Scene()

    def gone(_pid: int, _number: int) -> None:
        raise ProcessLookupError

    faults = PlatformFaults(scene.switch, scene.wall, gone)
    scene.put(PlatformFault(kind="capture-crash"))
    assert faults.do_due(scene.captures) is None
