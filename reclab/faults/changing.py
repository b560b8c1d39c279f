"""``reclab faults set``, ``add`` and ``clear``: what is broken on purpose is changed."""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from reclab.faults.lab_faults import LabFaults, State
from reclab.faults.showing import JsonOption, ask, tell
from reclab.lab import DEFAULT_FOLDER, DataOption
from service_shell.faults.fault import KINDS, Fault
from service_shell.faults.plan import FaultPlanError, read_plan
from service_shell.settings import SettingsError

_HTTP_KINDS, _PLATFORM_KINDS = (", ".join(KINDS[service]) for service in ("store", "mcp"))
_KINDS_HELP = f"mcp: {_PLATFORM_KINDS}; the others: {_HTTP_KINDS}."
_UNKNOWN = re.compile(r"Object contains unknown field `(.*)`")


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
        sys.stderr.write(
            f"reclab: no service causes these, left out: {', '.join(others)} "
            "(`reclab faults certificates` and `reclab load --impair` do)\n"
        )
    tell(ask(data, lambda faults: faults.put(plan)), as_json=as_json)


def add(
    service: Annotated[str, typer.Argument(help="store, processor, crypto or mcp.")],
    kind: Annotated[str, typer.Argument(help=_KINDS_HELP)],
    fields: Annotated[
        list[str] | None,
        typer.Argument(metavar="FIELD=VALUE", help="Times in seconds, sizes in bytes."),
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

    tell(ask(data, change), as_json=as_json)


def clear(
    as_json: JsonOption = False,
    data: DataOption = DEFAULT_FOLDER,  # type: ignore[assignment]  # typer converts it
) -> None:
    """End all faults of all services; what stalls or crawls goes on at once."""
    tell(ask(data, lambda faults: faults.clear()), as_json=as_json)


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
        raise SettingsError(_plainly(str(error), service)) from None
    return fault


def _plainly(said: str, service: str) -> str:
    """Turn msgspec's message into a sentence that names the field as a person typed it."""
    what, _, where = said.partition(" - at `$.")
    if unknown := _UNKNOWN.fullmatch(what):
        return f"a fault of {service} has no field {unknown[1]!r}: docs/faults.md has them all"
    field = where.rstrip("`")
    if field == "match":
        return '`match` is a method or *, a space, and a path, as in match="PUT /*"'
    sentence = f"{what[:1].lower()}{what[1:]}"
    return f"`{field}`: {sentence}" if field else f"the fault: {sentence}"
