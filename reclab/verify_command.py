"""``reclab verify``: fetch recordings, open them, and prove that they hold what was said.

Exit codes: 0 all verified, 1 something is wrong with a recording or one is missing, 2 bad input.
"""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Final, Literal

import msgspec
import typer
import uvloop
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from mcp_sim.load.comparison import expected_calls
from mcp_sim.load.finding import Tolerances
from mcp_sim.load.report import CallReport, ReportError, read_report
from reclab.lab import DEFAULT_FOLDER, DataOption, load_lab
from reclab.lab_client import JsonDict, LabError, UnknownRecording
from reclab.verification import Options, Verdict, Verifier
from service_shell.settings import SettingsError

_NOT_STORED: Final = "the call was sent, and no recording of it is stored"
_TABLE_ROWS: Final = 200
_WIDTH: Final = 112
"""Ids are there to be copied: a narrower terminal wraps lines, it cuts none."""


def verify(
    ids: Annotated[list[str] | None, typer.Argument(help="Recordings' ids.")] = None,
    everything: Annotated[
        bool, typer.Option("--all", help="Every recording that the processor knows.")
    ] = False,
    report: Annotated[
        Path | None,
        typer.Option(
            help="The report of `reclab load`: every call in it must be stored, every packet "
            "heard. Without ids and --all, the report's calls are verified."
        ),
    ] = None,
    data: DataOption = DEFAULT_FOLDER,  # type: ignore[assignment]  # typer converts it
    as_json: Annotated[
        bool, typer.Option("--json", help="A JSON list on standard output instead of a table.")
    ] = False,
    through: Annotated[
        str, typer.Option(help="`crypto`: the crypto server must play the same bytes, too.")
    ] = "",
    allow_foreign: Annotated[
        bool,
        typer.Option(
            "--allow-foreign",
            help="Recordings without any signature (a phone's, sipp's) count as verified when they "
            "are stored, sealed and decoded right. Calls of the report must always be signed.",
        ),
    ] = False,
    key: Annotated[
        list[Path] | None,
        typer.Option(
            help="A private key beside the lab's own, PEM, for recordings of certificates that "
            "were deployed later. Repeatable."
        ),
    ] = None,
    wait: Annotated[
        float, typer.Option(min=0, help="Seconds to wait for the report's calls to be stored.")
    ] = 30.0,
    offset_ms: Annotated[
        float, typer.Option(min=0, help="Most milliseconds that the legs may be apart.")
    ] = Tolerances().offset_ms,
    missing_ms: Annotated[
        float, typer.Option(min=0, help="Most milliseconds that may be missing of a leg.")
    ] = Tolerances().missing_ms,
    duration_ms: Annotated[
        float,
        typer.Option(min=0, help="Most milliseconds that length and metadata differ."),
    ] = Tolerances().duration_ms,
) -> None:
    """Prove recordings: fetched from the store, checked, decrypted, and listened to.

    In each recording the signature of each leg is searched on its channel: missing milliseconds,
    the offset between the legs, a swap, a wrong duration are found. A recording without a signature
    was not made by `reclab load`, and is not verified unless --allow-foreign says so.
    """
    if through not in ("", "crypto"):
        raise SettingsError(f"--through can be `crypto`, not `{through}`")
    if not ids and not everything and report is None:
        raise SettingsError("name recordings, or say --all, or --report FILE")
    for one in ids or []:
        if Path(one).is_file():
            raise SettingsError(f"{one} is a file, not a recording's id: say --report {one}")
    tolerances = Tolerances(offset_ms=offset_ms, missing_ms=missing_ms, duration_ms=duration_ms)
    options = Options(tolerances, allow_foreign, through == "crypto", tuple(key or ()))
    verdicts = uvloop.run(_verify(data, ids or [], everything, _read_calls(report), options, wait))
    if as_json:
        sys.stdout.buffer.write(msgspec.json.format(msgspec.json.encode(verdicts)) + b"\n")
    else:
        terminal = shutil.get_terminal_size()
        # Both sizes are said: with one, Rich takes 80 columns for a terminal that it thinks dumb.
        width = max(terminal.columns, _WIDTH)
        show(Console(width=width, height=terminal.lines, highlight=False), verdicts)
    if not verdicts or not all(verdict.verified for verdict in verdicts):
        raise typer.Exit(1)


def _read_calls(report: Path | None) -> dict[str, CallReport]:
    if report is None:
        return {}
    try:
        return expected_calls(read_report(report).calls)
    except ReportError as error:
        raise SettingsError(str(error)) from None


