"""What it costs to have the journals of many calls on stable storage, by one sync or by many.

Files like journals lie in one folder; each round appends to all of them what half a second of a
two-leg call is, and then waits: not at all, for one sync of the file system, or for each file.
"""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from mcp_sim.recording.spool.durable import sync_file_system

CALLS = 600
_HALF_A_SECOND = 2 * 25 * (172 + 11) + 36
"""Bytes of a journal frame: 25 packets of each leg with their columns, header and tag."""


class SyncResult(NamedTuple):
    """Milliseconds of a round, medians: to write to all journals, and to wait for the disk."""

    way: str
    write_ms: float
    wait_ms: float
    worst_wait_ms: float
    wait_cpu_ms: float


def measure_syncing(folder: Path, rounds: int) -> list[SyncResult]:
    """Measure each way for so many rounds."""
    files = [os.open(folder / str(n), os.O_WRONLY | os.O_CREAT | os.O_APPEND) for n in range(CALLS)]
    ways: dict[str, Callable[[], None]] = {
        "never": lambda: None,
        "one syncfs": lambda: sync_file_system(files[0]),
        "fdatasync of each": lambda: _sync_each(files),
    }
    try:
        os.sync()
        return [_measure(way, wait, files, rounds) for way, wait in ways.items()]
    finally:
        for file in files:
            os.close(file)


def _measure(way: str, wait: Callable[[], None], files: Sequence[int], rounds: int) -> SyncResult:
    data = os.urandom(_HALF_A_SECOND)
    writes, waits, cpu = [], [], []
    for _ in range(rounds):
        began = time.monotonic()
        for file in files:
            os.write(file, data)
        written, cpu_before = time.monotonic(), time.process_time()
        wait()
        waits.append((time.monotonic() - written) * 1000)
        cpu.append((time.process_time() - cpu_before) * 1000)
        writes.append((written - began) * 1000)
    median = statistics.median
    return SyncResult(way, median(writes), median(waits), max(waits), median(cpu))


def _sync_each(files: Sequence[int]) -> None:
    for file in files:
        os.fdatasync(file)
