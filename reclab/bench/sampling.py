"""Looks at a running lab without disturbing it much: metrics, processes, and what is found when."""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from pathlib import Path
from typing import Any, NamedTuple

import aiohttp
from prometheus_client.parser import text_string_to_metric_families

from reclab.lab import Lab
from service_shell.accounts import basic_header

_LOOK_EVERY = 0.25
_GAUGES_EVERY = 0.5
_NEWEST = 100
_TICKS = os.sysconf("SC_CLK_TCK")


class Sample(NamedTuple):
    """The recorder at one moment: counters since its start, memory and CPU of all its processes."""

    at: float
    packets: float
    capture_cpu: float
    rendered_packets: float
    render_cpu: float
    recorder_cpu: float
    memory_mib: float


class Waits(NamedTuple):
    """The longest waits for the disk, in seconds: until written, and until stable."""

    flush: float
    sync: float


async def sample_recorder(lab: Lab) -> Sample:
    """Read the platform's metrics, and its processes' CPU and peak memory."""
    value = await _metrics(lab)
    at = time.monotonic()
    processes = recorder_processes()
    return Sample(
        at=at,
        packets=value["reclab_mcp_capture_packets_total"],
        capture_cpu=value["reclab_mcp_capture_cpu_seconds_total"],
        rendered_packets=value["reclab_mcp_render_packets_total"],
        render_cpu=value["reclab_mcp_render_cpu_seconds_total"],
        recorder_cpu=sum(cpu_seconds(pid) for pid in processes),
        memory_mib=sum(peak_mib(pid) for pid in processes),
    )


async def watch_waits(lab: Lab, seconds: float) -> Waits:
    """Return the longest waits for the disk within the next `seconds`."""
    end = time.monotonic() + seconds
    longest = Waits(0.0, 0.0)
    while time.monotonic() < end:
        await asyncio.sleep(_GAUGES_EVERY)
        value = await _metrics(lab)
        longest = Waits(
            max(longest.flush, value["reclab_mcp_capture_worst_flush_seconds"]),
            max(longest.sync, value["reclab_mcp_capture_worst_sync_seconds"]),
        )
    return longest


async def _metrics(lab: Lab) -> dict[str, float]:
    """Return the platform's figures that have no labels."""
    async with aiohttp.ClientSession() as http, http.get(f"{lab.control}/metrics") as answer:
        text = await answer.text()
    return {
        sample.name: sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if not sample.labels
    }


def recorder_processes() -> list[int]:
    """The platform of this process's lab, with its capture processes and render workers."""
    return [pid for pid in processes_of("mcp_sim") if "load" not in _command(pid)]


def processes_of(package: str) -> list[int]:
    """The processes below this one that run a package of ours."""
    parents = {pid: _parent(pid) for pid in _all_processes()}
    ours = {os.getpid()}
    while grown := {pid for pid, parent in parents.items() if parent in ours} - ours:
        ours |= grown
    return [pid for pid in ours if package in _command(pid)]


class FoundTimes:
    """When each recording was first found by a search, and how many packets it holds."""

    def __init__(self, lab: Lab) -> None:
        self._lab = lab
        self.at: dict[str, float] = {}
        self.packets: dict[str, int] = {}
        self._grew = asyncio.Condition()

    async def watch(self) -> None:
        """Search for the newest recordings four times a second until cancelled."""
        async with self._session() as http:
            while True:
                await self._look(http, {"startTime": "2000-01-01T00:00:00Z", "limit": str(_NEWEST)})
                await asyncio.sleep(_LOOK_EVERY)

    async def wait_for(self, count: int, seconds: float) -> None:
        """Wait until `count` recordings were found, at most `seconds`; then look at all of them."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds), self._grew:
                await self._grew.wait_for(lambda: len(self.at) >= count)
        async with self._session() as http:
            query = {"startTime": "2000-01-01T00:00:00Z", "limit": "1000"}
            while query:
                following = await self._look(http, query)
                query = {"next": following} if following else {}

    async def _look(self, http: aiohttp.ClientSession, query: dict[str, str]) -> str | None:
        async with http.get(f"{self._lab.processor}/api/v2/recordings", params=query) as answer:
            page: dict[str, Any] = await answer.json()
        now = time.time()
        for recording in page["recordings"]:
            identity = recording["id"]
            if identity not in self.at:
                self.at[identity] = now
                legs = recording["mediaFiles"][0]["lab"]["legs"]
                self.packets[identity] = sum(leg["packets"] for leg in legs)
        async with self._grew:
            self._grew.notify_all()
        following = page.get("next")
        return str(following) if following else None

    def _session(self) -> aiohttp.ClientSession:
        operator = self._lab.users["operator"]
        headers = {"Authorization": basic_header(operator.name, operator.password)}
        return aiohttp.ClientSession(headers=headers)


def _all_processes() -> list[int]:
    return [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()]


def _parent(pid: int) -> int:
    fields = _stat(pid)
    return int(fields[1]) if fields else 0


def cpu_seconds(pid: int) -> float:
    """The processor time that a process has used, in user and system mode."""
    fields = _stat(pid)
    return (int(fields[11]) + int(fields[12])) / _TICKS if fields else 0.0


def _stat(pid: int) -> list[str]:
    """The fields of /proc/PID/stat behind the command's name: state, parent, …"""
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    except OSError:
        return []


def _command(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()
    except OSError:
        return ""


def peak_mib(pid: int) -> float:
    """The largest resident size that a process has had."""
    try:
        status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    except OSError:
        return 0.0
    for line in status.splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1024
    return 0.0
