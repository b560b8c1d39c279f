"""Power is cut after each sync, and all is gone that was not synced: what was promised is there."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from mcp_sim.recording.capture.calls import CaptureCalls
from mcp_sim.recording.capture.disk import DiskThread
from mcp_sim.recording.capture.options import CaptureOptions, Durability
from mcp_sim.recording.capture.stable import StableThread
from mcp_sim.recording.disk_calls import DiskCalls
from mcp_sim.recording.journal.frames import JournalError
from mcp_sim.recording.journal.reader import JournalReader
from mcp_sim.recording.keyring import SpoolKeyring
from mcp_sim.recording.plan import Ended, LegOpened
from mcp_sim.recording.render.messages import RenderSettings
from mcp_sim.recording.render.render import render
from mcp_sim.recording.spool.folders import FAILURE, JOURNAL
from mcp_sim.recording.spool.item import Progress, read_progress, write_progress
from mcp_sim.recording.spool.spool import Spool, State
from mcp_sim.rtp.kernel_clock import KernelClock

from .journals import Workshop, a_plan
from .power_loss import PowerLoss, Tree, put_down
from .recorded_call import course, open_recording, record
from .synthetic_call import heard, speech, stream

SOUND = speech(50)
PATIENCE = 20.0


@pytest.fixture
def disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[PowerLoss]:
    """Give a disk of which only what was synced is left."""
    root = tmp_path / "disk"
    root.mkdir()
    loss = PowerLoss(root, monkeypatch)
    yield loss
    loss.close()


def after(tree: Tree, folder: Path) -> Spool:
    """The spool as the next process finds it."""
    put_down(tree, folder)
    return Spool(folder / "spool", wait=0)


# Item states


def test_a_recording_is_somewhere_whole_after_any_power_loss(
    disk: PowerLoss, tmp_path: Path, keyring: SpoolKeyring
) -> None:
    """From its journal's sync to its delivery: rendered anew, or ready and whole, never twice."""
    with Spool(tmp_path / "disk" / "spool", wait=0) as spool:
        item = record(spool, keyring, course(1000), stream(SOUND))
        disk.sync_file_system(0)
        begin = len(disk.cuts) - 1
        render(spool, item, keyring, RenderSettings(), DiskCalls(sync=disk.fsync))
        spool.finish(item)
    cuts = disk.cuts[begin:]
    states = []
    for number, tree in enumerate(cuts):
        with after(tree, tmp_path / f"cut {number}") as left:
            states.append(left.state_of(item))
            assert sum(item in left.items(state) for state in State) == 1
            for waiting in left.recover():
                render(left, waiting, keyring, RenderSettings())
            if left.state_of(item) is State.READY:
                _, wav = open_recording(left, item)
                sound = np.frombuffer(wav[44:], "<i2").reshape(-1, 2).T
                assert np.array_equal(sound[0], heard(SOUND))
            else:
                assert left.state_of(item) is State.DELIVERED
    assert len(cuts) >= 4
    assert states == sorted(states, key=[*State].index), "no power loss throws an item back"
    assert {*states} == {State.RENDERING, State.READY, State.DELIVERED}


def test_a_captured_item_moves_or_stays(disk: PowerLoss, tmp_path: Path) -> None:
    """A rename that was not synced is lost whole: the item is where it was, with its journal."""
    with Spool(tmp_path / "disk" / "spool", wait=0) as spool:
        (spool.create("item") / JOURNAL).write_bytes(b"sound")
        disk.sync_file_system(0)
        begin = len(disk.cuts) - 1
        spool.advance("item", State.RENDERING)
        spool.fail("item", "because")
        reason = spool.folder("item", State.FAILED) / FAILURE
        assert reason.read_text() == "because\n"
    for number, tree in enumerate(disk.cuts[begin:]):
        with after(tree, tmp_path / f"cut {number}") as left:
            state = left.state_of("item")
            assert state is not None
            assert (left.folder("item", state) / JOURNAL).read_bytes() == b"sound"
    assert (left.folder("item", State.FAILED) / FAILURE).read_text() == "because\n"


