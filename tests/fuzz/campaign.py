"""A million inputs in child processes, a line of progress now and then, a table at the end.

The work is cut into shares of one parser each; a child that dies (or is ended by the kernel for
using too much) is a finding of its own.
"""

from __future__ import annotations

import multiprocessing
import os
import resource
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from pathlib import Path

from tests.fuzz.parsers import PARSERS
from tests.fuzz.trial import (
    ADDRESS_SPACE,
    MOST_LASTING,
    Finding,
    Parser,
    input_of,
    lasting_memory,
    try_input,
)

SHARE = 2000
KEPT_PER_KIND = 3


@dataclass(frozen=True)
class Share:
    """`count` inputs of one parser, from number `first` on."""

    parser: str
    seed: int
    first: int
    count: int


@dataclass
class Tally:
    """What came of some inputs; times are processor seconds, sizes bytes."""

    inputs: int = 0
    seconds: float = 0.0
    slowest: float = 0.0
    slowest_number: int = 0
    resident: int = 0
    findings: list[Finding] = field(default_factory=list)
    found: dict[str, int] = field(default_factory=dict)

    def add(self, other: Tally) -> None:
        """Take in the tally of other inputs of the same parser."""
        self.inputs += other.inputs
        self.seconds += other.seconds
        if other.slowest > self.slowest:
            self.slowest, self.slowest_number = other.slowest, other.slowest_number
        self.resident = max(self.resident, other.resident)
        for finding in other.findings:
            self.keep(finding)
        for kind, count in other.found.items():
            self.found[kind] = self.found.get(kind, 0) + count

    def keep(self, finding: Finding) -> None:
        """Keep the first few of each kind."""
        if sum(one.kind == finding.kind for one in self.findings) < KEPT_PER_KIND:
            self.findings.append(finding)


def say(text: str) -> None:
    """Write a line for whoever waits."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def named(name: str) -> Parser:
    """Return the parser of that name."""
    return next(parser for parser in PARSERS if parser.name == name)


def run_share(share: Share) -> Tally:
    """Try the inputs of one share in this process."""
    parser = named(share.parser)
    corpus = parser.corpus()
    tally = Tally()
    for number in range(share.first, share.first + share.count):
        seconds, finding = try_input(parser, input_of(parser, corpus, share.seed, number), number)
        tally.inputs += 1
        tally.seconds += seconds
        if seconds > tally.slowest:
            tally.slowest, tally.slowest_number = seconds, number
        if finding is not None:
            tally.keep(finding)
            tally.found[finding.kind] = tally.found.get(finding.kind, 0) + 1
    if not share.first:
        _look_behind(parser, share, tally)
    tally.resident = _resident()
    return tally


def _look_behind(parser: Parser, share: Share, tally: Tally) -> None:
    """Find out whether memory stays behind the inputs."""
    corpus = parser.corpus()
    numbers = range(min(share.count, 300))
    inputs = [input_of(parser, corpus, share.seed, number) for number in numbers]
    lasting = lasting_memory(parser, inputs)
    if lasting > MOST_LASTING:
        text = f"{lasting} bytes stay behind each of the first {len(inputs)} inputs"
        tally.keep(Finding(parser.name, 0, "memory stays", text, inputs[0]))
        tally.found["memory stays"] = 1


def run_campaign(parsers: Sequence[Parser], *, seed: int, count: int) -> dict[str, Tally]:
    """Try `count` inputs, as many of each parser, on all processors; print what goes on."""
    tallies = {parser.name: Tally() for parser in parsers}
    shares = list(_shares(parsers, seed, count))
    started = last = time.monotonic()
    done = 0
    workers = os.cpu_count() or 1
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, mp_context=context, initializer=_bound) as pool:
        waiting: dict[Future[Tally], Share] = {pool.submit(run_share, one): one for one in shares}
        for future in as_completed(waiting):
            share = waiting[future]
            tallies[share.parser].add(_outcome(future, share))
            done += share.count
            if time.monotonic() - last > 10:
                last = time.monotonic()
                found = sum(sum(tally.found.values()) for tally in tallies.values())
                rate = done / (last - started)
                say(f"{done:>9,} of {count:,} inputs, {rate:,.0f}/s, {found} findings")
    return tallies


def table(tallies: dict[str, Tally]) -> str:
    """Return one row for each parser: inputs per processor second, slowest input, findings."""
    columns = f"{'inputs':>10}{'inputs/s':>11}{'slowest ms':>12}{'number':>10}{'MiB':>6}"
    rows = [f"{'parser':<15}{columns}  findings"]
    for name, tally in tallies.items():
        rate = tally.inputs / tally.seconds if tally.seconds else 0
        number = sum(tally.found.values())
        rows.append(
            f"{name:<15}{tally.inputs:>10,}{rate:>11,.0f}{tally.slowest * 1000:>12.1f}"
            f"{tally.slowest_number:>10}{tally.resident >> 20:>6}  {number or '–'}"
        )
    whole = sum(tally.inputs for tally in tallies.values())
    found = sum(sum(tally.found.values()) for tally in tallies.values())
    slowest = max(tally.slowest for tally in tallies.values()) * 1000
    return "\n".join(
        [*rows, f"{'all':<15}{whole:>10,}{'':>11}{slowest:>12.1f}{'':>16}  {found or '–'}"]
    )


def write_findings(tallies: dict[str, Tally], seed: int, folder: Path) -> list[Path]:
    """Write each kept input as ``<parser>-<seed>-<number>.bin``, its flaw beside it as text."""
    written: list[Path] = []
    for finding in (one for tally in tallies.values() for one in tally.findings):
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"{finding.parser}-{seed}-{finding.number}.bin"
        path.write_bytes(finding.data)
        path.with_suffix(".txt").write_text(f"{finding.kind}\n{finding.text}\n", encoding="utf-8")
        written.append(path)
    return written


def _shares(parsers: Sequence[Parser], seed: int, count: int) -> Iterator[Share]:
    """Cut the work so that all parsers go on side by side."""
    each = -(-count // len(parsers))
    for first in range(0, each, SHARE):
        for parser in parsers:
            yield Share(parser.name, seed, first, min(SHARE, each - first))


def _outcome(future: Future[Tally], share: Share) -> Tally:
    try:
        return future.result()
    except BrokenProcessPool:
        kind = "the process died"
        text = f"a child died; this was under way or waiting: {share}"
        finding = Finding(share.parser, share.first, kind, text, b"")
        return Tally(findings=[finding], found={kind: 1})


def _bound() -> None:
    """Let the kernel refuse what no input is worth."""
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    mapped = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (mapped + ADDRESS_SPACE, hard))


def _resident() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
