"""``reclab rewrap``: recipients are added to, or removed from, recordings that are stored already.

Exit codes: 0 all recordings are as they were asked to be, 1 some are not, 2 bad input.
"""

from __future__ import annotations

import asyncio
import re
import sys
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path
from typing import Annotated

import msgspec
import typer
from rich.console import Console
from rich.markup import escape

from reclab.lab import DEFAULT_FOLDER, DataOption, Lab, load_lab
from reclab.lab_client import LabError
from reclab.rewrapping import Outcome, RewrapOrder, Rewrapping, each, rewrapping
from recording_format.certificates import RecordingCertificate
from recording_format.errors import CertificateError
from service_shell.settings import SettingsError

_ID = re.compile(r"[0-9a-f]{4,64}")
_CRITERIA = ("callerPhoneNumber", "dialedPhoneNumber", "userName")
_LARGEST_PEM = 1 << 20
_MOST_PROBLEMS = 50
_LONGEST_SHOWN = 80


def rewrap(
    ids: Annotated[list[str] | None, typer.Argument(metavar="ID…", help="Recordings' ids.")] = None,
    add: Annotated[
        list[str] | None,
        typer.Option(help="A certificate that shall open them: its id, or a PEM file; repeatable."),
    ] = None,
    remove: Annotated[
        list[str] | None,
        typer.Option(help="One that shall not any more: its id, or a PEM file. Repeatable."),
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="Every recording.")] = False,
    since: Annotated[
        str, typer.Option("--from", help="Recordings that began at this time or later (ISO 8601).")
    ] = "",
    until: Annotated[
        str, typer.Option("--to", help="Recordings that ended at this time or earlier.")
    ] = "",
    criteria: Annotated[
        list[str] | None,
        typer.Option("--filter", help=f"NAME=VALUE: {', '.join(_CRITERIA)}; * matches any text."),
    ] = None,
    tenant: Annotated[str, typer.Option(help="Only recordings of this tenant.")] = "",
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Check everything and change nothing.")
    ] = False,
    force: Annotated[
        bool,
        typer.Option(
            "--force", help="Allow that no key of the keystore opens a recording afterwards."
        ),
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="The count and every recording's outcome as JSON.")
    ] = False,
    data: DataOption = DEFAULT_FOLDER,  # type: ignore[assignment]  # typer converts it
) -> None:
    """Change who can open stored recordings, without touching the stored files.

    A key of the keystore that opens a recording now is needed. Done twice, the second time changes
    nothing.

    `reclab rewrap --from 2026-01-01T00:00:00Z --add new.pem --remove old.pem --dry-run`
    """
    search = _search(since, until, criteria or [])
    if bool(ids) == (everything or bool(search)):
        raise SettingsError("name recordings, or say --all, or --from, --to and --filter")
    if not add and not remove:
        raise SettingsError("say who shall open them by --add, and who not any more by --remove")
    order = RewrapOrder(
        add=[_certificate(one) for one in add or []],
        remove=[_certificate(one) for one in remove or []],
        tenant=tenant or None,
        dry_run=dry_run,
        force=force,
    )
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    with console.status("Re-wrapping …") as status:
        counted = lambda outcome: status.update(f"{_summary(outcome, dry_run)} …")  # noqa: E731 - a name would say no more
        outcome = asyncio.run(_rewrap(load_lab(data), order, ids or [], search, counted))
    if as_json:
        sys.stdout.buffer.write(msgspec.json.format(msgspec.json.encode(outcome)) + b"\n")
    _show(console, outcome, dry_run=dry_run)
    if outcome.failed:
        raise typer.Exit(1)


async def _rewrap(
    lab: Lab,
    order: RewrapOrder,
    ids: list[str],
    search: Mapping[str, str],
    counted: Callable[[Outcome], None],
) -> Outcome:
    async with rewrapping(lab, order) as run:
        try:
            await run.whole_ids()
            return await run.run(_wanted(run, ids, search), counted)
        except LabError as error:
            raise SettingsError(str(error)) from None


def _wanted(run: Rewrapping, ids: list[str], search: Mapping[str, str]) -> AsyncIterator[str]:
    return each(ids) if ids else run.found(search)


def _search(since: str, until: str, criteria: list[str]) -> dict[str, str]:
    """Return the search's parameters. Raises `SettingsError`."""
    search = {name: text for name, text in (("startTime", since), ("endTime", until)) if text}
    for one in criteria:
        name, equals, value = one.partition("=")
        if not equals or not value or name not in _CRITERIA:
            known = ", ".join(_CRITERIA)
            raise SettingsError(f"--filter {one!r} is not NAME=VALUE with a name of {known}")
        search[name] = value
    return search


def _certificate(text: str) -> str:
    """Return the PEM text of a file, and what is a certificate's id, or its beginning, as it is."""
    path = Path(text)
    if not _is_file(path):
        if _ID.fullmatch(text.lower()):
            return text.lower()
        raise SettingsError(
            f"{text[:_LONGEST_SHOWN]!r} is neither a certificate's file nor its id (4 hex digits"
            " of it, or more)"
        )
    try:
        with path.open("rb") as file:
            pem = file.read(_LARGEST_PEM).decode("latin-1")
        return RecordingCertificate.load(pem, name=text).pem
    except CertificateError as error:
        raise SettingsError(str(error)) from None


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # a name that is too long for one
        return False


def _summary(outcome: Outcome, dry_run: bool) -> str:
    verb = "Would change" if dry_run else "Changed"
    others = {
        "were so already": outcome.unchanged,
        "not encrypted": outcome.not_encrypted,
        "failed": outcome.failed,
    }
    told = "".join(f", {number} {what}" for what, number in others.items() if number)
    return f"{verb} {outcome.changed} recording{'' if outcome.changed == 1 else 's'}{told}"


def _show(console: Console, outcome: Outcome, *, dry_run: bool) -> None:
    failed = [one for one in outcome.recordings if one.problem is not None]
    for one in failed[:_MOST_PROBLEMS]:
        console.print(f"[red]{escape(one.recording)}[/]: {escape(one.problem or '')}")
    if len(failed) > _MOST_PROBLEMS:
        console.print(f"… and {len(failed) - _MOST_PROBLEMS} more")
    console.print(_summary(outcome, dry_run))
