"""The capture processes, watched: started again, spread over, counted on."""

from __future__ import annotations

import asyncio
import os
import signal
import tempfile
from collections.abc import Iterator
from types import TracebackType
from typing import Self

import pytest

from mcp_sim import capture_fleet as fleet_module
from mcp_sim.capture_fleet import CaptureFleet, capture_fleet
from mcp_sim.recording.capture.client import CaptureClient, CaptureError
from mcp_sim.recording.capture.messages import CaptureStats
from mcp_sim.recording.capture.options import CaptureOptions
from tests.mcp_sim.front.recorder import QUIET, until

OPTIONS = CaptureOptions(tick=0.02, flush=0.05, legs=10)


@pytest.fixture
def lock() -> Iterator[int]:
    """The descriptor of some file."""
    with tempfile.TemporaryFile() as file:
        yield file.fileno()


async def test_killed_process_is_replaced(lock: int) -> None:
    """Another one is up soon, however long those take who are told; the end waits for neither."""
    told: list[CaptureClient] = []

    async def on_death(client: CaptureClient) -> None:
        told.append(client)
        await asyncio.Event().wait()  # as with callers who answer no BYE

    async with capture_fleet(2, OPTIONS, QUIET, lock=lock) as fleet:
        fleet.tell_deaths(on_death)
        assert (len(fleet.pids), fleet.legs) == (2, 20)
        killed = fleet.choose()
        os.kill(killed.pid, signal.SIGKILL)
        await until(lambda: told == [killed])
        await until(lambda: len(fleet.pids) == 2)
        assert killed.pid not in fleet.pids
        assert fleet.deaths == 1
    assert killed.closed.is_set()


class FakeClient(CaptureClient):
    """A process that a test ends; `faults` are what the next starts end with."""

    made: list[FakeClient]
    faults: list[Exception]

    async def __aenter__(self) -> Self:
        if self.faults:
            raise self.faults.pop(0)
        self.made.append(self)
        self.pid = len(self.made)
        return self

    def kill(self) -> None:
        self.closed.set()

    async def __aexit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        self.closed.set()


@pytest.fixture
def clients(monkeypatch: pytest.MonkeyPatch) -> type[FakeClient]:
    """Fake processes in place of real ones, started again without a pause."""
    FakeClient.made, FakeClient.faults = [], []
    monkeypatch.setattr(fleet_module, "CaptureClient", FakeClient)
    monkeypatch.setattr(fleet_module, "_FIRST_PAUSE", 0.001)
    return FakeClient


async def started(clients: type[FakeClient], number: int) -> None:
    """Wait until so many processes were started."""
    await until(lambda: len(clients.made) >= number)


async def test_start_that_fails_is_tried_again(clients: type[FakeClient]) -> None:
    """A process that does not start costs time, and nothing else."""
    clients.faults += [CaptureError("it ended at once"), OSError("no process")]
    async with capture_fleet(1, OPTIONS, QUIET, lock=0) as fleet:
        assert len(fleet.pids) == 1
        assert fleet.deaths == 0


async def test_processes_that_never_start(
    clients: type[FakeClient], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without capture the platform does not start, and says so."""
    monkeypatch.setattr(fleet_module, "_START_SECONDS", 0.05)
    clients.faults += [OSError("no process")] * 10_000
    with pytest.raises(ExceptionGroup) as failed:
        async with capture_fleet(1, OPTIONS, QUIET, lock=0):
            pytest.fail("there is no capture process")
    assert "did not start in time" in str(failed.value.exceptions[0])


async def test_calls_are_spread(clients: type[FakeClient]) -> None:
    """The process with the fewest calls takes the next one, whatever its last figures were."""
    async with capture_fleet(3, OPTIONS, QUIET, lock=0) as fleet:
        for number in range(9):
            fleet.choose().calls.add(str(number))
        assert [len(client.calls) for client in clients.made] == [3, 3, 3]


async def test_counters_outlive_their_process(clients: type[FakeClient]) -> None:
    """What a dead process counted stays counted; what it had is gone with it."""
    async with capture_fleet(1, OPTIONS, QUIET, lock=0) as fleet:
        for number, packets in enumerate((10, 5), 1):
            figures = {"packets": packets, "legs": 2}
            client = clients.made[-1]
            client.stats = CaptureStats(worst_tick_lag=9.0, per_call={"x": {}}, **figures)
            client.closed.set()
            await started(clients, number + 1)
        clients.made[-1].stats = CaptureStats(packets=1, legs=1)
        stats = fleet.stats
        assert sum(s.packets for s in stats) == 16
        assert sum(s.legs for s in stats) == 1
        assert max(s.worst_tick_lag for s in stats) == 0.0
        assert not any(s.per_call for s in stats)


async def test_process_that_hangs(
    clients: type[FakeClient], monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that tells no figures any more is killed; one that does is left alone."""
    monkeypatch.setattr(fleet_module, "_CHECK_SECONDS", 0.02)
    async with capture_fleet(2, OPTIONS, QUIET, lock=0) as fleet:
        hangs, lives = clients.made
        async with asyncio.timeout(20):
            while not hangs.closed.is_set():
                lives.stats = CaptureStats(packets=lives.stats.packets + 1)
                await asyncio.sleep(0.001)
        assert lives in fleet._clients
        assert not lives.closed.is_set()


async def test_none_is_up() -> None:
    """Without a process there is an error for the caller, not a wait."""
    with pytest.raises(CaptureError, match="no capture process is up"):
        CaptureFleet(OPTIONS, QUIET, lock=0).choose()


async def test_fault_of_who_is_told(clients: type[FakeClient]) -> None:
    """A fault in dealing with a death costs neither the new process nor the platform."""

    async def on_death(client: CaptureClient) -> None:
        raise RuntimeError("a fault of the program")

    async with capture_fleet(1, OPTIONS, QUIET, lock=0) as fleet:
        fleet.tell_deaths(on_death)
        clients.made[0].closed.set()
        await until(lambda: len(clients.made) == 2 and len(fleet.pids) == 1)
