"""``reclab catalogue``: back up the processor's catalogue, check it, put a backup back.

Exit codes: 0 done and sound, 1 something is wrong with the catalogue, 2 bad input.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import msgspec
import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from reclab.cert.output import note
from reclab.lab import DEFAULT_FOLDER, DataOption
from reclab.preparation import LabFolder, catalogue_file
from recording_processor.catalogue.checking import Report, check
from recording_processor.catalogue.copying import Damaged, back_up, put_back
from service_shell.settings import SettingsError

catalogue = typer.Typer(
    name="catalogue",
    add_completion=False,
    no_args_is_help=True,
    rich_markup_mode="markdown",
    help="The recording processor's catalogue: backup, check, restore.",
)

CatalogueOption = Annotated[
    Path | None, typer.Option("--catalogue", help="The catalogue's file, instead of the lab's.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="JSON, for programs.")]
_SHOWN = 50
_OLDER = ", of an older form that the processor brings forward"


@catalogue.command()
def backup(
    out: Annotated[Path, typer.Argument(metavar="FILE", help="The file to write, mode 0600.")],
    force: Annotated[bool, typer.Option("--force", help="Replace a file that is there.")] = False,
    as_json: JsonOption = False,
    data: DataOption = DEFAULT_FOLDER,  # type: ignore[assignment]  # typer converts it
    file: CatalogueOption = None,
) -> None:
    """Copy the catalogue as it is at this moment; the processor may go on meanwhile.

    It holds what profiles hold, passwords too: keep it like them. The recordings themselves are in
    the store.

    `reclab catalogue backup recordings-2026-11-22.sqlite`
    """
    source = _catalogue(data, file)
    with _wrong_is_one(), _progress("Copying") as told:
        size = back_up(source, out, replace=force, progress=lambda done: told(done, 1.0))
    if as_json:
        typer.echo(json.dumps({"file": str(out), "bytes": size}))
    else:
        note(f"Wrote {out} ({size} bytes).")


@catalogue.command("check")
def check_(
    file: Annotated[
        Path | None, typer.Argument(metavar="[FILE]", help="A catalogue or a backup of one.")
    ] = None,
    as_json: JsonOption = False,
    data: DataOption = DEFAULT_FOLDER,  # type: ignore[assignment]  # typer converts it
    catalogue_: CatalogueOption = None,
) -> None:
    """Look whether a catalogue is whole, and whether its parts agree; nothing is changed.

    Without FILE the lab's is checked, whether or not it runs.

    `reclab catalogue check && reclab catalogue check recordings-2026-11-22.sqlite`
    """
    if file is not None and catalogue_ is not None:
        raise SettingsError("say FILE or --catalogue, not both")
    report = _checked(file or _catalogue(data, catalogue_))
    if as_json:
        typer.echo(msgspec.json.format(msgspec.json.encode(_answer(report)), indent=2).decode())
    else:
        _show(report)
    raise typer.Exit(0 if report.sound else 1)


@catalogue.command()
def restore(
    backup_: Annotated[Path, typer.Argument(metavar="BACKUP", help="What `backup` has written.")],
    force: Annotated[
        bool, typer.Option("--force", help="Also when the check finds something wrong with it.")
    ] = False,
    as_json: JsonOption = False,
    data: DataOption = DEFAULT_FOLDER,  # type: ignore[assignment]  # typer converts it
    file: CatalogueOption = None,
) -> None:
    """Put a backup in the place of the catalogue, while no processor runs.

    The backup is checked first; the catalogue that was there is kept beside it. Recordings that
    were filed after the backup are in the store, but not found any more.

    `reclab catalogue restore recordings-2026-11-22.sqlite`
    """
    target = _catalogue(data, file)
    if not target.parent.is_dir():
        raise SettingsError(f"{target.parent} is not there: is it the lab's folder?")
    report = _checked(backup_)
    if not report.sound and not force:
        _show(report)
        sys.stderr.write(f"reclab: {backup_} was not restored: say --force to do it all the same\n")
        raise typer.Exit(1)
    with _wrong_is_one(), _progress("Restoring") as told:
        aside = put_back(backup_, target, progress=lambda done: told(done, 1.0))
    if as_json:
        kept = None if aside is None else str(aside)
        typer.echo(json.dumps({"file": str(target), "before": kept, **_counts(report)}))
        return
    before = "" if aside is None else f" The one before is {aside}."
    note(f"Restored {_many(report.recordings, 'recording')} into {target}.{before}")


def _catalogue(data: Path, file: Path | None) -> Path:
    """Return the catalogue that the options say."""
    return file if file is not None else catalogue_file(LabFolder(data))


def _checked(file: Path) -> Report:
    with _progress("Checking") as told:
        return check(file, told)


def _counts(report: Report) -> dict[str, int]:
    return {"recordings": report.recordings, "mediaFiles": report.media_files}


def _many(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _answer(report: Report) -> dict[str, object]:
    told: dict[str, object] = msgspec.to_builtins(report)
    return {"sound": report.sound, **told}


def _show(report: Report) -> None:
    """Print what was found, one to a line."""
    for finding in report.findings[:_SHOWN]:
        typer.echo(f"{finding.kind}: {finding.where}: {finding.problem}")
    hidden = len(report.findings) - _SHOWN
    if hidden > 0:
        more = "or more " if report.more else ""
        typer.echo(f"… and {hidden} {more}others: --json shows them")
    older = "" if report.current or not report.form else _OLDER
    files = _many(report.media_files, "media file")
    looked_at = f"{_many(report.recordings, 'recording')} with {files}{older}"
    verdict = "is sound" if report.sound else "is not sound"
    note(f"{report.file} {verdict}: {looked_at}.")


@contextmanager
def _wrong_is_one() -> Iterator[None]:
    """Tell what is wrong with a catalogue in one sentence, with exit code 1."""
    try:
        yield
    except Damaged as error:
        sys.stderr.write(f"reclab: {error}\n")
        raise typer.Exit(1) from None


@contextmanager
def _progress(what: str) -> Iterator[Callable[[float, float], None]]:
    """Show at a terminal how far it is; give what is told (done, of)."""
    columns = (TextColumn(what), BarColumn(), TextColumn("{task.percentage:>3.0f} %"))
    console = Console(stderr=True)
    hidden = not console.is_terminal
    bar = Progress(*columns, TimeRemainingColumn(), console=console, transient=True, disable=hidden)
    with bar:
        task = bar.add_task(what, total=1.0)
        yield lambda done, of: bar.update(task, completed=done, total=of or 1.0)
