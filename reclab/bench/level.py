"""One level of the benchmark: so many concurrent calls, steady, and every packet counted."""

from __future__ import annotations

import asyncio
import json
import math
import os
import sys
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from reclab.bench.sampling import FoundTimes, Sample, Waits, sample_recorder, watch_waits
from reclab.doors import Ports
from reclab.lab import Lab
from reclab.preparation import RecordingOptions
from reclab.running import running_lab
from recording_format.timestamps import parse_time
from service_shell.settings import SettingsError

DURABILITY = "RECLAB_MCP__SPOOL__DURABILITY"
"""The variable by which a lab's recorder is told what its journals shall survive."""
_SETTLE = 5.0
_DELIVERY_SECONDS = 120.0


class Samples(NamedTuple):
    """The recorder before and after the steady span, and when all was over."""

    before: Sample
    after: Sample
    end: Sample


class Level(NamedTuple):
    """`calls` at a time, each `hold` seconds long, measured for `steady` seconds."""

    calls: int
    hold: float
    steady: float

    @property
    def rate(self) -> float:
        """New calls per second that keep so many open."""
        return self.calls / self.hold

    @property
    def total_calls(self) -> int:
        """All calls that are placed: until the measured span is over."""
        return math.ceil(self.rate * (self.hold + _SETTLE + self.steady))

    @property
    def seconds(self) -> float:
        """How long all of it takes, the last call included."""
        return self.total_calls / self.rate + self.hold


class LevelResult(NamedTuple):
    """What one level cost. µs are CPU time per packet; `recorder_cpu` is in processors.

    `worst_flush` is how late a journal was written in the steady span, `worst_sync` how long the
    longest wait for stable storage took, in seconds.
    """

    calls: int
    sent: int
    lost: int
    recordings_missing: int
    packets_per_second: float
    capture_us: float
    render_us: float
    generator_us: float
    found_p50: float
    found_p95: float
    memory_mib: float
    recorder_cpu: float
    failed_calls: int
    durability: str
    worst_flush: float
    worst_sync: float

    @property
    def whole(self) -> bool:
        """Whether nothing was lost."""
        return not (self.lost or self.recordings_missing or self.failed_calls)


async def measure(level: Level, folder: Path) -> LevelResult:
    """Run one level in a fresh lab below `folder`."""
    options = RecordingOptions()
    async with running_lab(folder / "lab", options, ports=Ports.FREE, say=lambda _: None) as lab:
        report_file = folder / "load.json"
        load = await _start_load(lab, level, report_file)
        found = FoundTimes(lab)
        watching = asyncio.create_task(found.watch())
        await asyncio.sleep(level.hold + _SETTLE)
        before = await sample_recorder(lab)
        waits = await watch_waits(lab, level.steady)
        after = await sample_recorder(lab)
        if await load.wait() and not report_file.exists():
            raise SettingsError("the load generator failed; what it said stands above")
        report: dict[str, Any] = json.loads(report_file.read_text(encoding="utf-8"))
        await found.wait_for(level.total_calls, _DELIVERY_SECONDS)
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)
        end = await sample_recorder(lab)
        return _result(level, report, found, Samples(before, after, end), waits)


async def _start_load(lab: Lab, level: Level, report: Path) -> asyncio.subprocess.Process:
    command = [
        sys.executable, "-m", "reclab", "load", "--target", lab.sip,
        "--calls", str(level.total_calls), "--rate", str(level.rate), "--hold", str(level.hold),
        "--signalling", "siprec", "--codec", "pcma", "--report", str(report),
    ]  # fmt: skip
    return await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.DEVNULL)


def _result(
    level: Level,
    report: dict[str, Any],
    found: FoundTimes,
    samples: Samples,
    longest: Waits,
) -> LevelResult:
    before, after, end = samples
    sent = {
        call["identity"]: sum(leg["packets"] for leg in call["legs"]) for call in report["calls"]
    }
    missing = [identity for identity in sent if identity not in found.packets]
    lost = sum(max(0, sent[i] - found.packets[i]) for i in sent if i in found.packets)
    waits = [
        found.at[call["identity"]] - parse_time(call["ended"]).timestamp()
        for call in report["calls"]
        if call["identity"] in found.at
    ]
    p50, p95 = np.percentile(waits, [50, 95]) if waits else (math.nan, math.nan)
    seconds = after.at - before.at
    packets = after.packets - before.packets
    return LevelResult(
        calls=level.calls,
        sent=sum(sent.values()),
        lost=lost + sum(sent[identity] for identity in missing),
        recordings_missing=len(missing),
        packets_per_second=packets / seconds,
        capture_us=_per(after.capture_cpu - before.capture_cpu, packets),
        render_us=_per(end.render_cpu, end.rendered_packets),
        generator_us=float(report["totals"]["media_cpu_us"]),
        found_p50=float(p50),
        found_p95=float(p95),
        memory_mib=max(before.memory_mib, after.memory_mib, end.memory_mib),
        recorder_cpu=(after.recorder_cpu - before.recorder_cpu) / seconds,
        failed_calls=int(report["totals"]["failed"]),
        durability=os.environ.get(DURABILITY, "process"),
        worst_flush=longest.flush,
        worst_sync=longest.sync,
    )


def _per(cpu_seconds: float, packets: float) -> float:
    return cpu_seconds / packets * 1e6 if packets else math.nan
