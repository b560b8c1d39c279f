"""``reclab archive``: options, progress and the summary; the work is `run`'s and `zip_run`'s."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Annotated

import msgspec
import typer
from rich.console import Console
from rich.markup import escape
from rich.status import Status

from reclab.archive.failure import ArchiveFailed, disk_failures
from reclab.archive.run import FolderRun, OnProgress, Report, Run
from reclab.archive.server import Door, open_server
from reclab.archive.state import Asked, State, StateFile, held_folder
from reclab.archive.whole_file import clear_rests
from reclab.archive.zip_run import ZipRun
from reclab.lab import DEFAULT_FOLDER, DataOption, load_lab
from service_shell.settings import SettingsError

FILTERS = ("tenant", "callType", "callerPhoneNumber", "dialedPhoneNumber", "userName")
_SHOWN = 20


def archive(
    out: Annotated[Path, typer.Option("--out", help="The folder to archive into.")],
    begin: Annotated[
        str, typer.Option("--from", help="Recordings that ended at or after this time (ISO, UTC).")
    ] = "",
    end: Annotated[str, typer.Option("--to", help="Recordings that ended before this time.")] = "",
    max_age: Annotated[
        str, typer.Option("--max-age", metavar="DAYS", help="In place of --from: at most so old.")
    ] = "",
    min_age: Annotated[
        str, typer.Option("--min-age", metavar="DAYS", help="In place of --to: at least so old.")
    ] = "",
    filters: Annotated[
        list[str] | None,
        typer.Option(
            "--filter",
            metavar="NAME=VALUE",
            help=f"One of {', '.join(FILTERS)}; `*` stands for any characters. May be repeated.",
        ),
    ] = None,
    as_zip: Annotated[bool, typer.Option("--zip", help="One zip in place of folders.")] = False,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on where the last run was, killed or finished.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the summary as JSON.")] = False,
    data: DataOption = DEFAULT_FOLDER,  # type: ignore[assignment]  # typer converts it
    url: Annotated[
        str, typer.Option("--url", help="Another processor, in place of the lab's.")
    ] = "",
    user: Annotated[str, typer.Option("--user", help="Who we are at --url.")] = "operator",
    password_file: Annotated[
        Path | None, typer.Option("--password-file", help="The file with our password at --url.")
    ] = None,
) -> None:
    """Archive recordings as they are stored: still encrypted, each with its metadata.

    `reclab archive --from 2026-01-01 --to 2026-02-01 --filter tenant=Environment --out january`

    They lie in CONTACT-CENTRE/TENANT/YEAR-MONTH-DAY/RECORDING (the day of its start, UTC), and open
    with the key of any recipient:

    `openssl smime -decrypt -inform DER -in x.bin -inkey KEY.pem -out x.wav`

    The folder remembers in archive.json how far it has come: the same command with --resume goes on
    there. A damaged recording is reported (exit code 1), the others are archived all the same.
    """
    asked = Asked(
        form="zip" if as_zip else "folders",
        filter=_criteria(begin, end, max_age, min_age, filters or []),
    )
    door = _door(data, url, user, password_file)
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    try:
        with console.status("Archiving …") as status:
            report = asyncio.run(make_archive(door, out, asked, resume, _progress(status)))
    except ArchiveFailed as failed:
        console.print(f"reclab: {escape(str(failed))}")
        raise typer.Exit(1) from None
    _tell(console, report)
    if as_json:
        sys.stdout.buffer.write(msgspec.json.format(msgspec.json.encode(report)) + b"\n")
    if report.damaged:
        raise typer.Exit(1)


async def make_archive(
    door: Door, out: Path, asked: Asked, resume: bool, on_progress: OnProgress
) -> Report:
    """Make or continue the archive in `out`. Raises `ArchiveFailed`."""
    with held_folder(out):
        file = StateFile(out)
        with disk_failures(out):
            clear_rests(out)
            state: State = file.load(asked, resume=resume)
        async with open_server(door) as server:
            kind: type[Run] = ZipRun if asked.form == "zip" else FolderRun
            run = kind(server, out, state, file, on_progress)
            await run.run()
            return run.report


def _criteria(
    begin: str, end: str, max_age: str, min_age: str, filters: list[str]
) -> dict[str, str]:
    """Return the processor's parameters. Raises `SettingsError`; the values are the processor's."""
    span = {"from": begin, "to": end, "maxAge": max_age, "minAge": min_age}
    criteria = {name: value for name, value in span.items() if value}
    for told in filters:
        name, sign, value = told.partition("=")
        if not sign or name not in FILTERS:
            raise SettingsError(f"--filter takes NAME=VALUE with a name of {', '.join(FILTERS)}")
        if name in criteria:
            raise SettingsError(f"--filter names {name} twice")
        criteria[name] = value
    return criteria


def _door(data: Path, url: str, user: str, password_file: Path | None) -> Door:
    if not url:
        lab = load_lab(data)
        operator = lab.users["operator"]
        return Door(lab.processor, operator.name, operator.password, lab.services_ca)
    if not url.startswith(("http://", "https://")):
        raise SettingsError(f"--url {url} is not an http or https URL")
    if password_file is None:
        raise SettingsError("--url needs --password-file")
    try:
        password = password_file.read_text(encoding="utf-8").rstrip("\r\n")
    except (OSError, UnicodeDecodeError):
        raise SettingsError(f"{password_file} cannot be read") from None
    return Door(url.rstrip("/"), user, password)


def _progress(status: Status) -> OnProgress:
    def show(report: Report) -> None:
        fetched = _megabytes(report.fetched_bytes)
        status.update(f"Archiving … {report.recordings} recordings, {fetched} fetched")

    return show


def _tell(console: Console, report: Report) -> None:
    for problem in report.damaged[:_SHOWN]:
        text = (
            f"[red]{escape(problem.id)}[/]: {escape(problem.media_id)}: {escape(problem.problem)}"
        )
        console.print(text)
    if len(report.damaged) > _SHOWN:
        console.print(f"… and {len(report.damaged) - _SHOWN} more")
    console.print(
        f"Archived {report.recordings} recordings in {escape(report.zip or report.out)}: "
        f"{report.fetched} media files fetched ({_megabytes(report.fetched_bytes)}), "
        f"{report.kept} kept, {len(report.damaged)} damaged"
    )


def _megabytes(count: int) -> str:
    return f"{count / 1e6:.1f} MB"
