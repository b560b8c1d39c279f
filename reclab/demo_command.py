"""``reclab demo``: the whole circle before your eyes: calls, recordings, proof, playback."""

from __future__ import annotations

import asyncio
import json
import secrets
import shlex
from collections.abc import Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Annotated, Any

import aiohttp
import typer
import uvloop
from rich.console import Console
from rich.live import Live
from rich.markup import escape
from rich.table import Table

from mcp_sim.load.caller import Caller
from mcp_sim.load.comparison import expected_calls
from mcp_sim.load.report import LoadReport
from mcp_sim.load.scenario import Scenario
from reclab.doors import Ports
from reclab.https import trusting
from reclab.lab import DEFAULT_FOLDER, DataOption, Lab
from reclab.load_command import show_failures
from reclab.preparation import LabFolder, RecordingOptions
from reclab.running import running_lab
from reclab.stopping import INTERRUPTED, run_until, stop_signals
from reclab.up_command import ChannelsOption, TlsOption, TypeOption, chosen_options
from reclab.verification import Verdict, Verifier
from reclab.verify_command import verify_recordings
from service_shell.accounts import basic_header
from service_shell.listening import split_address
from service_shell.log import LogSettings, configure_logging
from service_shell.trust import client_context

_LOOK_EVERY = 0.25
_WAIT_FOR_RECORDINGS = 60.0


def demo(
    calls: Annotated[int, typer.Option(min=1, max=600, help="How many calls.")] = 8,
    seconds: Annotated[float, typer.Option(min=1, max=3600, help="How long each one is.")] = 6,
    end: Annotated[
        bool, typer.Option("--exit", help="End after the proof; 1 when anything is wrong.")
    ] = False,
    data: DataOption = DEFAULT_FOLDER,  # type: ignore[assignment]  # typer converts it
    tls: TlsOption = False,
    type_: TypeOption = None,
    channels: ChannelsOption = None,
) -> None:
    """Bring a lab up, place real calls, and prove every recording.

    Shows the calls while they run, each recording with its parties and recipients, the page that
    plays them, and one line that opens a recording by hand. Then it stays up until Ctrl-C. Where
    the usual ports are taken, free ones are used.
    """
    configure_logging("reclab", LogSettings(level="warning"))
    options = chosen_options(type_, channels)
    good = uvloop.run(_demo(data, options, calls, seconds, tls=tls, end=end))
    if not good:
        raise typer.Exit(INTERRUPTED if good is None else 1)


async def _demo(
    data: Path, options: RecordingOptions, calls: int, seconds: float, *, tls: bool, end: bool
) -> bool | None:
    """Return whether all was well, or None when the demo was ended before it was through."""
    console = Console(highlight=False, soft_wrap=True)
    stop = stop_signals()
    up = running_lab(
        data, options, ports=Ports.USUAL_OR_FREE, say=console.print, tls=tls, hurry=stop.hurried
    )
    async with AsyncExitStack() as stack:
        lab = await run_until(stop.asked, stack.enter_async_context(up))
        if lab is None:
            return None
        report = await _place_calls(console, lab, calls, seconds, stop.asked)
        if stop.asked.is_set():
            return None
        console.print("Waiting for the recordings, and proving them …")
        verdicts = await run_until(stop.asked, _prove(lab, report))
        if verdicts is None:
            return None
        _show_recordings(console, verdicts)
        await _show_how_to_listen(console, lab, LabFolder(data), verdicts)
        show_failures(console, report)
        console.print(_summary(report, verdicts))
        if not end:
            console.print("The lab stays up. Ctrl-C ends it.")
            await stop.asked.wait()
        return _all_well(report, verdicts)


async def _place_calls(
    console: Console, lab: Lab, calls: int, seconds: float, stopping: asyncio.Event
) -> LoadReport:
    """Place SIPREC calls over two seconds at most, with a live table of them."""
    console.print(f"Placing {calls} calls of {seconds:g} seconds each …")
    scenario = Scenario(
        calls=calls,
        rate=max(4.0, calls / 4),
        hold=seconds,
        signalling="siprec",
        codec="pcma",
        seed=secrets.randbits(53),
    )
    if lab.sip_tls:
        trust = client_context(lab.services_ca)
        caller = Caller(scenario, split_address(lab.sip_tls), "tls", None, stopping, trust)
    else:
        caller = Caller(scenario, split_address(lab.sip), "udp", None, stopping)
    showing = asyncio.create_task(_show_calls(console, lab))
    try:
        return await caller.run()
    finally:
        showing.cancel()
        await asyncio.gather(showing, return_exceptions=True)


