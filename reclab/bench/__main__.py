"""``python -m reclab.bench``: capacity, measured on this machine in one run.

For each number of concurrent two-leg PCMA calls: bring a fresh lab up, place calls so that arrivals
equal departures, measure while it is steady, then count every packet against what was sent.
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
from reclab.bench.level import Level, LevelResult, measure
from service_shell.settings import SettingsError

_LEVELS = (100, 300, 600)


def main() -> int:
    """Measure the levels, print a table; return 1 when a packet or a recording was lost."""
    parser = argparse.ArgumentParser(prog="python -m reclab.bench", description=__doc__)
    parser.add_argument("--calls", type=int, nargs="+", default=_LEVELS, help="concurrent calls")
    parser.add_argument("--hold", type=float, default=60.0, help="seconds that a call lasts")
    parser.add_argument("--steady", type=float, default=45.0, help="seconds that are measured")
    parser.add_argument("--json", type=Path, help="write the figures to this file too")
    chosen = parser.parse_args()
    # The table does not fit into 80 columns, which is what a pipe is taken for.
    console = Console(width=None if sys.stdout.isatty() else 140)
    console.print(f"{os.cpu_count()} processors; Python {sys.version.split()[0]}")
    bare = bare_receive_us()
    console.print(f"Receiving alone (recvmsg in a bare loop): {bare:.2f} µs per packet")
    results = []
    for calls in chosen.calls:
        level = Level(calls, chosen.hold, chosen.steady)
        console.print(f"\n{calls} calls: {level.seconds:.0f} s, {level.total_calls} calls in all …")
        with tempfile.TemporaryDirectory(prefix="reclab-bench-") as folder:
            results.append(asyncio.run(measure(level, Path(folder))))
    console.print(_table(results, bare))
    if chosen.json is not None:
        figures = {"bare_receive_us": bare, "levels": [r._asdict() for r in results]}
        chosen.json.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
    return 0 if all(result.whole for result in results) else 1


def _table(results: list[LevelResult], bare: float) -> Table:
    table = Table(box=None)
    for heading in (
        "calls", "packets/s", "lost", "capture µs", "÷ bare", "render µs", "generator µs",
        "BYE→found p50", "p95", "memory MiB", "recorder CPU",
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
        )
    return table


if __name__ == "__main__":
    try:
        sys.exit(main())
    except SettingsError as error:
        sys.stderr.write(f"reclab.bench: {error}\n")
        sys.exit(2)
