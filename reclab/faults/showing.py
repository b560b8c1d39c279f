"""``reclab faults show``: what is broken on purpose now, and what it struck."""

from __future__ import annotations

import asyncio
import shlex
import sys
from collections.abc import Awaitable, Callable, Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer
from rich.console import Console

from reclab.faults.lab_faults import LabFaults, State, lab_faults
from reclab.lab import DEFAULT_FOLDER, DataOption, load_lab
from reclab.lab_client import LabError
from service_shell.settings import SettingsError

JsonOption = Annotated[bool, typer.Option("--json", help="As JSON, by service.")]
_LAST_STRIKES = 5
_TOLD_APART = ("on", "name", "kind")


def show(
    as_json: JsonOption = False,
    data: DataOption = DEFAULT_FOLDER,  # type: ignore[assignment]  # typer converts it
) -> None:
    """Show the faults in force, how often each one struck, and the last strikes."""
    tell(ask(data, lambda faults: faults.show()), as_json=as_json)


def ask(
    data: Path, question: Callable[[LabFaults], Awaitable[Mapping[str, State]]]
) -> Mapping[str, State]:
    """Return what the services of the lab in folder `data` answer. Raises `SettingsError`."""
    lab = load_lab(data)

    async def run() -> Mapping[str, State]:
        async with lab_faults(lab) as faults:
            return await question(faults)

    try:
        with Console(stderr=True).status("Asking the services …"):
            return asyncio.run(run())
    except LabError as error:
        raise SettingsError(str(error)) from None


def tell(states: Mapping[str, State], *, as_json: bool) -> None:
    """Print what is in force in each service."""
    if as_json:
        sys.stdout.write(msgspec.json.format(msgspec.json.encode(states), indent=2).decode() + "\n")
        return
    lines = [line for target, state in states.items() for line in _lines(target, state)]
    Console(highlight=False, soft_wrap=True, markup=False).print(
        "\n".join(lines) or "no faults are in force"
    )


def _lines(target: str, state: State) -> Iterator[str]:
    """Yield a line for each fault in force in a service, and for each of the last strikes."""
    for fault in state["plan"]["faults"]:
        count = state["counts"][fault["name"]]
        what = f"{target} {fault['name']}: {fault['kind']} {_fields(fault)}".rstrip()
        struck = f"struck {count['struck']} of {count['seen']} in {state['seconds']:.0f} s"
        yield f"{what} ({struck})"
    for strike in state["strikes"][-_LAST_STRIKES:]:
        what = f"{strike['fault']} ({strike['kind']}) struck {strike['operation']}"
        yield f"  {target} after {strike['seconds']:.3f} s: {what}"


def _fields(fault: Mapping[str, Any]) -> str:
    """Return what differs from the usual, as ``reclab faults add`` takes it."""
    said = [f"{name}={value}" for name, value in fault.items() if name not in _TOLD_APART]
    return shlex.join(said)