def test_progress_is_the_old_or_the_new_one(disk: PowerLoss, tmp_path: Path) -> None:
    """An unconfirmed PUT is known to the next process before it is sent; nothing is torn."""
    folder = tmp_path / "disk" / "item"
    folder.mkdir()
    disk.sync_file_system(0)
    write_progress(folder, Progress(tries=1))
    first = len(disk.cuts)
    write_progress(folder, Progress(tries=2, unconfirmed=True))
    seen = []
    for number, tree in enumerate(disk.cuts[first - 1 :]):
        put_down(tree, tmp_path / f"cut {number}")
        seen.append(read_progress(tmp_path / f"cut {number}" / "item"))
    assert {*seen} == {Progress(tries=1), Progress(tries=2, unconfirmed=True)}
    assert seen[-1].unconfirmed


def test_without_syncs_nothing_is_left(disk: PowerLoss, tmp_path: Path) -> None:
    """The model loses what was not synced; else the tests here would prove nothing."""
    (tmp_path / "disk" / "file").write_bytes(b"x")
    assert disk.now() == {}
    with (tmp_path / "disk" / "file").open("rb") as file:
        disk.fsync(file.fileno())
    assert disk.now() == {}, "its folder does not know of it yet"


# Journals


class Capture:
    """A capture process's calls on a disk that forgets, in this process."""

    def __init__(self, disk: PowerLoss, folder: Path, durability: Durability) -> None:
        options = CaptureOptions(durability=durability, sync_pause=0.01)
        self.disk = disk
        self.workshop = Workshop(folder)
        self.stable = StableThread(options, disk.sync_file_system)
        self.writing = DiskThread(self.stable.wrote)
        self.clock = KernelClock()
        self.calls = CaptureCalls(options, self.clock, self.writing, 10, self.stable)
        self.outcomes: list[JournalError | None] = []
        self.sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        preamble = self.workshop.preamble()
        plan = a_plan("CALL")
        self.calls.open_call(folder, self.workshop.key, preamble, plan, self.outcomes.append)
        opened = LegOpened(0, "1", {8: "pcma"}, 8000, 1)
        self.address = self.calls.open_leg("CALL", opened)

    def send(self, count: int) -> None:
        """Have `count` packets received and given to the journal."""
        for number in range(count):
            self.sender.sendto(b"\x80\x08" + number.to_bytes(10, "big") + bytes(20), self.address)
        end = time.monotonic() + PATIENCE
        before = self.calls.packets
        while self.calls.packets < before + count:
            assert time.monotonic() < end
            self.calls.drain()
        for call in self.calls:
            call.due_ns = 0
        self.calls.flush_due(time.monotonic_ns())

    def settle(self) -> None:
        """Wait until all is written, synced or not."""
        done = threading.Event()
        self.writing.submit(done.set)
        assert done.wait(PATIENCE)

    def until(self, holds: Callable[[], bool]) -> None:
        end = time.monotonic() + PATIENCE
        while not holds():
            assert time.monotonic() < end
            time.sleep(0.002)
            self.writing.run_outcomes()

    def packets_left(self, folder: Path) -> int:
        """How many packets a power loss leaves now: 0 too when there is no journal at all."""
        put_down(self.disk.now(), folder)
        try:
            with JournalReader.open(folder / "call" / JOURNAL, self.workshop.keyring) as journal:
                return sum(len(batch) for batch in journal.packets())
        except JournalError:
            return 0

    def close(self) -> None:
        self.calls.close_all()
        assert self.writing.close(PATIENCE)
        assert self.stable.close(PATIENCE)
        self.clock.close()
        self.sender.close()


