"""A capture process as it runs: packets in, journals out, and how it ends."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import socket
import sys
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from mcp_sim.recording.capture.client import (
    CaptureClient,
    CaptureDiedError,
    CaptureDiskError,
    CaptureFullError,
    CaptureRefusedError,
)
from mcp_sim.recording.capture.options import CaptureOptions
from mcp_sim.recording.capture.process import leg_capacity
from mcp_sim.recording.journal.frames import PacketBatch
from mcp_sim.recording.journal.reader import JournalReader
from mcp_sim.recording.keyring import SpoolKeyring
from mcp_sim.recording.plan import (
    Ended,
    LegClosed,
    LegOpened,
    ParametersChanged,
    Paused,
    Resumed,
    Started,
)
from mcp_sim.rtp.arrival import SLACK_NS
from service_shell.log import LogSettings
from tests.mcp_sim.recording.journals import RECIPIENTS, Workshop, a_plan

QUIET = LogSettings(level="error")
FAST = CaptureOptions(tick=0.02, flush=0.1)
ID = "A" * 32
# Seconds between an arrival and what is told of it: well above what the kernel's clock may be off.
_CLEARLY = 5 * SLACK_NS / 1e9
STARTED = Started(time.monotonic_ns(), 1_700_000_000_000_000_000)


class Call:
    """One call in a capture process, with its folder and a phone that sends to it."""

    def __init__(self, capture: CaptureClient, folder: Path, recording_id: str = ID) -> None:
        self.capture = capture
        self.id = recording_id
        self.workshop = Workshop(folder / recording_id)
        self.addresses: list[tuple[str, int]] = []

    async def open(self, legs: int = 1) -> None:
        key, preamble = self.workshop.key, self.workshop.preamble()
        folder = self.workshop.folder
        await self.capture.open_call(folder, key, RECIPIENTS, preamble.key_box, a_plan(self.id))
        for leg in range(legs):
            opened = LegOpened(leg, str(leg), {8: "pcma"}, 8000, time.monotonic_ns())
            self.addresses.append(await self.capture.open_leg(self.id, opened))
        await self.capture.event(self.id, STARTED)  # behind which all of the above is on disk

    def send(self, first: int, count: int, leg: int = 0, payload: bytes = b"voice") -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as phone:
            for number in range(first, first + count):
                phone.sendto(datagram(number, payload), self.addresses[leg])

    async def end(self) -> None:
        await self.capture.close_call(self.id, Ended(time.monotonic_ns(), "bye"))

    def read(self) -> tuple[JournalReader, list[PacketBatch]]:
        with JournalReader.open(self.workshop.path, self.workshop.keyring) as journal:
            return journal, list(journal.packets())


def datagram(number: int, payload: bytes = b"voice") -> bytes:
    return bytes([0x80, 8]) + number.to_bytes(2, "big") + bytes(8) + payload


def numbers(batches: list[PacketBatch]) -> list[int]:
    return [
        int.from_bytes(batch.packet(i)[2:4], "big") for batch in batches for i in range(len(batch))
    ]


def files_under(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


async def until(condition: Callable[[], bool]) -> None:
    """Wait for what another process does; the test's time-out bounds it."""
    async with asyncio.timeout(30):
        while not condition():
            await asyncio.sleep(0.01)


@pytest.fixture
async def capture() -> AsyncIterator[CaptureClient]:
    async with CaptureClient(FAST, log_settings=QUIET) as client:
        yield client


async def test_every_packet_and_event_is_in_the_journal(
    capture: CaptureClient, tmp_path: Path
) -> None:
    """Two legs: all datagrams with leg, order and arrival, and all events in their order."""
    call = Call(capture, tmp_path)
    await call.open(legs=2)
    before = time.monotonic_ns()
    call.send(0, 50, leg=0)
    call.send(100, 30, leg=1)
    after = time.monotonic_ns()
    await capture.event(ID, ParametersChanged({"agentId": "agent1"}))
    await capture.close_leg(ID, 0)
    await call.end()
    journal, batches = call.read()
    assert sorted(numbers(batches)) == [*range(50), *range(100, 130)]
    for batch in batches:
        assert [n >= 100 for n in numbers([batch])] == [leg == 1 for leg in batch.leg]
        assert (batch.arrival_ns >= before - 1_000_000).all()
        assert (batch.arrival_ns <= after + 1_000_000).all()
    kinds = [type(event).__name__ for event in journal.events]
    assert kinds == [
        "LegOpened", "LegOpened", "Started", "ParametersChanged", "LegClosed", "LegClosed", "Ended"
    ]  # fmt: skip
    assert journal.events[2] == STARTED
    received = [event.received for event in journal.events if isinstance(event, LegClosed)]
    assert received == [50, 30]
    assert (journal.torn, journal.damage) == (False, [])
    assert journal.recipients == RECIPIENTS


