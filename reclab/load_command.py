"""``reclab load``: place calls that carry their own proof, and report what was sent.

Exit codes: 0 every call went well (or was ended by Ctrl-C), 1 calls failed, 2 bad input.
"""

from __future__ import annotations

import asyncio
import enum
import secrets
import ssl
import sys
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated, Final

import typer
import uvloop
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bar

from mcp_sim.load.backdrop import AudioError
from mcp_sim.load.caller import Caller, Progress
from mcp_sim.load.impairments import tell_impairments
from mcp_sim.load.media_client import MediaFailed
from mcp_sim.load.report import LoadReport, ReportError, write_report
from mcp_sim.load.scenario import Scenario, ScenarioError
from reclab.impair_option import HELP as IMPAIR_HELP
from reclab.impair_option import read_impairments
from reclab.stopping import INTERRUPTED, run_until, stop_signals
from reclab.target import check_listening
from service_shell.listening import split_address
from service_shell.log import LogSettings, configure_logging
from service_shell.settings import SettingsError
from service_shell.trust import client_context

_LINE_EVERY: Final = 5.0
_REASONS: Final = 5
_EXAMPLE = Scenario()


class Signalling(enum.StrEnum):
    """How the calls come in."""

    SIPREC = "siprec"
    GIR = "gir"
    PLAIN = "plain"


class Codec(enum.StrEnum):
    """What is spoken."""

    PCMU = "pcmu"
    PCMA = "pcma"


class Transport(enum.StrEnum):
    """What SIP travels on."""

    UDP = "udp"
    TCP = "tcp"
    TLS = "tls"


class Arrivals(enum.StrEnum):
    """How calls follow each other."""

    EVEN = "even"
    POISSON = "poisson"


def load(
    target: Annotated[str, typer.Option(help="The recorder's SIP address, HOST:PORT.")],
    calls: Annotated[int, typer.Option(help="How many calls.")] = 8,
    rate: Annotated[float, typer.Option(help="New calls per second.")] = _EXAMPLE.rate,
    hold: Annotated[float, typer.Option(help="Seconds that each call speaks.")] = _EXAMPLE.hold,
    signalling: Annotated[
        Signalling,
        typer.Option(
            help="siprec: one INVITE with two streams; gir: an INVITE for each party; "
            "plain: one party, as a phone."
        ),
    ] = Signalling.SIPREC,
    codec: Annotated[Codec, typer.Option(help="G.711 law.")] = Codec.PCMU,
    transport: Annotated[
        Transport, typer.Option(help="SIP over UDP, TCP or TLS (to the port for that).")
    ] = Transport.UDP,
    ca: Annotated[
        Path | None,
        typer.Option(help="tls: a CA file (PEM) that is believed beside the system's."),
    ] = None,
    audio: Annotated[
        Path | None,
        typer.Option(help="A WAV file that is heard behind the signature, looped (below 2.5 kHz)."),
    ] = None,
    report: Annotated[
        Path | None, typer.Option(help="Write what was sent to this JSON file, for `verify`.")
    ] = None,
    concurrency: Annotated[
        int, typer.Option(help="Most calls at once; further ones wait their turn.")
    ] = _EXAMPLE.concurrency,
    arrivals: Annotated[
        Arrivals, typer.Option(help="Evenly spaced, or at random times (Poisson).")
    ] = Arrivals.EVEN,
    seed: Annotated[
        int | None,
        typer.Option(
            help="The same seed gives the same calls, ids included; it stands in the report. "
            "Default: a new one for each run."
        ),
    ] = None,
    caller: Annotated[
        str, typer.Option(help="Callers' numbers; each # is a digit of the call's number.")
    ] = _EXAMPLE.caller,
    dialed: Annotated[str, typer.Option(help="Dialed numbers.")] = _EXAMPLE.dialed,
    agent: Annotated[str, typer.Option(help="Agents' numbers.")] = _EXAMPLE.agent,
    profile_dbid: Annotated[
        int | None, typer.Option(help="DBID of the IVR profile to ask for.")
    ] = None,
    stagger: Annotated[
        float, typer.Option(help="gir: seconds between the first leg's answer and the second leg.")
    ] = 0.0,
    impair: Annotated[list[str] | None, typer.Option(help=IMPAIR_HELP)] = None,
) -> None:
    """Place calls over real SIP and RTP; each leg speaks a signature that `verify` finds again.

    Ctrl-C ends the open calls with BYE, and the report is written all the same; a second Ctrl-C
    ends at once, without a report.
    """
    configure_logging("reclab", LogSettings(level="warning"))
    scenario = Scenario(
        calls=calls,
        rate=rate,
        hold=hold,
        signalling=signalling.value,
        codec=codec.value,
        arrivals=arrivals.value,
        concurrency=concurrency,
        stagger=stagger,
        seed=secrets.randbits(53) if seed is None else seed,
        caller=caller,
        dialed=dialed,
        agent=agent,
        profile_dbid=profile_dbid,
        impairments=read_impairments(impair or ()),
    )
    _check_writable(report)
    trust = _trust(transport, ca)
    result = _run(scenario, split_address(target), transport, audio, trust)
    if result is None:
        raise typer.Exit(INTERRUPTED)
    if report is not None:
        try:
            write_report(result, report)
        except ReportError as error:
            raise SettingsError(str(error)) from None
    summarize(Console(highlight=False, soft_wrap=True), result)
    if result.totals.failed:
        raise typer.Exit(1)


