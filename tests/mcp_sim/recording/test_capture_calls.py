"""The calls of a capture process without the process: limits, and a disk that does not keep up."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from mcp_sim.recording.capture.calls import CaptureCalls, RequestRefusedError
from mcp_sim.recording.capture.disk import DiskThread
from mcp_sim.recording.capture.options import CaptureOptions
from mcp_sim.recording.journal.frames import JournalError
from mcp_sim.recording.journal.reader import JournalReader
from mcp_sim.recording.plan import Ended, LegClosed, LegOpened
from mcp_sim.rtp.kernel_clock import KernelClock
from tests.mcp_sim.recording.journals import Workshop, a_plan, largest_file

Outcomes = list[JournalError | None]


class Room:
    """Calls with a disk thread that can be stopped, and a sender."""

    def __init__(self, folder: Path, options: CaptureOptions, capacity: int = 100) -> None:
        self.folder = folder
        self.workshops: dict[str, Workshop] = {}
        self.clock = KernelClock()
        self.disk = DiskThread()
        self.calls = CaptureCalls(options, self.clock, self.disk, capacity)
        self.outcomes: Outcomes = []
        self.disk_goes_on = threading.Event()
        self.sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)

    def open_call(self, recording_id: str) -> None:
        workshop = Workshop(self.folder / recording_id)
        self.workshops[recording_id] = workshop
        self.calls.open_call(
            workshop.folder,
            workshop.key,
            workshop.preamble(),
            a_plan(recording_id),
            self.outcomes.append,
        )

    def open_leg(self, recording_id: str, leg: int = 0) -> tuple[str, int]:
        return self.calls.open_leg(recording_id, LegOpened(leg, "1", {8: "pcma"}, 8000, 1))

    def flush(self) -> None:
        """Flush every call, due or not."""
        for call in self.calls:
            call.due_ns = 0
        self.calls.flush_due(time.monotonic_ns())

    def stop_disk(self) -> None:
        """Have the disk's thread stand still until `disk_goes_on`."""
        self.disk.submit(lambda: _wait(self.disk_goes_on))

    def settle(self) -> None:
        """Wait until the disk's thread has done everything."""
        done = threading.Event()
        self.disk.submit(done.set)
        assert done.wait(20)
        self.disk.run_outcomes()

    def journal(self, recording_id: str) -> JournalReader:
        workshop = self.workshops[recording_id]
        return JournalReader.open(workshop.path, workshop.keyring)

    def close(self) -> None:
        self.disk_goes_on.set()
        self.calls.close_all()
        assert self.disk.close(20)
        self.clock.close()
        self.sender.close()


@pytest.fixture
def room(tmp_path: Path) -> Iterator[Room]:
    room = Room(tmp_path, CaptureOptions(call_buffer=20_100))
    yield room
    room.close()


def count(journal: JournalReader) -> int:
    with journal:
        return sum(len(batch) for batch in journal.packets())


def closed_leg(journal: JournalReader) -> LegClosed:
    with journal:
        return next(event for event in journal.events if isinstance(event, LegClosed))


def test_slow_disk_costs_a_bounded_amount_of_memory_and_is_counted(room: Room) -> None:
    """While the disk stands still, packets wait up to the limit; the rest is counted per leg."""
    room.open_call("slow")
    address = room.open_leg("slow")
    room.settle()
    room.stop_disk()
    for _ in range(20):
        for _ in range(10):
            room.sender.sendto(bytes(189), address)
        room.calls.drain()
        room.flush()
        assert room.calls.buffered <= 20_100
    assert room.calls.overflowed == 100
    room.disk_goes_on.set()
    room.settle()
    room.flush()
    assert room.calls.buffered == 0
    room.sender.sendto(bytes(189), address)
    room.calls.drain()
    room.calls.close_call("slow", Ended(9, "bye"), room.outcomes.append)
    room.settle()
    assert count(room.journal("slow")) == 101
    closed = closed_leg(room.journal("slow"))
    assert (closed.received, closed.overflowed) == (201, 100)
    assert room.outcomes == [None, None]


def test_full_disk_is_tried_again_without_new_packets(room: Room) -> None:
    """What the disk refused is written as soon as it can be, also when the call is silent then."""
    room.open_call("full")
    address = room.open_leg("full")
    room.settle()
    journal = next(iter(room.calls)).journal
    with largest_file((room.folder / "full" / "journal").stat().st_size + 5):
        room.sender.sendto(bytes(189), address)
        room.calls.drain()
        room.flush()
        room.settle()
        assert (journal.stuck, room.disk.counters.errors) == (True, 1)
        assert journal.waiting > 200
    room.flush()
    room.settle()
    assert (journal.stuck, journal.waiting) == (False, 0)
    assert count(room.journal("full")) == 1


def test_a_call_that_ends_on_a_full_disk_is_closed_when_there_is_room(room: Room) -> None:
    """What waits in memory at its end is written later, the end too; only then it is over."""
    room.open_call("full")
    address = room.open_leg("full")
    room.settle()
    with largest_file((room.folder / "full" / "journal").stat().st_size + 5):
        room.sender.sendto(bytes(189), address)
        room.calls.drain()
        room.calls.close_call("full", Ended(9, "bye"), room.outcomes.append)
        for _ in range(3):
            room.settle()
            room.calls.flush_due(time.monotonic_ns() + 10**12)
            assert room.outcomes == [None]
            assert room.calls.buffered > 189
    room.settle()
    room.calls.flush_due(time.monotonic_ns() + 2 * 10**12)
    room.settle()
    room.calls.flush_due(time.monotonic_ns() + 3 * 10**12)
    room.settle()
    assert room.outcomes == [None, None]
    assert room.calls.buffered == 0
    assert count(room.journal("full")) == 1
    with room.journal("full") as journal:
        assert journal.events[-1] == Ended(9, "bye")


