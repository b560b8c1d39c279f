"""The figures of admission: what is measured, and by which sentence a call is refused."""

from __future__ import annotations

import asyncio
import errno
import os
from contextlib import suppress

import pytest

from mcp_sim.admission.gauges import Gauges, share_of_files
from mcp_sim.admission.lag import LoopLag
from mcp_sim.admission.room import ROOM_CAUSES, OverloadError
from mcp_sim.config import LimitSettings
from service_shell.descriptors import descriptor_limit, open_descriptors


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("open-files", 0.97, "97% of the files that a process may open are open, 90% may be"),
        ("loop-lag", 1.25, "signalling is 1.2 s late, 1.0 s are the limit"),
        ("capture-lag", 2.0, "the capture of packets is 2.0 s late, 1.0 s are the limit"),
        ("flush-lag", 7.0, "the journals' disk is 7.0 s late, 3.0 s are the limit"),
    ],
)
def test_each_figure_refuses(name: str, value: float, sentence: str) -> None:
    """Each shuts by itself, under its own name, and opens again when it is well."""
    gauges = Gauges(LimitSettings())
    gauges.check()
    for second in range(4):
        gauges.note({name: value}, float(second))
    with pytest.raises(OverloadError, match=sentence) as refused:
        gauges.check()
    assert refused.value.cause == name
    assert name in ROOM_CAUSES
    for second in range(4, 12):
        gauges.note({name: 0.0}, float(second))
    gauges.check()


def test_settings_of_zero_switch_off() -> None:
    """Each figure can be left out of admission."""
    off = LimitSettings(open_files=0, loop_lag=0, capture_lag=0, flush_lag=0)
    gauges = Gauges(off)
    for second in range(10):
        gauges.note({gauge.name: 99.0 for gauge in gauges.all}, float(second))
    gauges.check()


def test_the_fullest_process_counts() -> None:
    """Of several processes the one nearest to its own limit; one that has ended counts nothing."""
    open_now, limits = {1: 10, 2: 90, 3: 50}, {1: 100, 2: 1000, 3: 60}

    def count(pid: int) -> int:
        if pid == 4:
            raise ProcessLookupError
        return open_now[pid]

    assert share_of_files([1, 2, 3, 4], count, limits.__getitem__) == 50 / 60
    assert share_of_files([4], count, limits.__getitem__) == 0


@pytest.mark.parametrize("reason", [errno.EMFILE, errno.ENFILE])
def test_files_that_cannot_be_counted_for_want_of_one_are_too_many(reason: int) -> None:
    """Where counting takes a file itself, the last one taken is no reason to open the door."""

    def count(_pid: int) -> int:
        raise OSError(reason, os.strerror(reason))

    assert share_of_files([1], count, lambda _pid: 100) == 1.0


def test_files_are_counted() -> None:
    """One more open file is one more, and the limit is the one that holds now."""
    pid = os.getpid()
    before = open_descriptors(pid)
    descriptor = os.open("/dev/null", os.O_RDONLY)
    try:
        assert open_descriptors(pid) == before + 1
    finally:
        os.close(descriptor)
    assert descriptor_limit(pid) > before
    with pytest.raises(FileNotFoundError):
        open_descriptors(2**22 + 1)


async def test_the_loop_is_as_late_as_its_sampler() -> None:
    """The worst lateness since the last asking, by a clock that the test sets."""
    now = 0.0
    worst: list[float] = []

    async def sleep(seconds: float) -> None:
        nonlocal now
        if len(late) in (2, 0):
            worst.append(lag.take_worst())
        now += seconds + late.pop(0)  # the end of the list ends the sampler

    late = [0.0, 0.7, 0.2, 0.3, 0.0]
    lag = LoopLag(interval=0.1, clock=lambda: now, sleep=sleep)
    with suppress(IndexError):
        await lag.run()
    assert worst == pytest.approx([0.7, 0.3])
    assert lag.take_worst() == 0


async def test_a_real_loop_is_sampled() -> None:
    """A callback that blocks the loop is seen by the next sample."""
    sampled = asyncio.Event()
    clock = asyncio.get_running_loop().time

    async def sleep(seconds: float) -> None:
        await asyncio.sleep(seconds)
        sampled.set()

    lag = LoopLag(interval=0.01, clock=clock, sleep=sleep)
    task = asyncio.create_task(lag.run())
    await sampled.wait()
    sampled.clear()
    lag.take_worst()
    end = clock() + 0.2
    while clock() < end:
        pass
    await asyncio.wait_for(sampled.wait(), 10)
    task.cancel()
    assert lag.take_worst() >= 0.15
