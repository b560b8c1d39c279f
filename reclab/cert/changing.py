"""``reclab cert upload``, ``deploy``, ``undeploy`` and ``delete``."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from reclab.cert.files import find_pair, named_by, read_certificate_text, read_small
from reclab.cert.output import note, short
from reclab.cert.server import (
    ID,
    WHOLE_ID,
    JsonDict,
    JsonOption,
    Refused,
    Server,
    TenantOption,
    UrlOption,
    UserOption,
    UserPasswordOption,
    Wanted,
    find_server,
    finish,
    read_secret,
    server,
)
from reclab.lab import DEFAULT_FOLDER, DataOption

ProfileOption = Annotated[
    str, typer.Option("--profile", metavar="DBID|NAME", help="The IVR profile.")
]


def upload(
    certificate: Annotated[
        Path, typer.Argument(metavar="CERTIFICATE", help="A PEM file, or the folder of a pair.")
    ],
    key: Annotated[
        Path | None, typer.Option("--key", help="The private key; else the one beside it.")
    ] = None,
    password_file: Annotated[
        Path | None, typer.Option("--password-file", help="The file with the key's password.")
    ] = None,
    accept_expired: Annotated[
        bool, typer.Option("--accept-expired", help="Take an expired one, for old recordings.")
    ] = False,
    tenant: TenantOption = "",
    as_json: JsonOption = False,
    data: DataOption = DEFAULT_FOLDER,  # type: ignore[assignment]  # typer converts it
    url: UrlOption = "",
    user: UserOption = "",
    user_password_file: UserPasswordOption = None,
) -> None:
    """Upload a certificate with its private key into the keystore.

    `reclab cert upload tenant.pem --key tenant.key`
    """
    address = find_server(data, url, user, user_password_file)
    pair = find_pair(certificate, key)
    said = {
        "certificate": read_certificate_text(pair.certificate),
        "key": read_small(pair.key).decode("latin-1"),
        "tenant": tenant,
        "password": _key_password(password_file, encrypted=pair.key_is_encrypted),
        "acceptExpired": accept_expired,
    }

    async def ask() -> JsonDict:
        async with server(address) as asked:
            answer = await asked.ask("POST", "/lab/certificates", said)
            found: JsonDict = answer["certificate"]
            return found

    row = finish(ask())
    if as_json:
        typer.echo(json.dumps(row, indent=2))
        return
    typer.echo(f"{row['issuedTo']}, issued by {row['issuedBy']}, expires {row['expires']}")
    typer.echo(f"id {row['id']}")
    if row.get("problem"):
        note(f"{row['status']}: {row['problem']}")
    if row["status"] in ("valid", "not-yet-valid") and not row["deployedCount"]:
        profile = address.lab.profile_dbid if address.lab else "DBID"
        note(f"Let calls be recorded for it: reclab cert deploy {short(row)} --profile {profile}")


def deploy(
    certificate: ID,
    profile: ProfileOption,
    tenant: TenantOption = "",
    data: DataOption = DEFAULT_FOLDER,  # type: ignore[assignment]  # typer converts it
    url: UrlOption = "",
    user: UserOption = "",
    user_password_file: UserPasswordOption = None,
) -> None:
    """Let an IVR profile record for a certificate, from the next call on.

    `reclab cert deploy 3f9a --profile recording`
    """
    address = find_server(data, url, user, user_password_file)
    wanted = named_by(certificate)

    async def ask() -> tuple[JsonDict, JsonDict, int]:
        async with server(address) as asked:
            row, dbid = await asked.row(wanted, tenant), await asked.profile(profile)
            return row, await asked.change("POST", row, "/deployments", {"profile": dbid}), dbid

    row, answer, dbid = finish(ask())
    typer.echo(f"{row['issuedTo']} is {answer['option']} of the profile {dbid}")
    _warn(answer)


def undeploy(
    certificate: ID,
    profile: ProfileOption,
    tenant: TenantOption = "",
    data: DataOption = DEFAULT_FOLDER,  # type: ignore[assignment]  # typer converts it
    url: UrlOption = "",
    user: UserOption = "",
    user_password_file: UserPasswordOption = None,
) -> None:
    """Let an IVR profile no longer record for a certificate. What is recorded stays playable.

    Name it by its file or its whole id when its key was deleted already.

    `reclab cert undeploy 3f9a --profile recording`
    """
    address = find_server(data, url, user, user_password_file)
    wanted = named_by(certificate)

    async def ask() -> tuple[JsonDict, JsonDict, int]:
        async with server(address) as asked:
            row = await _row_or_named(asked, wanted, tenant)
            dbid = await asked.profile(profile)
            return row, await asked.change("DELETE", row, f"/deployments/{dbid}"), dbid

    row, answer, dbid = finish(ask())
    typer.echo(f"{row['issuedTo']} is no longer in the profile {dbid}")
    _warn(answer)


def delete(
    certificate: ID,
    force: Annotated[
        bool,
        typer.Option("--force", help="Also when recordings can then never be played again."),
    ] = False,
    tenant: TenantOption = "",
    data: DataOption = DEFAULT_FOLDER,  # type: ignore[assignment]  # typer converts it
    url: UrlOption = "",
    user: UserOption = "",
    user_password_file: UserPasswordOption = None,
) -> None:
    """Delete a certificate and its private key, when nothing needs them any more.

    Refused while recordings need the key, or a profile records for the certificate.

    `reclab cert delete 3f9a`
    """
    address = find_server(data, url, user, user_password_file)
    wanted = named_by(certificate)

    async def ask() -> tuple[JsonDict, JsonDict]:
        async with server(address) as asked:
            row = await asked.row(wanted, tenant)
            query = {"force": "true"} if force else {}
            return row, await asked.change("DELETE", row, query=query)

    row, answer = finish(ask())
    typer.echo(f"{row['issuedTo']} ({short(row)}) and its key are deleted")
    _warn(answer)


async def _row_or_named(asked: Server, wanted: Wanted, tenant: str) -> JsonDict:
    """Return the listed certificate; one whose key is gone can be named by its file or whole id."""
    try:
        return await asked.row(wanted, tenant)
    except Refused as error:
        if error.status != 404 or len(wanted.beginning) != WHOLE_ID:
            raise
        return {"id": wanted.beginning, "tenant": tenant, "issuedTo": f"The {wanted.described}"}


def _key_password(file: Path | None, *, encrypted: bool) -> str:
    """Return the key's password: from its file, or typed at a terminal; empty without one."""
    if file is not None:
        return read_secret(file)
    if encrypted and sys.stdin.isatty():
        typed: str = typer.prompt("Private Key Password", hide_input=True, err=True)
        return typed
    return ""


def _warn(answer: JsonDict) -> None:
    if answer.get("warning"):
        note(f"Attention: {answer['warning']}")
    for one in answer.get("problems", []):
        note(f"Attention: {one['option']} of the profile: {one['problem']}")
