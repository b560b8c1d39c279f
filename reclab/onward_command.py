"""``reclab onward``: what waits to go on to the web services, what failed, and its replay.

Exit codes: 0 nothing lies in the folder of failed posts, 1 something does, 2 bad input.
"""

from __future__ import annotations

import asyncio
from typing import Annotated
from urllib.parse import quote

import msgspec
import typer

from reclab.cert.output import note
from reclab.cert.server import Address, JsonDict, Server, finish, server
from reclab.keystore.progress import doing
from reclab.lab import DEFAULT_FOLDER, DataOption, load_lab

_EVERY = 1.0


def onward(
    replay: Annotated[
        bool, typer.Option("--replay", help="Send what failed once more, and wait for the end.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="JSON, for programs.")] = False,
    data: DataOption = DEFAULT_FOLDER,  # type: ignore[assignment]  # typer converts it
) -> None:
    """Show what goes onward from the recording processor, and what could not.

    `reclab onward --replay`
    """
    lab = load_lab(data)
    path = f"/api/v2/ops/contact-centers/{quote(lab.ccid, safe='')}/onward"
    address = Address(lab.processor, lab.users["admin"], lab)
    with doing("Asking the processor …"):
        told = finish(_ask(address, path, replay=replay))
    if as_json:
        typer.echo(msgspec.json.format(msgspec.json.encode(told), indent=2).decode())
    else:
        _show(told)
    raise typer.Exit(1 if told["failed"] else 0)


async def _ask(address: Address, path: str, *, replay: bool) -> JsonDict:
    async with server(address) as asked:
        replayed = await _replay(asked, path) if replay else {}
        state = await asked.ask("GET", path)
    state.pop("statusCode", None)
    return {**state, **replayed}


async def _replay(asked: Server, path: str) -> JsonDict:
    """Ask for a replay until one has ended."""
    answer = await asked.ask("POST", f"{path}/replay")
    while answer["running"]:
        await asyncio.sleep(_EVERY)
        answer = await asked.ask("POST", f"{path}/replay")
    return {"replayed": answer["replayed"], "fault": answer["fault"]}


def _show(told: JsonDict) -> None:
    for file in told["files"]:
        typer.echo(file)
    hidden = told["failed"] - len(told["files"])
    if hidden > 0:
        typer.echo(f"… and {hidden} others")
    if "replayed" in told:
        note(f"{told['replayed']} were sent once more.")
    note(f"{told['waiting']} wait to go onward, {told['failed']} failed.")
    if told["fault"]:
        note(f"Last: {told['fault']}.")
