"""``reclab up``: the whole lab in one command, until it is told to stop."""

from __future__ import annotations

import asyncio
import enum
import signal
from typing import Annotated

import typer
import uvloop
from rich.console import Console

from reclab.lab import DEFAULT_FOLDER, LAB_FILE, DataOption, Lab
from reclab.preparation import RecordingOptions
from reclab.running import running_lab
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
TypeOption = Annotated[FileType, typer.Option("--type", help="The recordings' file type.")]
ChannelsOption = Annotated[
    Channels, typer.Option("--channels", help="stereo: customer left, agent right; mono: mixed.")
]


def up(
    data: DataOption = DEFAULT_FOLDER,  # type: ignore[assignment]  # typer converts it
    ephemeral: EphemeralOption = False,
    type_: TypeOption = FileType.WAV,
    channels: ChannelsOption = Channels.STEREO,
) -> None:
    """Start the whole lab on loopback and keep it up until Ctrl-C or SIGTERM.

    DIR/lab.json appears when everything is ready: addresses, accounts, keys. A folder keeps its
    certificates, keys, passwords, ports and recordings from one start to the next.
    """
    configure_logging("reclab", LogSettings(level="warning"))
    console = Console(stderr=True)

    async def run() -> None:
        stopping = stop_event()
        options = RecordingOptions(type=type_.value, channels=channels.value)
        async with running_lab(data, options, ephemeral=ephemeral, say=console.print) as lab:
            announce(console, data, lab)
            await stopping.wait()

    uvloop.run(run())


def stop_event() -> asyncio.Event:
    """Return an event that SIGTERM and SIGINT set, in place of ending the process at once."""
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    return stopping


def announce(console: Console, data: object, lab: Lab) -> None:
    """Tell a person where everything is."""
    console.print(f"\nThe lab is up. SIP calls go to [bold]{lab.sip}[/] (UDP and TCP).")
    console.print(f"  recordings   {lab.processor}/")
    console.print(f"  store        {lab.store}")
    console.print(f"  control API  {lab.control}")
    console.print(f"  crypto       {lab.crypto}")
    console.print(f"Accounts, keys and addresses: {data}/{LAB_FILE}   (Ctrl-C ends the lab)\n")
