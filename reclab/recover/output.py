"""A report as people read it: how the destinations answer, then each recording, then the sum."""

from __future__ import annotations

from collections.abc import Iterator

from rich.console import Console
from rich.markup import escape

from reclab.recover.causes import Cause
from reclab.recover.report import DestinationState, Finding, Outcome, Report

_SHOWN = 200
_SENTENCES = {cause.slug: cause.sentence for cause in Cause}
_PLATFORM = {
    "running": "The platform runs and holds the spool: it is asked to do what the spool needs.",
    "stopped": "The platform is stopped: its spool is worked on from here.",
    "none": "There is no spool.",
}
_ALL_STOPPED = (
    "Is the whole lab stopped? `reclab up` starts it and delivers what waits; then run this again."
)
_COLOURS = {Outcome.REPAIRED: "green", Outcome.WOULD_REPAIR: "yellow", Outcome.REMAINS: "red"}
_WORDS = {
    Outcome.REPAIRED: "repaired",
    Outcome.WOULD_REPAIR: "would be repaired",
    Outcome.REMAINS: "remains",
}


def show(console: Console, report: Report) -> None:
    """Print the report."""
    console.print(_PLATFORM[report.platform], soft_wrap=True)
    for destination in report.destinations:
        console.print(_destination(destination), soft_wrap=True)
    for note in report.notes:
        console.print(f"[yellow]Note:[/] {_plain(note)}", soft_wrap=True)
    for recoverable, title in ((True, "Recoverable"), (False, "Unrecoverable")):
        found = [one for one in report.findings if one.recoverable is recoverable]
        if found:
            console.print(f"\n[bold]{title}[/]")
        for one in found[:_SHOWN]:
            for line in _lines(one):
                console.print(line, soft_wrap=True)
        if len(found) > _SHOWN:
            console.print(f"  … and {len(found) - _SHOWN} more: --json tells them all")
    console.print(f"\n{_looked_at(report)}", soft_wrap=True)
    console.print(_sum(report), soft_wrap=True)
    nobody = not report.complete and not any(one.answers for one in report.destinations)
    if report.platform == "stopped" and nobody:
        console.print(_ALL_STOPPED, soft_wrap=True)


def _destination(one: DestinationState) -> str:
    sign = "[green]well[/]" if one.well else "[red]not well[/]"
    said = f"profile {one.profile}: {one.said}"
    return f"  the {one.kind} {_plain(one.url)} is {sign} ({_plain(said)})"


def _lines(one: Finding) -> Iterator[str]:
    colour, word = _COLOURS[one.outcome], _WORDS[one.outcome]
    name = _plain(one.recording or one.media)
    yield f"  [bold]{name}[/]  {one.cause}: {_SENTENCES[one.cause]}  [{colour}]{word}[/]"
    yield f"    media  {_plain(one.media)}"
    place = f"{one.place}, {one.state}" if one.state else one.place
    yield f"    in     {place}: {_plain(one.where)}"
    yield f"    why    {_plain(one.reason)}"
    if one.repair:
        yield f"    repair {_plain(one.repair)}"


def _plain(text: str) -> str:
    """Return text of others for a console: neither markup nor what moves a terminal's cursor."""
    return escape(
        "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in text)
    )


def _looked_at(report: Report) -> str:
    """Name what was looked at; what was not is in the notes."""
    counts = report.counts
    spool = ", ".join(f"{number} {state}" for state, number in counts.spool.items()) or "nothing"
    parts = [f"spool ({spool})"]
    if counts.objects is not None:
        parts.append(f"store ({counts.objects} objects)")
    if counts.media_files is not None:
        apart = f", {counts.elsewhere} in other stores, not compared" if counts.elsewhere else ""
        parts.append(f"catalogue ({counts.media_files} media files{apart})")
    return f"Looked at: {', '.join(parts)}."


def _sum(report: Report) -> str:
    if not report.findings:
        where = "" if report.complete else " where something answered"
        return f"Nothing is wrong{where}."
    would = len(report.having(Outcome.WOULD_REPAIR))
    parts = [f"{len(report.having(Outcome.REPAIRED))} repaired"]
    if report.dry_run:
        parts = [f"{would} would be repaired"]
    parts.append(f"{len(report.having(Outcome.REMAINS, recoverable=True))} recoverable remain")
    parts.append(f"{len(report.having(Outcome.REMAINS, recoverable=False))} unrecoverable")
    end = "" if report.complete else " (not everything could be looked at)"
    return f"{', '.join(parts)}{end}."