def _check_writable(report: Path | None) -> None:
    # Better to say it now than after an hour of calls.
    if report is not None and not report.absolute().parent.is_dir():
        raise SettingsError(f"the report {report} cannot be written: its folder does not exist")


def _trust(transport: Transport, ca: Path | None) -> ssl.SSLContext | None:
    if transport is Transport.TLS:
        return client_context(str(ca or ""), name="--ca")
    if ca is not None:
        raise SettingsError("--ca belongs to --transport tls")
    return None


def _run(
    scenario: Scenario,
    target: tuple[str, int],
    transport: Transport,
    audio: Path | None,
    trust: ssl.SSLContext | None,
) -> LoadReport | None:
    """Return what became of the calls, or None when the run was not left the time for it."""

    async def run() -> LoadReport | None:
        stop = stop_signals()
        caller = Caller(scenario, target, transport.value, audio, stop.asked, trust)
        await check_listening(target, transport.value, trust)
        async with showing(caller.progress, Console(stderr=True)):
            return await run_until(stop.hurried, caller.run())

    try:
        return uvloop.run(run())
    except (ScenarioError, AudioError, MediaFailed) as error:
        raise SettingsError(str(error)) from None


@asynccontextmanager
async def showing(progress: Progress, console: Console) -> AsyncIterator[None]:
    """Show how far a run is: live at a terminal, elsewhere a plain line every few seconds."""
    task = asyncio.create_task(_show(progress, console))
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def _show(progress: Progress, console: Console) -> None:
    if not console.is_terminal:
        while True:
            await asyncio.sleep(_LINE_EVERY)
            sys.stderr.write(f"reclab load: {_line(progress)}\n")
            sys.stderr.flush()
    columns = (BarColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with Bar(*columns, console=console, transient=True) as bar:
        row = bar.add_task("", total=progress.planned)
        while True:
            done = progress.completed + progress.failed
            bar.update(row, completed=done, description=_line(progress))
            await asyncio.sleep(0.2)


def _line(progress: Progress) -> str:
    return (
        f"{progress.placed}/{progress.planned} calls placed, {progress.active} active, "
        f"{progress.completed} completed, {progress.failed} failed"
    )


def summarize(console: Console, report: LoadReport) -> None:
    """Print the totals of a run, and why calls failed."""
    totals = report.totals
    answer = totals.answer_ms
    console.print(
        f"{totals.completed} calls completed, {totals.interrupted} interrupted, "
        f"{totals.failed} failed, {totals.packets} packets sent (seed {report.scenario.seed})"
    )
    if any(call.answer_ms is not None for call in report.calls):
        console.print(
            f"answered in {answer.p50:.1f} ms (median), {answer.p95:.1f} ms (95 %), "
            f"{answer.max:.1f} ms (longest); latest packet {totals.packet_lag_ms:.1f} ms late"
        )
    for line in tell_impairments(report.calls):
        console.print(escape(line))
    show_failures(console, report)


def show_failures(console: Console, report: LoadReport) -> None:
    """Print why calls failed, the most frequent reasons first."""
    reasons = Counter(call.reason for call in report.calls if call.result == "failed")
    for reason, count in reasons.most_common(_REASONS):
        console.print(f"[red]{count} failed[/]: {escape(reason)}")