async def test_paused_span_reaches_the_journal_as_headers_only(
    capture: CaptureClient, tmp_path: Path
) -> None:
    """What arrives between `Paused` and `Resumed` is in the journal without its payload."""
    call = Call(capture, tmp_path)
    await call.open()
    call.send(0, 5)
    await asyncio.sleep(_CLEARLY)
    await capture.event(ID, Paused(time.monotonic_ns()))
    await asyncio.sleep(_CLEARLY)
    call.send(5, 5, payload=b"card number")
    await asyncio.sleep(_CLEARLY)
    await capture.event(ID, Resumed(time.monotonic_ns()))
    await asyncio.sleep(_CLEARLY)
    call.send(10, 5)
    await call.end()
    _, batches = call.read()
    assert numbers(batches) == list(range(15))
    stripped = [bool(flag) for batch in batches for flag in batch.header_only]
    assert stripped == [False] * 5 + [True] * 5 + [False] * 5
    assert b"card number" not in b"".join(batch.data for batch in batches)


async def test_neither_sound_nor_key_is_on_disk(capture: CaptureClient, tmp_path: Path) -> None:
    """Nothing under the spool holds the audio, the session key or the spool key in plain."""
    call = Call(capture, tmp_path)
    await call.open()
    sound = bytes(range(1, 161))
    call.send(0, 20, payload=sound)
    await call.end()
    files = files_under(tmp_path)
    assert [path.name for path in files] == ["journal"]
    data = files[0].read_bytes()
    assert len(data) > 20 * 160
    assert sound[:16] not in data
    assert call.workshop.key.secret not in data


async def test_stats_tell_what_was_received_per_leg(capture: CaptureClient, tmp_path: Path) -> None:
    """Counters and the counts of each open leg arrive by themselves."""
    call = Call(capture, tmp_path)
    await call.open(legs=2)
    call.send(0, 7, leg=1)
    await until(lambda: capture.stats.packets == 7 and capture.stats.legs == 2)
    assert {leg: c.received for leg, c in capture.stats.per_call[ID].items()} == {0: 0, 1: 7}
    assert capture.stats.octets == 7 * 17
    assert capture.stats.calls == 1
    assert capture.stats.cpu_seconds > 0
    assert (capture.stats.dropped, capture.stats.overflowed, capture.stats.oversized) == (0, 0, 0)
    await call.end()
    await until(lambda: capture.stats.calls == 0)
    assert capture.stats.journal_bytes > 0


async def test_second_segment_of_a_call_gets_a_new_journal(
    capture: CaptureClient, tmp_path: Path
) -> None:
    """A recording id is free again when its call is closed; a journal is never overwritten."""
    call = Call(capture, tmp_path / "first")
    await call.open()
    await call.end()
    with pytest.raises(CaptureDiskError, match="cannot be created"):
        await call.open()
    segment = Call(capture, tmp_path / "second")
    await segment.open()
    await segment.end()


async def test_wrong_requests_leave_the_process_alive(
    capture: CaptureClient, tmp_path: Path
) -> None:
    """A refused request is one error for who asked; other calls go on."""
    call = Call(capture, tmp_path)
    await call.open()
    with pytest.raises(CaptureRefusedError, match="recording B is not being captured"):
        await capture.event("B", Paused(1))
    with pytest.raises(CaptureRefusedError, match="leg 9 of recording"):
        await capture.close_leg(ID, 9)
    call.send(0, 3)
    await call.end()
    assert numbers(call.read()[1]) == [0, 1, 2]


async def test_legs_above_the_limit_are_refused(tmp_path: Path) -> None:
    """The process says how many legs it can take, and refuses the next one as full."""
    options = CaptureOptions(tick=0.02, legs=2)
    async with CaptureClient(options, log_settings=QUIET) as capture:
        assert capture.legs == 2
        call = Call(capture, tmp_path)
        await call.open(legs=2)
        with pytest.raises(CaptureFullError, match="2 legs are being captured"):
            await capture.open_leg(ID, LegOpened(2, "2", {}, 8000, 1))


def test_capacity_counts_descriptors_and_ports() -> None:
    """A leg may need two descriptors, and a port of the range."""
    assert leg_capacity(1064, CaptureOptions()) == 500
    assert leg_capacity(1064, CaptureOptions(first_port=20_000, last_port=20_099)) == 50
    assert leg_capacity(1064, CaptureOptions(legs=30)) == 30


async def test_leaving_the_context_writes_what_waits(tmp_path: Path) -> None:
    """When the front closes the pipe, open journals get everything, and no end is invented."""
    slow = CaptureOptions(tick=5.0, flush=60.0)
    async with CaptureClient(slow, log_settings=QUIET) as capture:
        call = Call(capture, tmp_path)
        await call.open()
        call.send(0, 40)
    assert capture.closed.is_set()
    journal, batches = call.read()
    assert numbers(batches) == list(range(40))
    assert not journal.torn
    assert not any(isinstance(event, Ended) for event in journal.events)


async def test_signals_of_the_terminal_are_the_fronts_business(
    capture: CaptureClient, tmp_path: Path
) -> None:
    """SIGINT and SIGTERM change nothing: the call goes on to its end."""
    call = Call(capture, tmp_path)
    await call.open()
    os.kill(capture.pid, signal.SIGINT)
    os.kill(capture.pid, signal.SIGTERM)
    call.send(0, 5)
    await call.end()
    assert numbers(call.read()[1]) == list(range(5))
    assert not capture.closed.is_set()


