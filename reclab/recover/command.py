"""``reclab recover``: find recordings that are not where they belong, and bring them back.

Exit codes: 0 nothing is wrong, or all of it was repaired; 1 something remains; 2 bad input.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Annotated

import msgspec
import typer
from rich.console import Console
from rich.markup import escape

from reclab.lab import DEFAULT_FOLDER, DataOption
from reclab.recover.output import show
from reclab.recover.report import Report
from reclab.recover.run import RecoveryOptions, run_recovery
from service_shell.log import LogSettings, configure_logging
from service_shell.settings import SettingsError


def recover(
    data: DataOption = DEFAULT_FOLDER,  # type: ignore[assignment]  # typer converts it
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would be done, and change nothing.")
    ] = False,
    metadata: Annotated[
        Path | None,
        typer.Option(
            help="A folder of metadata files (a processor's `failed`, an archive): objects of the "
            "store that the catalogue does not know get theirs from it."
        ),
    ] = None,
    digests: Annotated[
        bool,
        typer.Option("--digests", help="Let the store read every object and compare its SHA-256."),
    ] = False,
    wait: Annotated[
        float, typer.Option(min=0, help="Seconds that the deliveries may take.")
    ] = RecoveryOptions().wait,
    as_json: Annotated[
        bool, typer.Option("--json", help="The report as JSON on standard output.")
    ] = False,
) -> None:
    """Look through spool, store and catalogue, and repair what can be repaired.

    A lab that is up is asked to deliver what waits; of a stopped one the spool is worked on here.
    Addresses and passwords that were corrected in the profile count. No recording is removed, and
    none is stored over another: run it as often as you like.
    """
    if metadata is not None and not metadata.is_dir():
        raise SettingsError(f"--metadata: {metadata} is not a folder")
    # What goes wrong with a recording stands in the report.
    configure_logging("reclab", LogSettings(level="error"))
    options = RecoveryOptions(dry_run=dry_run, metadata=metadata, digests=digests, wait=wait)
    report = _run(data, options)
    if as_json:
        sys.stdout.buffer.write(msgspec.json.format(msgspec.json.encode(report)) + b"\n")
    else:
        show(Console(highlight=False), report)
    raise typer.Exit(report.exit_code)


def _run(data: Path, options: RecoveryOptions) -> Report:
    console = Console(stderr=True, highlight=False)
    with console.status("Looking …") as status:
        return asyncio.run(
            run_recovery(data, options, say=lambda said: status.update(escape(said)))
        )