def test_all_calls_together_are_bounded(tmp_path: Path) -> None:
    """The limit for the whole process holds when each call alone is within its own."""
    room = Room(tmp_path, CaptureOptions(total_buffer=3_000))
    try:
        addresses = []
        for recording_id in ("one", "two", "three"):
            room.open_call(recording_id)
            addresses.append(room.open_leg(recording_id))
        room.settle()
        for address in addresses:
            for _ in range(7):
                room.sender.sendto(bytes(189), address)
        room.calls.drain()
        assert room.calls.overflowed == 7
        assert [call.buffer.size for call in room.calls] == [1400, 1400, 0]
    finally:
        room.close()


def test_requests_that_make_no_sense_are_refused_in_one_sentence(room: Room) -> None:
    """Unknown calls and legs, and what is open already, are named."""
    room.open_call("known")
    room.open_leg("known", 1)
    cases: dict[str, Callable[[], object]] = {
        "recording other is not being captured": lambda: room.open_leg("other"),
        "recording known is being captured": lambda: room.open_call("known"),
        "leg 1 of recording known is open": lambda: room.open_leg("known", 1),
        "leg 2 of recording known is not open": lambda: room.calls.close_leg("known", 2),
    }
    for message, request in cases.items():
        with pytest.raises(RequestRefusedError) as caught:
            request()
        assert (caught.value.reason, str(caught.value)) == ("refused", message)


def test_more_legs_than_there_is_room_for_are_refused_as_full(tmp_path: Path) -> None:
    """The limit of legs is one that may pass; a closed leg makes room."""
    room = Room(tmp_path, CaptureOptions(), capacity=2)
    try:
        room.open_call("full")
        room.open_leg("full", 0)
        room.open_leg("full", 1)
        with pytest.raises(RequestRefusedError, match="2 legs are being captured") as caught:
            room.open_leg("full", 2)
        assert caught.value.reason == "full"
        room.calls.close_leg("full", 0)
        room.open_leg("full", 2)
    finally:
        room.close()


def test_journal_that_cannot_be_created_ends_the_call(room: Room) -> None:
    """The front is told, and the id is free again."""
    (room.folder / "blocked").write_text("a file where a folder should be")
    room.open_call("blocked")
    room.settle()
    assert "cannot be created" in str(room.outcomes[0])
    assert len(room.calls) == 0


def test_call_closed_before_its_journal_failed_leaves_the_next_one_alone(room: Room) -> None:
    """A journal that fails late takes neither the process nor a later call of the same id away."""
    (room.folder / "twice").write_text("a file where a folder should be")
    room.stop_disk()
    room.open_call("twice")
    room.calls.close_call("twice", Ended(9, "bye"), room.outcomes.append)
    room.workshops["twice"] = Workshop(room.folder / "twice-again")
    workshop = room.workshops["twice"]
    room.calls.open_call(
        workshop.folder, workshop.key, workshop.preamble(), a_plan("twice"), room.outcomes.append
    )
    address = room.open_leg("twice")
    room.disk_goes_on.set()
    room.settle()
    assert len(room.calls) == 1
    room.sender.sendto(bytes(189), address)
    room.calls.drain()
    room.calls.close_call("twice", Ended(9, "bye"), room.outcomes.append)
    room.settle()
    assert count(room.journal("twice")) == 1
    [fault] = [str(error) for error in room.outcomes if error]
    assert fault.endswith("(File exists)")


def test_counts_of_closed_legs_are_still_told(room: Room) -> None:
    """While a call runs, what came on a leg that is closed is not forgotten."""
    room.open_call("counted")
    address = room.open_leg("counted")
    room.open_leg("counted", 1)
    room.sender.sendto(bytes(189), address)
    room.calls.close_leg("counted", 0)
    counts = room.calls.counts()["counted"]
    assert {leg: told.received for leg, told in counts.items()} == {0: 1, 1: 0}


def test_folder_and_journal_are_for_their_owner_only(room: Room) -> None:
    """The folder that is made for a journal has mode 0700, the journal 0600."""
    room.open_call("private")
    room.settle()
    folder = room.folder / "private"
    assert folder.stat().st_mode & 0o777 == 0o700
    assert (folder / "journal").stat().st_mode & 0o777 == 0o600


def test_only_a_part_of_the_calls_is_flushed_at_a_time(room: Room) -> None:
    """A call's packets wait for its own flush time, half a second from its own beginning."""
    room.open_call("early")
    address = room.open_leg("early")
    room.sender.sendto(bytes(189), address)
    room.calls.drain()
    now_ns = time.monotonic_ns()
    room.calls.flush_due(now_ns)
    assert room.calls.buffered == 200
    room.calls.flush_due(now_ns + 500_000_000)
    room.settle()
    assert count(room.journal("early")) == 1


def _wait(gate: threading.Event) -> None:
    assert gate.wait(20)
