"""Render workers as real processes: killed, stopped, unable to write, and never missed."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from mcp_sim.recording.keyring import SpoolKeyring
from mcp_sim.recording.render.messages import RenderSettings, WorkerOptions
from mcp_sim.recording.render.pool import RenderPool
from mcp_sim.recording.render.process import RenderProcess, WorkerDiedError
from mcp_sim.recording.spool.durable import write_file
from mcp_sim.recording.spool.folders import CRASHES, FAILURE, JOURNAL
from mcp_sim.recording.spool.spool import Spool, SpoolError, State
from service_shell.log import LogSettings

from .recorded_call import course, make_plan, open_recording, record
from .synthetic_call import speech, stream


@pytest.fixture
async def pool(spool: Spool, keyring: SpoolKeyring) -> AsyncIterator[RenderPool]:
    """Give a pool of two workers."""
    async with RenderPool(spool, keyring, workers=2) as opened:
        yield opened


@pytest.fixture
async def worker(spool: Spool, keyring: SpoolKeyring) -> AsyncIterator[RenderProcess]:
    """Give one worker, started."""
    options = WorkerOptions(str(spool.root), keyring.to_text(), RenderSettings(), LogSettings())
    process = RenderProcess(options, lock=spool.lock_descriptor)
    await process.start()
    yield process
    await process.stop()


def _call(spool: Spool, keyring: SpoolKeyring, segment: int = 1, **changes: str) -> str:
    plan = make_plan(segment=segment, **changes)
    return record(spool, keyring, course(2000), stream(speech(90)), plan=plan)


async def _until_busy(pool: RenderPool) -> None:
    while not pool.stats.busy:
        await asyncio.sleep(0)


def _stop(pool: RenderPool) -> list[int]:
    """Halt all workers, so that an order stays in the middle; return their pids."""
    pids = pool.pids
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    return pids


def _halt(worker: RenderProcess) -> None:
    pid = worker.pid
    assert pid is not None
    os.kill(pid, signal.SIGSTOP)


def _kill(pids: list[int]) -> None:
    for pid in pids:
        os.kill(pid, signal.SIGKILL)


async def test_many_recordings_are_rendered(
    spool: Spool, keyring: SpoolKeyring, pool: RenderPool
) -> None:
    """More orders than workers: each is rendered once, and the stats add up."""
    items = [_call(spool, keyring, segment) for segment in range(1, 8)]
    assert await asyncio.gather(*map(pool.render, items)) == [True] * 7
    assert spool.items(State.READY) == items
    assert (pool.stats.rendered, pool.stats.packets, pool.stats.busy) == (7, 630, 0)
    assert pool.stats.cpu_seconds > 0


async def test_a_killed_worker_costs_one_try(
    spool: Spool, keyring: SpoolKeyring, pool: RenderPool
) -> None:
    """The recording is rendered by the next worker, and sealed whole."""
    item = _call(spool, keyring)
    pids = _stop(pool)
    render = asyncio.create_task(pool.render(item))
    await _until_busy(pool)
    _kill(pids)
    assert await render
    assert pool.stats.crashes == 1
    assert open_recording(spool, item)[0].size_bytes == 44 + 16_000 * 4
    assert not (spool.folder(item, State.READY) / CRASHES).exists()


async def test_the_second_crash_puts_a_recording_aside(
    spool: Spool, keyring: SpoolKeyring, pool: RenderPool
) -> None:
    """The journal is kept with the reason, and the other recordings go on."""
    item = _call(spool, keyring)
    folder = spool.folder(item, State.RENDERING)
    (folder / CRASHES).write_text("1")
    pids = _stop(pool)
    render = asyncio.create_task(pool.render(item))
    await _until_busy(pool)
    _kill(pids)
    assert not await render
    failed = spool.folder(item, State.FAILED)
    assert "crashed 2 times" in (failed / FAILURE).read_text()
    assert (failed / JOURNAL).exists()
    assert await pool.render(_call(spool, keyring, segment=2))
    assert (pool.stats.failed, pool.stats.rendered) == (1, 1)


async def test_a_damaged_journal_is_put_aside(
    spool: Spool, keyring: SpoolKeyring, pool: RenderPool
) -> None:
    """What can never be rendered is in `failed`, with its reason, after one try."""
    item = _call(spool, keyring)
    (spool.folder(item, State.RENDERING) / JOURNAL).write_bytes(b"something else " * 99)
    assert not await pool.render(item)
    assert "journal" in (spool.folder(item, State.FAILED) / FAILURE).read_text()
    assert pool.stats.crashes == 0


async def test_an_unanswered_call_leaves_nothing(
    spool: Spool, keyring: SpoolKeyring, pool: RenderPool
) -> None:
    """A journal without a call is removed and counted."""
    item = record(spool, keyring, [])
    assert not await pool.render(item)
    assert spool.state_of(item) is None
    assert pool.stats.empty == 1


async def test_what_the_disk_refuses_is_tried_again(spool: Spool, keyring: SpoolKeyring) -> None:
    """A folder in the way of the sealed file: postponed until it is gone, never lost."""
    item = _call(spool, keyring)
    obstacle = spool.folder(item, State.RENDERING) / "media.bin"
    obstacle.mkdir()
    waits = []

    async def sleep(seconds: float) -> None:
        waits.append(seconds)
        if len(waits) == 2:
            obstacle.rmdir()

    async with RenderPool(spool, keyring, workers=1, sleep=sleep) as pool:
        assert await pool.render(item)
        assert pool.stats.postponed == 2
    assert 0 < waits[0] <= 2 < waits[1] <= 4


async def test_an_item_that_is_ready_already_is_not_rendered_again(
    spool: Spool, keyring: SpoolKeyring, pool: RenderPool
) -> None:
    """Its worker may have died behind the last rename: the file stays as it was sealed."""
    item = _call(spool, keyring)
    assert await pool.render(item)
    sealed = open_recording(spool, item)[0].pkcs7
    assert await pool.render(item)
    assert open_recording(spool, item)[0].pkcs7 == sealed
    assert pool.stats.rendered == 1


async def test_settings_reach_the_worker(spool: Spool, keyring: SpoolKeyring) -> None:
    """The bit rate of MP3 files is the one that was asked for."""
    item = _call(spool, keyring, media_type="audio/mp3")
    settings = RenderSettings(stereo_kbps=64)
    async with RenderPool(spool, keyring, workers=1, settings=settings) as pool:
        assert await pool.render(item)
    assert open_recording(spool, item)[0].size_bytes == 31 * 576


async def test_a_worker_that_hangs_is_killed_in_time(
    spool: Spool, keyring: SpoolKeyring, worker: RenderProcess
) -> None:
    """No render lasts for ever; the next one gets a new process."""
    item = _call(spool, keyring)
    _halt(worker)
    with pytest.raises(WorkerDiedError, match="did not end within 0 seconds"):
        await worker.render(item, within=0.05)
    assert worker.pid is None
    await worker.render(item, within=60)
    assert spool.state_of(item) is State.READY


async def test_a_cancelled_render_leaves_the_item_for_the_next_start(
    spool: Spool, keyring: SpoolKeyring, worker: RenderProcess
) -> None:
    """Its worker is ended, the journal stays, and a later render succeeds."""
    item = _call(spool, keyring)
    _halt(worker)
    render = asyncio.create_task(worker.render(item, within=60))
    for _ in range(10):  # into the middle of it
        await asyncio.sleep(0)
    render.cancel()
    with pytest.raises(asyncio.CancelledError):
        await render
    assert worker.pid is None
    assert (spool.folder(item, State.RENDERING) / JOURNAL).exists()
    await worker.render(item, within=60)
    assert spool.state_of(item) is State.READY


async def test_workers_hold_the_lock_of_the_spool(tmp_path: Path, keyring: SpoolKeyring) -> None:
    """A platform that starts while an old worker still runs has to wait for it."""
    spool = Spool(tmp_path / "spool", wait=0)
    async with RenderPool(spool, keyring, workers=1):
        spool.close()
        with pytest.raises(SpoolError, match="in use"):
            Spool(tmp_path / "spool", wait=0)
    Spool(tmp_path / "spool", wait=10).close()


def _told(pid: int) -> bytes:
    return b"".join(Path(f"/proc/{pid}/{name}").read_bytes() for name in ("cmdline", "environ"))


async def test_no_key_is_on_a_command_line(
    spool: Spool, keyring: SpoolKeyring, pool: RenderPool
) -> None:
    """Neither arguments nor environment of a worker hold the keyring, nor does any repr."""
    text = keyring.to_text()
    key = text.split('"')[-2]
    assert not any(key.encode() in _told(pid) for pid in pool.pids)
    options = WorkerOptions(str(spool.root), text, RenderSettings(), LogSettings())
    assert key not in repr(options)


async def test_a_worker_that_died_idle_is_no_crash_of_a_render(
    spool: Spool, keyring: SpoolKeyring, worker: RenderProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The order did not reach it: another process takes it, and nothing is counted."""
    item = _call(spool, keyring)
    first, send = worker.pid, worker._send
    refused: list[bytes] = []

    async def send_later(data: bytes) -> None:
        if not refused:
            refused.append(data)
            raise BrokenPipeError
        await send(data)

    monkeypatch.setattr(worker, "_send", send_later)
    await worker.render(item, within=60)
    assert refused
    assert worker.pid != first
    assert spool.state_of(item) is State.READY


async def test_what_is_put_aside_is_aside_with_its_reason_at_once(
    spool: Spool, keyring: SpoolKeyring, pool: RenderPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A retry that finds it there finds it settled: it has no second render beside the first."""
    item = _call(spool, keyring)
    (spool.folder(item, State.RENDERING) / JOURNAL).write_bytes(b"something else " * 99)
    taken_back: list[str] = []

    def write(path: Path, data: bytes) -> None:
        if spool.state_of(item) is State.FAILED and not taken_back:
            taken_back.append(item)
            spool.take_back(item, State.RENDERING)
        write_file(path, data)

    monkeypatch.setattr("mcp_sim.recording.spool.spool.write_file", write)
    assert not await pool.render(item)
    assert (taken_back, pool.stats.postponed, pool.stats.failed) == ([], 0, 1)
    assert "journal" in (spool.folder(item, State.FAILED) / FAILURE).read_text()