@pytest.fixture
def capture(disk: PowerLoss, tmp_path: Path, durability: Durability) -> Iterator[Capture]:
    """Give a call that is being captured."""
    running = Capture(disk, tmp_path / "disk" / "call", durability)
    yield running
    running.close()


@pytest.mark.parametrize("durability", ["power"])
def test_each_flush_is_synced_soon(capture: Capture, tmp_path: Path) -> None:
    """With ``power`` what was flushed survives, in the middle of the call, without being asked."""
    for flush in range(1, 4):
        capture.send(10)
        capture.until(lambda: _left(capture, tmp_path) == 10 * flush)  # noqa: B023  # called here


def _left(capture: Capture, tmp_path: Path) -> int:
    return capture.packets_left(tmp_path / f"left {time.monotonic_ns()}")


@pytest.mark.parametrize("durability", ["call", "power"])
def test_a_call_has_ended_when_its_journal_is_stable(capture: Capture, tmp_path: Path) -> None:
    """Whoever is told that the journal is closed can cut the power."""
    capture.send(20)
    told: list[JournalError | None] = []
    capture.calls.close_call("CALL", Ended(5, "bye"), told.append)
    capture.until(lambda: bool(told))
    assert told == [None]
    assert _left(capture, tmp_path) == 20


@pytest.mark.parametrize("durability", ["process"])
def test_nothing_is_synced_for_processes(capture: Capture, tmp_path: Path) -> None:
    """With ``process`` nobody waits for the disk, and a power loss takes the call."""
    capture.send(20)
    told: list[JournalError | None] = []
    capture.calls.close_call("CALL", Ended(5, "bye"), told.append)
    capture.until(lambda: bool(told))
    assert told == [None]
    assert _left(capture, tmp_path) == 0


@pytest.mark.parametrize("durability", ["call"])
def test_a_running_call_is_not_synced_for_calls(capture: Capture, tmp_path: Path) -> None:
    """With ``call`` only the end of a call waits for the disk."""
    capture.send(20)
    capture.settle()
    assert _left(capture, tmp_path) == 0


def test_a_disk_that_cannot_sync_is_told(tmp_path: Path) -> None:
    """The end of the call says so, and the error is counted; the thread goes on."""

    def refuse(_descriptor: int) -> None:
        raise OSError(5, "Input/output error")

    stable = StableThread(CaptureOptions(durability="call"), refuse)
    stable.begin(tmp_path)
    told: list[JournalError | None] = []
    both = threading.Semaphore(0)

    def tell(error: JournalError | None) -> None:
        told.append(error)
        both.release()

    for _ in range(2):
        stable.ask(tell)
        assert both.acquire(timeout=PATIENCE)
    assert stable.close(PATIENCE)
    assert [str(error) for error in told] == [
        f"{tmp_path}: cannot be synced (Input/output error)"
    ] * 2
    assert stable.errors == 3, "the last one is the end's own"


def test_who_asks_while_a_sync_runs_is_served_by_the_next(tmp_path: Path) -> None:
    """A sync that began before a write says nothing about it."""
    running, go_on = threading.Event(), threading.Semaphore(0)
    began: list[int] = []

    def sync(_descriptor: int) -> None:
        began.append(len(began))
        running.set()
        assert go_on.acquire(timeout=PATIENCE)

    stable = StableThread(CaptureOptions(durability="call"), sync)
    stable.begin(tmp_path)
    told: list[int] = []
    stable.ask(lambda _: told.append(1))
    assert running.wait(PATIENCE)
    stable.ask(lambda _: told.append(2))
    stable.ask(lambda _: told.append(3))
    go_on.release(10)
    assert stable.close(PATIENCE)
    assert told == [1, 2, 3]
    assert 2 <= len(began) <= 3


def test_nobody_is_told_after_the_end() -> None:
    """A sync that ends later than the thread of the disk reaches no descriptor of others."""
    writing = DiskThread()
    assert writing.close(PATIENCE)
    writing.tell(lambda _: None, None)
