"""``reclab cert list``, ``show`` and ``expiring``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from reclab.cert.files import (
    find_certificate,
    is_path,
    judge_file,
    named_by,
    read_certificate_text,
)
from reclab.cert.output import note, show_form, show_list
from reclab.cert.server import (
    JsonDict,
    JsonOption,
    TenantOption,
    UrlOption,
    UserOption,
    UserPasswordOption,
    find_server,
    finish,
    server,
)
from reclab.lab import DEFAULT_FOLDER, DataOption


def list_(
    filter_: Annotated[
        str, typer.Option("--filter", help="Only rows that have this text in a column.")
    ] = "",
    tenant: TenantOption = "",
    as_json: JsonOption = False,
    data: DataOption = DEFAULT_FOLDER,  # type: ignore[assignment]  # typer converts it
    url: UrlOption = "",
    user: UserOption = "",
    user_password_file: UserPasswordOption = None,
) -> None:
    """List the recording certificates of the keystore.

    `reclab cert list --filter 2026`
    """
    address = find_server(data, url, user, user_password_file)

    async def ask() -> JsonDict:
        async with server(address) as asked:
            query = {"filter": filter_, "tenant": tenant}
            return await asked.ask("GET", "/lab/certificates", query=query)

    _print(finish(ask()), as_json=as_json)


def expiring(
    days: Annotated[
        int | None,
        typer.Option("--days", min=0, max=36500, help="How far ahead; else the server's setting."),
    ] = None,
    tenant: TenantOption = "",
    as_json: JsonOption = False,
    data: DataOption = DEFAULT_FOLDER,  # type: ignore[assignment]  # typer converts it
    url: UrlOption = "",
    user: UserOption = "",
    user_password_file: UserPasswordOption = None,
) -> None:
    """List what expires soon, soonest first; exit code 1 when something does.

    `reclab cert expiring --days 60 || mail -s "renew" …`
    """
    address = find_server(data, url, user, user_password_file)

    async def ask() -> JsonDict:
        async with server(address) as asked:
            query = {"days": "" if days is None else str(days), "tenant": tenant}
            return await asked.ask("GET", "/lab/certificates/expiring", query=query)

    answer = finish(ask())
    _print(answer, as_json=as_json, days=True)
    if answer["certificates"]:
        raise typer.Exit(1)


def show(
    what: Annotated[
        str,
        typer.Argument(metavar="ID|FILE", help="A certificate's id or its beginning, or a file."),
    ],
    ca: Annotated[
        Path | None, typer.Option("--ca", help="Judge a FILE by this CA file, without a lab.")
    ] = None,
    tenant: TenantOption = "",
    as_json: JsonOption = False,
    data: DataOption = DEFAULT_FOLDER,  # type: ignore[assignment]  # typer converts it
    url: UrlOption = "",
    user: UserOption = "",
    user_password_file: UserPasswordOption = None,
) -> None:
    """Show a certificate of the keystore; or of a file, and whether an upload would take it.

    `reclab cert show tenant.pem`
    """
    file = Path(what)
    is_file = ca is not None or is_path(what)
    if is_file and file.is_dir():
        file = find_certificate(file)
    if ca is not None:
        certificate = judge_file(file, ca)
    else:
        address = find_server(data, url, user, user_password_file)

        async def ask() -> JsonDict:
            async with server(address) as asked:
                if is_file:
                    said = {"certificate": read_certificate_text(file)}
                    answer = await asked.ask("POST", "/lab/certificates/inspect", said)
                else:
                    answer = await asked.change("GET", await asked.row(named_by(what), tenant))
                found: JsonDict = answer["certificate"]
                return found

        certificate = finish(ask())
    if as_json:
        typer.echo(json.dumps(certificate, indent=2))
    else:
        show_form(certificate)
    if is_file:
        _say_whether_taken(certificate)


def _say_whether_taken(certificate: JsonDict) -> None:
    """Say what an upload would say; exit code 1 where it would refuse."""
    if certificate["trusted"] and certificate["status"] == "expired":
        note("An upload takes it only with --accept-expired, for old recordings.")
    elif certificate["trusted"]:
        note("An upload would take it.")
        return
    else:
        note("An upload would refuse it.")
    raise typer.Exit(1)


def _print(answer: JsonDict, *, as_json: bool, days: bool = False) -> None:
    rows = answer["certificates"]
    if as_json:
        typer.echo(json.dumps(rows, indent=2))
    elif rows:
        show_list(rows, days=days)
    else:
        note("No certificate expires soon." if days else "There is no such certificate.")
    if answer.get("note"):
        note(answer["note"])
