"""What a person reads of a report; names and answers of others stay text."""

from __future__ import annotations

import io

from rich.console import Console

from reclab.recover.causes import Cause
from reclab.recover.output import show
from reclab.recover.report import Counts, DestinationState, Finding, Report

ODD = "a\x1b]0;title\x07\x1b[2Jb\n[red]c\u202e"
"""It would name a terminal's window, clear it, begin a line and turn it around."""


def _text(report: Report, width: int | None = None) -> str:
    written = io.StringIO()
    show(Console(file=written, highlight=False, width=width), report)
    return written.getvalue()


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
    lines = _text(report, width=2000).splitlines()
    assert all(line.isprintable() for line in lines)
    assert sum(line.count("[red]c") for line in lines) == 8


def test_what_was_looked_at_is_counted() -> None:
    """Each place is named with its count, and what lies in other stores."""
    counts = Counts(spool={"ready": 1, "delivered": 2}, objects=3, media_files=4, elsewhere=1)
    text = _text(Report(dry_run=False, platform="running", counts=counts))
    assert (
        "Looked at: spool (1 ready, 2 delivered), store (3 objects), "
        "catalogue (4 media files, 1 in other stores, not compared).\nNothing is wrong.\n"
    ) in text
    assert "reclab up" not in text


def test_what_did_not_answer_is_not_counted_as_empty() -> None:
    """A store that was not looked through has no figure, and a stopped lab is told of its start."""
    report = Report(dry_run=True, platform="stopped")
    report.missed("the store was not looked through: [nobody] answers")
    text = _text(report)
    assert "Note: the store was not looked through: [nobody] answers" in text
    assert "Looked at: spool (nothing).\nNothing is wrong where something answered.\n" in text
    assert "Is the whole lab stopped? `reclab up` starts it" in text
