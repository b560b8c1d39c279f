"""``reclab up``: the whole lab in one command, until it is told to stop."""

from __future__ import annotations

import enum
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Annotated

import typer
import uvloop
from rich.console import Console
from rich.markup import escape

from reclab.doors import Ports
from reclab.lab import DEFAULT_FOLDER, FAULTS_ROLE, LAB_FILE, DataOption, Lab
from reclab.preparation import RecordingOptions
from reclab.running import running_lab
from reclab.stopping import run_until, stop_signals
from service_shell.log import LogSettings, configure_logging


class FileType(enum.StrEnum):
    """What a recording is stored as."""

    WAV = "wav"
    MP3 = "mp3"


class Channels(enum.StrEnum):
    """Both parties apart, or mixed."""

    STEREO = "stereo"
    MONO = "mono"


EphemeralOption = Annotated[
    bool, typer.Option("--ephemeral", help="Take free ports instead of 5060 and 8800 to 8803.")
]
TlsOption = Annotated[
    bool,
    typer.Option("--tls", help="HTTPS for every service, and SIP over TLS too. A folder keeps it."),
]
TypeOption = Annotated[
    FileType | None,
    typer.Option("--type", help="The recordings' file type; at first wav, later as it was."),
]
ChannelsOption = Annotated[
    Channels | None,
    typer.Option(
        "--channels",
        help="stereo: customer left, agent right; mono: mixed. At first stereo, later as it was.",
    ),
]

FaultsOption = Annotated[
    bool,
    typer.Option("--faults", help="Let the services be broken on purpose: see `reclab faults`."),
]


def up(
    data: DataOption = DEFAULT_FOLDER,  # type: ignore[assignment]  # typer converts it
    ephemeral: EphemeralOption = False,
    tls: TlsOption = False,
    type_: TypeOption = None,
    channels: ChannelsOption = None,
    faults: FaultsOption = False,
) -> None:
    """Start the whole lab on loopback and keep it up until Ctrl-C or SIGTERM.

    DIR/lab.json appears when everything is ready: addresses, accounts, keys. A folder keeps its
    certificates, keys, passwords, ports and recordings from one start to the next.
    """
    configure_logging("reclab", LogSettings(level="warning"))
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    options = chosen_options(type_, channels)
    ports = Ports.FREE if ephemeral else Ports.USUAL

    async def run() -> None:
        stop = stop_signals()
        up = running_lab(
            data,
            options,
            ports=ports,
            say=console.print,
            tls=tls,
            hurry=stop.hurried,
            faults=faults,
        )
        async with AsyncExitStack() as stack:
            lab = await run_until(stop.asked, stack.enter_async_context(up))
            if lab is not None:
                announce(console, data, lab)
                await stop.asked.wait()

    uvloop.run(run())


def chosen_options(type_: FileType | None, channels: Channels | None) -> RecordingOptions:
    """Return what a person chose on the command line."""
    return RecordingOptions(
        type=type_.value if type_ else None, channels=channels.value if channels else None
    )


def announce(console: Console, data: Path, lab: Lab) -> None:
    """Tell a person where everything is."""
    console.print(f"\nThe lab is up. SIP calls go to [bold]{lab.sip}[/] (UDP and TCP).")
    if lab.sip_tls:
        console.print(f"  SIP by TLS   {lab.sip_tls}")
        console.print(f"  its CA file  {escape(lab.services_ca)}   (for browsers, curl and phones)")
    console.print(f"  the page     {lab.processor}/   (sign in as {lab.users['listener'].name})")
    console.print(f"  store        {lab.store}")
    console.print(f"  control API  {lab.control}")
    console.print(f"  crypto       {lab.crypto}")
    if FAULTS_ROLE in lab.users:
        console.print("[yellow]Faults on purpose are enabled: `reclab faults` breaks things.[/]")
    console.print(
        f"Passwords, keys and addresses: {escape(str(data / LAB_FILE))}   (Ctrl-C ends the lab)\n"
    )
