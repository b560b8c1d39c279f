"""A disk that is full or slow on purpose: what it refused is written when it has room again."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest

from mcp_sim.recording.capture.client import CaptureClient, CaptureRefusedError
from mcp_sim.recording.capture.options import CaptureOptions
from mcp_sim.recording.disk_calls import FaultsInForce, FaultyDisk
from mcp_sim.recording.journal.frames import JournalError, encode_packets
from mcp_sim.recording.journal.reader import JournalReader
from mcp_sim.recording.journal.writer import JournalWriter
from mcp_sim.recording.keyring import SpoolKeyring
from mcp_sim.recording.render.pool import RenderPool
from mcp_sim.recording.spool.folders import FAILURE, JOURNAL
from mcp_sim.recording.spool.spool import Spool, State
from service_shell.faults import FaultPlan, PlatformFault
from service_shell.log import LogSettings

from .journals import EVENTS, Workshop, a_plan, columns, some_packets
from .recorded_call import course, open_recording, record
from .synthetic_call import speech, stream

FULL = PlatformFault(kind="disk-full", name="full")
QUIET = LogSettings(level="error")


def in_force(*faults: PlatformFault, seed: int = 0) -> FaultsInForce:
    return FaultsInForce(FaultPlan(seed=seed, faults=list(faults)), 0.0)


def faulty(*faults: PlatformFault, seed: int = 0) -> FaultyDisk:
    disk = FaultyDisk(clock=lambda: 1.0, sleep=lambda _: None)
    disk.follow(in_force(*faults, seed=seed))
    return disk


@pytest.mark.parametrize("seed", range(8))
def test_a_journal_survives_a_full_disk(tmp_path: Path, seed: int) -> None:
    """Frames that were refused, whole or in part, are there in order when there is room again."""
    workshop = Workshop(tmp_path)
    disk = faulty(PlatformFault(kind="disk-full", name="full", probability=0.4, skip=3), seed=seed)
    writer = JournalWriter(workshop.path, workshop.key, workshop.preamble(), disk.calls)
    written, refused = [], 0
    writer.append_plan(a_plan())
    writer.append_event(EVENTS[0])
    for number in range(30):
        packets = some_packets(3, first=3 * number)
        written += packets
        try:
            writer.append_packets(encode_packets([columns(packets)]))
        except JournalError:
            refused += 1
    disk.follow(None)
    writer.retry()
    writer.close()
    assert refused
    with JournalReader.open(workshop.path, workshop.keyring) as journal:
        found = [batch.packet(n) for batch in journal.packets() for n in range(len(batch))]
        assert found == [data for _, _, data in written]
        assert not journal.torn
        assert not journal.damage


def test_a_disk_becomes_full_within_a_write(tmp_path: Path) -> None:
    """Some of the bytes may still fit; the next call is the one that fails."""
    disk = faulty(PlatformFault(kind="disk-full", name="full", times=1))
    with (tmp_path / "file").open("wb", buffering=0) as file:
        fitted = disk.calls.write(file.fileno(), memoryview(bytes(1000)))
        assert 0 < fitted < 1000
        with pytest.raises(OSError, match="No space left"):
            disk.calls.write(file.fileno(), memoryview(bytes(1000 - fitted)))
        assert disk.calls.write(file.fileno(), memoryview(bytes(10))) == 10


def test_a_slow_disk_takes_its_time(tmp_path: Path) -> None:
    """Writes and syncs are delayed by `seconds`; nothing else changes."""
    slept: list[float] = []
    disk = FaultyDisk(clock=lambda: 1.0, sleep=slept.append)
    disk.follow(in_force(PlatformFault(kind="slow-disk", seconds=0.25)))
    descriptor = os.open(tmp_path / "file", os.O_WRONLY | os.O_CREAT, 0o600)
    assert disk.calls.write(descriptor, memoryview(b"abc")) == 3
    disk.calls.sync(descriptor)
    os.close(descriptor)
    assert slept == [0.25, 0.25]


def test_what_struck_is_not_forgotten_when_faults_are_added(tmp_path: Path) -> None:
    """`times` counts on; a plan that is put anew counts anew."""
    once = PlatformFault(kind="disk-full", name="full", times=1)
    slow = PlatformFault(kind="slow-disk", name="slow", seconds=0)
    disk = faulty(once)
    descriptor = os.open(tmp_path / "file", os.O_WRONLY | os.O_CREAT, 0o600)
    assert disk.calls.write(descriptor, memoryview(bytes(1000))) < 1000
    disk.follow(in_force(once, slow))
    with pytest.raises(OSError, match="No space left"):
        disk.calls.write(descriptor, memoryview(bytes(1000)))
    assert disk.calls.write(descriptor, memoryview(bytes(1000))) == 1000
    disk.follow(FaultsInForce(FaultPlan(faults=[once]), 0.5))
    assert disk.calls.write(descriptor, memoryview(bytes(1000))) < 1000
    os.close(descriptor)


async def test_faults_reach_a_capture_process(tmp_path: Path) -> None:
    """No journal can be begun while its disk is full on purpose; then it can."""
    options = CaptureOptions(tick=0.02, flush=0.05, faults=True)
    async with CaptureClient(options, log_settings=QUIET) as capture:
        await capture.set_faults(in_force(FULL))
        workshop = Workshop(tmp_path / "one")
        preamble = workshop.preamble()
        call = (workshop.key, preamble.recipients, preamble.key_box, a_plan("ONE"))
        with pytest.raises(Exception, match="No space left"):
            await capture.open_call(workshop.folder, *call)
        await capture.set_faults(None)
        await capture.open_call(workshop.folder, *call)
    with JournalReader.open(workshop.path, workshop.keyring) as journal:
        assert journal.plan.recording_id == "ONE"


async def test_faults_have_to_be_enabled() -> None:
    """A capture process of a platform without faults on purpose takes none."""
    async with CaptureClient(CaptureOptions(), log_settings=QUIET) as capture:
        with pytest.raises(CaptureRefusedError, match="not enabled"):
            await capture.set_faults(in_force(FULL))


class Breaking:
    """Breaks renders: the first `crash` of them die, `faults` are in force."""

    def __init__(self, crash: int = 0, *faults: PlatformFault) -> None:
        self.left = crash
        self.in_force = in_force(*faults) if faults else None

    def crashes(self, item: str) -> bool:
        assert item
        self.left -= 1
        return self.left >= 0


@pytest.mark.parametrize("crashes", [1, 2])
async def test_a_render_crashes_on_purpose(
    spool: Spool, keyring: SpoolKeyring, crashes: int
) -> None:
    """Once costs a try; twice puts the recording aside, journal and all, and that is told."""
    item = record(spool, keyring, course(2000), stream(speech(90)))
    async with RenderPool(spool, keyring, workers=1, faults=Breaking(crashes)) as pool:
        assert await pool.render(item) is (crashes == 1)
        assert (pool.stats.crashes, pool.stats.failed) == (crashes, crashes - 1)
    if crashes == 1:
        assert open_recording(spool, item)[0].size_bytes == 44 + 16_000 * 4
    else:
        folder = spool.folder(item, State.FAILED)
        assert (folder / JOURNAL).exists()
        assert "crashed 2 times" in (folder / FAILURE).read_text()


async def test_a_render_on_a_full_disk_waits(spool: Spool, keyring: SpoolKeyring) -> None:
    """It is postponed as long as the disk is full, and leaves nothing half behind."""
    item = record(spool, keyring, course(2000), stream(speech(90)))
    waited: list[float] = []
    breaking = Breaking(0, PlatformFault(kind="disk-full", name="full", times=2))

    async def wait(seconds: float) -> None:
        waited.append(seconds)
        names = {path.name for path in spool.folder(item, State.RENDERING).iterdir()}
        assert names == {JOURNAL}
        await asyncio.sleep(0)

    async with RenderPool(spool, keyring, workers=1, sleep=wait, faults=breaking) as pool:
        assert await pool.render(item)
    assert len(waited) == pool.stats.postponed == 2
    assert open_recording(spool, item)[0].size_bytes == 44 + 16_000 * 4
