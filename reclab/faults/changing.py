"""``reclab faults set``, ``add`` and ``clear``: what is broken on purpose is changed."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from reclab.faults.lab_faults import LabFaults, State, lab_faults
from reclab.faults.showing import JsonOption, tell
from reclab.lab import DEFAULT_FOLDER, DataOption, load_lab
from reclab.lab_client import LabError
from service_shell.faults.fault import KINDS, Fault
from service_shell.faults.plan import FaultPlanError, read_plan
from service_shell.settings import SettingsError


def set_(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A fault plan (TOML).")],
    as_json: JsonOption = False,
    data: DataOption = DEFAULT_FOLDER,  # type: ignore[assignment]  # typer converts it
) -> None:
    """Put a plan in force, in place of what was: each service gets its own faults of it."""
    try:
        plan = read_plan(file)
    except FaultPlanError as error:
        raise SettingsError(str(error)) from None
    others = [fault.name for fault in plan.named if fault.target not in KINDS]
    if others:
        sys.stderr.write(f"reclab: no service causes these, left out: {', '.join(others)}\n")
    tell(_run(data, lambda faults: faults.put(plan)), as_json=as_json)


def add(
    service: Annotated[str, typer.Argument(help="store, processor, crypto or mcp.")],
    kind: Annotated[str, typer.Argument(help="What is broken: status, latency, down, …")],
    fields: Annotated[
        list[str] | None,
        typer.Argument(metavar="FIELD=VALUE", help="For example: status=500 probability=0.2"),
    ] = None,
    as_json: JsonOption = False,
    data: DataOption = DEFAULT_FOLDER,  # type: ignore[assignment]  # typer converts it
) -> None:
    """Add one fault to those in force; its `begin` and `end` count from now.

    `reclab faults add store status status=507 match="PUT /*" probability=0.5 end=60`

    docs/faults.md has every kind and field.
    """
    fault = _fault(service, kind, fields or [])

    async def change(faults: LabFaults) -> Mapping[str, State]:
        return {service: await faults.add(fault)}

    tell(_run(data, change), as_json=as_json)


def clear(
    as_json: JsonOption = False,
    data: DataOption = DEFAULT_FOLDER,  # type: ignore[assignment]  # typer converts it
) -> None:
    """End all faults of all services; what stalls or crawls goes on at once."""
    tell(_run(data, lambda faults: faults.clear()), as_json=as_json)


def _run(
    data: Path, change: Callable[[LabFaults], Awaitable[Mapping[str, State]]]
) -> Mapping[str, State]:
    lab = load_lab(data)

    async def run() -> Mapping[str, State]:
        async with lab_faults(lab) as faults:
            return await change(faults)

    try:
        return asyncio.run(run())
    except LabError as error:
        raise SettingsError(str(error)) from None


def _fault(service: str, kind: str, fields: list[str]) -> Fault:
    """Return the fault that the command line says. Raises `SettingsError`."""
    if service not in KINDS:
        raise SettingsError(f"{service!r} is none of {', '.join(KINDS)}")
    if kind not in KINDS[service]:
        raise SettingsError(f"{kind!r} is no fault of {service}: {', '.join(KINDS[service])}")
    said: dict[str, str] = {"on": service, "kind": kind}
    for field in fields:
        name, equals, value = field.partition("=")
        if not equals or name in said:
            raise SettingsError(f"{field!r} is not of the form FIELD=VALUE, or there twice")
        said[name] = value
    try:
        fault: Fault = msgspec.convert(said, Fault, strict=False)
    except msgspec.ValidationError as error:
        sentence = str(error)
        raise SettingsError(f"the fault: {sentence[:1].lower()}{sentence[1:]}") from None
    return fault