async def _show_calls(console: Console, lab: Lab) -> None:
    """Keep a table of the running calls on a terminal; elsewhere show nothing."""
    if not console.is_terminal:
        return
    operator = lab.users["operator"]
    headers = {"Authorization": basic_header(operator.name, operator.password)}
    async with aiohttp.ClientSession(headers=headers, connector=trusting(lab.services_ca)) as http:
        with Live(console=console, transient=True) as live:
            while True:
                async with http.get(f"{lab.control}/calls") as answer:
                    live.update(_calls_table((await answer.json())["calls"]))
                await asyncio.sleep(_LOOK_EVERY)


def _calls_table(calls: Sequence[dict[str, Any]]) -> Table:
    title = f"Calls being recorded: {len(calls)}. RTP packets of the customer and the agent:"
    table = Table(title=title, title_justify="left", box=None, min_width=64)
    for heading in ("call", "caller", "dialed", "customer", "agent"):
        table.add_column(heading, justify="right" if heading in ("customer", "agent") else "left")
    for call in calls:
        packets = {leg["channel"]: leg["packets"] for leg in call["legs"]}
        parameters = call["parameters"]
        table.add_row(
            escape(call["id"]),
            escape(parameters.get("ani", "")),
            escape(parameters.get("dnis", "")),
            str(packets.get("left", "")),
            str(packets.get("right", "")),
        )
    return table


async def _prove(lab: Lab, report: LoadReport) -> list[Verdict]:
    async with Verifier(lab) as verifier:
        return await verify_recordings(
            verifier, calls=expected_calls(report.calls), wait=_WAIT_FOR_RECORDINGS
        )


def _show_recordings(console: Console, verdicts: Sequence[Verdict]) -> None:
    for verdict in verdicts:
        mark = "[green]verified: yes[/]" if verdict.verified else "[red]verified: no[/]"
        console.print(
            f"[bold]{escape(verdict.id)}[/]  {escape(verdict.caller)} → {escape(verdict.dialed)}  "
            f"{verdict.duration_ms / 1000:.2f} s  {mark}",
        )
        for media in verdict.media:
            console.print(f"    media      {escape(media.media_id)}")
        for alias in verdict.aliases:
            console.print(f"    recipient  {escape(alias)}")
        for problem in verdict.problems:
            console.print(f"    [red]problem    {escape(problem)}[/]")


async def _show_how_to_listen(
    console: Console, lab: Lab, folder: LabFolder, verdicts: Sequence[Verdict]
) -> None:
    listener = lab.users["listener"]
    console.print(f"\nThe page: [bold]{lab.processor}/[/]")
    console.print(f"  sign in as {listener.name} with {listener.password}")
    recorded = next((verdict for verdict in verdicts if verdict.media), None)
    if recorded is not None:
        line = await _open_by_hand(lab, folder, recorded)
        console.print("\nOpen one by hand, from store and envelope, with OpenSSL:")
        console.print(f"  {line}\n", markup=False)


async def _open_by_hand(lab: Lab, folder: LabFolder, verdict: Verdict) -> str:
    """Return a line for the shell that fetches and decrypts one recording."""
    operator = lab.users["operator"]
    headers = {"Authorization": basic_header(operator.name, operator.password)}
    async with (
        aiohttp.ClientSession(headers=headers, connector=trusting(lab.services_ca)) as http,
        http.get(f"{lab.processor}/api/v2/recordings/{verdict.id}") as answer,
    ):
        media = json.loads(await answer.read())["recording"]["mediaFiles"][0]
    play_name = media["mediaPath"].rpartition("/")[2].partition(".")[0]
    envelope = f"{lab.processor}/lab/recordings/{verdict.id}/envelopes/{play_name}.pem"
    stored = media["originalMediaDescriptor"]["path"]
    extension = media["mediaId"].rpartition(".")[2]
    key = lab.keys[media["certAlias"][0]]
    curl = ["curl", "-sf", "--netrc-file", str(folder.netrc)]
    curl += ["--cacert", lab.services_ca] if lab.services_ca else []
    curl += ["-o", "envelope.pem", envelope, "-o", "recording.bin", stored]
    openssl = ["openssl", "cms", "-decrypt", "-inform", "PEM", "-in", "envelope.pem"]
    openssl += ["-content", "recording.bin", "-inkey", key, "-binary"]
    openssl += ["-out", f"recording.{extension}"]
    return f"{shlex.join(curl)} && {shlex.join(openssl)}"


def _all_well(report: LoadReport, verdicts: Sequence[Verdict]) -> bool:
    return report.totals.failed == 0 and all(verdict.verified for verdict in verdicts)


def _summary(report: LoadReport, verdicts: Sequence[Verdict]) -> str:
    good = sum(verdict.verified for verdict in verdicts)
    calls = f"{report.totals.completed} of {report.totals.planned} calls went well"
    colour = "green" if _all_well(report, verdicts) else "red"
    return f"[{colour}]{calls}; {good} of {len(verdicts)} recordings are verified.[/]"