async def _verify(
    data: Path,
    ids: Sequence[str],
    everything: bool,
    calls: dict[str, CallReport],
    options: Options,
    wait: float,
) -> list[Verdict]:
    async with Verifier(load_lab(data), options) as verifier:
        try:
            with Console(stderr=True, highlight=False).status("Looking …") as status:
                return await verify_recordings(
                    verifier,
                    ids=ids,
                    everything=everything,
                    calls=calls,
                    wait=wait,
                    say=status.update,
                )
        except LabError as error:
            raise SettingsError(str(error)) from None


async def verify_recordings(
    verifier: Verifier,
    *,
    ids: Sequence[str] = (),
    everything: bool = False,
    calls: dict[str, CallReport] | None = None,
    wait: float = 30.0,
    say: Callable[[str], None] = lambda _: None,
) -> list[Verdict]:
    """Verify the named recordings, or all of them, and that each of `calls` is stored.

    `wait`: the seconds in which they may still come; `say` hears how far it is. Raises
    `UnknownRecording` for an id that the processor does not know, and other `LabError`s where the
    processor cannot be asked.
    """
    calls = calls or {}
    if ids:
        wanted = [await verifier.client.recording(one) for one in dict.fromkeys(ids)]
        calls = {one: calls[one] for one in ids if one in calls}
    else:
        found = await _wait_for_calls(verifier, calls, wait, say)
        wanted = [one async for one in verifier.client.recordings()] if everything else found
    say(f"Listening to {len(wanted)} recordings …")
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(verifier.verify(one, calls.get(one["id"]))) for one in wanted]
    verdicts = [task.result() for task in tasks]
    stored = {verdict.id for verdict in verdicts}
    return verdicts + [_not_stored(call) for call in calls.values() if call.identity not in stored]


async def _wait_for_calls(
    verifier: Verifier, calls: dict[str, CallReport], wait: float, say: Callable[[str], None]
) -> list[JsonDict]:
    """Return the calls' recordings, once all are there or the wait is over."""
    give_up = time.monotonic() + wait
    found: dict[str, JsonDict] = {}
    while True:
        for identity in [one for one in calls if one not in found]:
            with contextlib.suppress(UnknownRecording):
                found[identity] = await verifier.client.recording(identity)
        if len(found) == len(calls) or time.monotonic() >= give_up:
            return list(found.values())
        say(f"Waiting for {len(calls) - len(found)} of {len(calls)} calls to be stored …")
        await asyncio.sleep(0.5)


def _not_stored(call: CallReport) -> Verdict:
    return Verdict(
        id=call.identity,
        verified=False,
        problems=(_NOT_STORED,),
        signed=False,
        caller=call.caller,
        dialed=call.dialed,
        started=call.started,
    )


def show(console: Console, verdicts: Sequence[Verdict]) -> None:
    """Print a table for people: the wrong ones first, and a summary."""
    table = Table(box=None, header_style="bold")
    for heading in ("recording", "caller", "dialed", "seconds", "missing", "offset", "verified"):
        justify: Literal["left", "right"] = "right" if heading in _NUMBERS else "left"
        table.add_column(heading, justify=justify, no_wrap=True, overflow="fold")
    ordered = sorted(verdicts, key=lambda verdict: verdict.verified)
    for verdict in ordered[:_TABLE_ROWS]:
        table.add_row(*_row(verdict))
    console.print(table)
    if len(ordered) > _TABLE_ROWS:
        console.print(f"… and {len(ordered) - _TABLE_ROWS} more")
    for verdict in ordered[:_TABLE_ROWS]:
        for problem in verdict.problems:
            text = f"[red]{escape(verdict.id)}[/]: {escape(problem)}"
            console.print(text, soft_wrap=True)
    good = sum(verdict.verified for verdict in verdicts)
    console.print(f"{good} of {len(verdicts)} recordings verified")


_NUMBERS: Final = ("seconds", "missing", "offset")


def _row(verdict: Verdict) -> tuple[str, ...]:
    missing = sum(leg.missing_ms for leg in verdict.legs)
    return (
        escape(verdict.id),
        escape(verdict.caller),
        escape(verdict.dialed),
        f"{verdict.duration_ms / 1000:.2f}",
        f"{missing} ms" if verdict.signed else "",
        "" if verdict.offset_ms is None else f"{verdict.offset_ms:+.1f} ms",
        "[green]yes[/]" if verdict.verified else "[red]no[/]",
    )
