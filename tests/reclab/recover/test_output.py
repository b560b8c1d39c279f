"""What a terminal is shown of a report: names and answers of others stay text."""

from __future__ import annotations

import io

from rich.console import Console

from reclab.recover.causes import Cause
from reclab.recover.output import show
from reclab.recover.report import DestinationState, Finding, Report

ODD = "a\x1b]0;title\x07\x1b[2Jb\n[red]c\u202e"
"""It would name a terminal's window, clear it, begin a line and turn it around."""


def test_names_of_others_are_text() -> None:
    """Names and answers of stores and processors: none moves the cursor."""
    finding = Finding.of(
        Cause.CONFLICT, f"why {ODD}", place="store", where=ODD, recording=ODD, media=ODD
    )
    report = Report(dry_run=False, platform="stopped")
    report.findings.append(finding)
    report.notes.append(ODD)
    report.destinations.append(
        DestinationState(kind="store", url=ODD, profile=ODD, answers=False, accepts=False, said=ODD)
    )
    console = Console(file=io.StringIO(), highlight=False, width=2000)
    show(console, report)
    assert isinstance(console.file, io.StringIO)
    lines = console.file.getvalue().splitlines()
    assert all(line.isprintable() for line in lines)
    assert sum(line.count("[red]c") for line in lines) == 8
