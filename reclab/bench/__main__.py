"""``python -m reclab.bench``: capacity and playback, measured on this machine in one run.

For each number of concurrent two-leg PCMA calls: bring a fresh lab up, place calls so that arrivals
equal departures, measure while it is steady, then count every packet against what was sent. Then
play one large recording, whole and in parts, and decrypt it with `openssl` for comparison. Then
post metadata from many clients at once, with a transaction for each post and with shared ones.
Last, wait for stable storage as the platform does when journals shall survive a power loss.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
import tempfile
from pathlib import Path

from rich.console import Console
from rich.table import Table

from reclab.bench.calibration import bare_receive_us
from reclab.bench.level import DURABILITY, Level, LevelResult, measure
from reclab.bench.playback import PlaybackResult, measure_playback
from reclab.bench.posting import PostingResult, measure_posting
from reclab.bench.syncing import CALLS, SyncResult, measure_syncing
from service_shell.settings import SettingsError

_LEVELS = (100, 300, 600)
_SLOWEST = 0.5


def main() -> int:
    """Measure, print tables; return 1 when a packet was lost or decryption is too slow."""
    parser = argparse.ArgumentParser(prog="python -m reclab.bench", description=__doc__)
    parser.add_argument("--calls", type=int, nargs="*", default=_LEVELS, help="concurrent calls")
    parser.add_argument(
        "--durability", choices=("process", "call", "power"), help="what journals shall survive"
    )
    parser.add_argument("--hold", type=float, default=60.0, help="seconds that a call lasts")
    parser.add_argument("--steady", type=float, default=45.0, help="seconds that are measured")
    parser.add_argument("--play", type=int, default=100, help="megabytes to play; 0: do not")
    parser.add_argument("--posts", type=int, default=400, help="posts in a turn; 0: do not")
    parser.add_argument("--syncs", type=int, default=5, help="rounds of syncs; 0: do not")
    parser.add_argument("--json", type=Path, help="write the figures to this file too")
    chosen = parser.parse_args()
    if chosen.durability:
        os.environ[DURABILITY] = chosen.durability
    # The table does not fit into 80 columns, which is what a pipe is taken for.
    console = Console(width=None if sys.stdout.isatty() else 160)
    console.print(f"{os.cpu_count()} processors; Python {sys.version.split()[0]}")
    figures: dict[str, object] = {}
    good = True
    if chosen.calls:
        bare = bare_receive_us()
        console.print(f"Receiving alone (recvmsg in a bare loop): {bare:.2f} µs per packet")
        levels = [Level(calls, chosen.hold, chosen.steady) for calls in chosen.calls]
        results = [_measured(level, console) for level in levels]
        console.print(_table(results, bare))
        figures |= {"bare_receive_us": bare, "levels": [r._asdict() for r in results]}
        good = all(result.whole for result in results)
    if chosen.play:
        with tempfile.TemporaryDirectory(prefix="reclab-bench-") as folder:
            played = asyncio.run(measure_playback(Path(folder), chosen.play * 1_000_000))
        console.print(_playback_table(played))
        figures |= {"playback": played._asdict() | {"ratio": played.ratio}}
        good = good and played.ratio >= _SLOWEST
    if chosen.posts:
        with tempfile.TemporaryDirectory(prefix="reclab-bench-") as folder:
            posted = asyncio.run(measure_posting(Path(folder), chosen.posts))
        console.print(_posting_table(posted))
        figures |= {"posts": [result._asdict() | {"ratio": result.ratio} for result in posted]}
    if chosen.syncs:
        with tempfile.TemporaryDirectory(prefix="reclab-bench-") as folder:
            synced = measure_syncing(Path(folder), chosen.syncs)
        console.print(_sync_table(synced))
        figures |= {"syncs": [result._asdict() for result in synced]}
    if chosen.json is not None:
        chosen.json.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
    return 0 if good else 1


def _measured(level: Level, console: Console) -> LevelResult:
    console.print(
        f"\n{level.calls} calls: {level.seconds:.0f} s, {level.total_calls} calls in all …"
    )
    with tempfile.TemporaryDirectory(prefix="reclab-bench-") as folder:
        return asyncio.run(measure(level, Path(folder)))


def _table(results: list[LevelResult], bare: float) -> Table:
    table = Table(box=None)
    for heading in (
        "calls", "packets/s", "lost", "capture µs", "÷ bare", "render µs", "generator µs",
        "BYE→found p50", "p95", "memory MiB", "recorder CPU", "worst flush", "worst sync",
    ):  # fmt: skip
        table.add_column(heading, justify="right")
    for result in results:
        table.add_row(
            str(result.calls),
            f"{result.packets_per_second:,.0f}",
            f"{result.lost} of {result.sent:,}",
            f"{result.capture_us:.2f}",
            f"{result.capture_us / bare:.2f}",
            f"{result.render_us:.2f}",
            f"{result.generator_us:.2f}",
            f"{result.found_p50:.2f} s",
            f"{result.found_p95:.2f} s",
            f"{result.memory_mib:.0f}",
            f"{result.recorder_cpu:.0%}",
            f"{result.worst_flush * 1000:.0f} ms",
            f"{result.worst_sync * 1000:.0f} ms",
        )
    return table


def _playback_table(played: PlaybackResult) -> Table:
    table = Table(box=None, title=f"Playing {played.size / 1e6:.0f} MB", title_justify="left")
    for heading in ("decryption of the whole", "openssl cms", "crypto_server", "speed"):
        table.add_column(heading, justify="right")
    for name, theirs, ours, ratio in (
        ("into a file", played.openssl, played.crypto, played.ratio),
        ("to nowhere", played.openssl_nowhere, played.crypto_nowhere, played.ratio_nowhere),
    ):
        table.add_row(name, f"{theirs:.3f} s", f"{ours:.3f} s", f"{ratio:.2f}")
    for start, seconds in played.first_byte.items():
        table.add_row(f"first byte from {start} %", "", f"{seconds * 1000:.0f} ms")
    table.add_row("memory", "", f"{played.memory_mib:.0f} MiB")
    return table


def _posting_table(posted: list[PostingResult]) -> Table:
    table = Table(box=None, title="Posts of metadata", title_justify="left")
    for heading in ("clients", "alone /s", "CPU ms", "shared /s", "CPU ms", "ratio"):
        table.add_column(heading, justify="right")
    for result in posted:
        table.add_row(
            str(result.clients),
            f"{result.alone:,.0f}",
            f"{result.alone_ms:.2f}",
            f"{result.shared:,.0f}",
            f"{result.shared_ms:.2f}",
            f"{result.ratio:.2f}",
        )
    return table


def _sync_table(synced: list[SyncResult]) -> Table:
    title = f"Half a second of {CALLS} journals on stable storage"
    table = Table(box=None, title=title, title_justify="left")
    for heading in ("waiting for", "write ms", "wait ms", "worst ms", "CPU ms"):
        table.add_column(heading, justify="right")
    for result in synced:
        figures = (result.write_ms, result.wait_ms, result.worst_wait_ms, result.wait_cpu_ms)
        table.add_row(result.way, *(f"{figure:.1f}" for figure in figures))
    return table


if __name__ == "__main__":
    try:
        sys.exit(main())
    except SettingsError as error:
        sys.stderr.write(f"reclab.bench: {error}\n")
        sys.exit(2)