async def test_killed_process_is_noticed_and_leaves_a_readable_journal(tmp_path: Path) -> None:
    """After kill -9 what was flushed is there, waiting requests fail, `closed` is set."""
    async with CaptureClient(FAST, log_settings=QUIET) as capture:
        call = Call(capture, tmp_path)
        await call.open()
        size = call.workshop.path.stat().st_size
        call.send(0, 25)
        await until(lambda: call.workshop.path.stat().st_size > size)
        os.kill(capture.pid, signal.SIGKILL)
        async with asyncio.timeout(20):
            await capture.closed.wait()
        with pytest.raises(CaptureDiedError, match="the capture process is gone"):
            await call.end()
    journal, batches = call.read()
    assert numbers(batches) == list(range(len(numbers(batches))))
    assert len(numbers(batches)) > 0
    assert not journal.damage


async def test_process_is_gone_only_when_it_writes_no_more(tmp_path: Path) -> None:
    """A process that ends by itself writes all it has first: only then requests fail."""
    slow = CaptureOptions(tick=5.0, flush=60.0)
    async with CaptureClient(slow, log_settings=LogSettings(level="error")) as capture:
        call = Call(capture, tmp_path)
        await call.open()
        call.send(0, 40)
        capture._writer.write(b"\xff" * 8)  # no message: the process gives up
        with pytest.raises(CaptureDiedError):
            await call.end()
        assert capture.closed.is_set()
        assert not _alive(capture.pid)
        _, batches = call.read()
        assert numbers(batches) == list(range(40))
        with pytest.raises(CaptureDiedError):
            await call.end()


async def test_packets_are_on_disk_within_tick_and_flush_time(tmp_path: Path) -> None:
    """With the default options, a packet is in the journal at most a second after it came."""
    async with CaptureClient(log_settings=QUIET) as capture:
        call = Call(capture, tmp_path)
        await call.open()
        size = call.workshop.path.stat().st_size
        began = time.monotonic()
        call.send(0, 1)
        await until(lambda: call.workshop.path.stat().st_size > size)
        assert CaptureOptions().tick + CaptureOptions().flush < 1.0
        assert time.monotonic() - began < 5.0  # the machine may be busy; the sum above is the law


FRONT = """
import asyncio, sys
from pathlib import Path
from mcp_sim.recording.capture.client import CaptureClient
from mcp_sim.recording.capture.options import CaptureOptions
from mcp_sim.recording.keyring import SpoolKeyring
from tests.mcp_sim.recording.journals import Workshop
from tests.mcp_sim.recording.test_capture import Call, QUIET

async def front(folder):
    async with CaptureClient(CaptureOptions(tick=60.0, flush=60.0), log_settings=QUIET) as capture:
        call = Call(capture, folder)
        call.workshop.keyring = SpoolKeyring.open_or_create(folder / "keyring")
        await call.open()
        print(capture.pid, *call.addresses[0], flush=True)
        await asyncio.sleep(600)

asyncio.run(front(Path(sys.argv[1])))
"""


async def test_killed_front_ends_the_capture_process_and_keeps_the_packets(
    tmp_path: Path,
) -> None:
    """kill -9 of the front: the capture process writes what waits, closes, and is gone."""
    front = await asyncio.create_subprocess_exec(
        sys.executable, "-c", FRONT, str(tmp_path), stdout=asyncio.subprocess.PIPE
    )
    assert front.stdout is not None
    pid, host, port = (await front.stdout.readline()).split()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as phone:
        for number in range(30):
            phone.sendto(datagram(number), (host.decode(), int(port)))
    front.kill()
    await front.wait()
    await until(lambda: not _alive(int(pid)))
    workshop = Workshop(tmp_path / ID)
    with JournalReader.open(workshop.path, _keyring(tmp_path)) as journal:
        assert numbers(list(journal.packets())) == list(range(30))
        assert not journal.torn


def _keyring(folder: Path) -> SpoolKeyring:
    return SpoolKeyring.from_file(folder / "keyring")


def _alive(pid: int) -> bool:
    with contextlib.suppress(ProcessLookupError, FileNotFoundError):
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    return False


async def test_process_that_hangs_can_be_killed(tmp_path: Path) -> None:
    """A process that stands still is gone when it was killed, and its requests fail."""
    async with CaptureClient(FAST, log_settings=QUIET) as capture:
        call = Call(capture, tmp_path)
        await call.open()
        os.kill(capture.pid, signal.SIGSTOP)
        ending = asyncio.create_task(call.end())
        capture.kill()
        with pytest.raises(CaptureDiedError):
            await ending
        assert not _alive(capture.pid)


async def test_process_that_cannot_start_is_one_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """When the child ends at once, entering the context says so and leaves nothing behind."""
    program = shutil.which("false")
    assert program is not None
    monkeypatch.setattr(sys, "executable", program)
    with pytest.raises(CaptureDiedError, match="the capture process is gone"):
        async with CaptureClient(log_settings=QUIET):
            pass
