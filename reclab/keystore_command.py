"""``reclab keystore``: list, back up, restore, change the password, import, export.

Through the running lab's crypto server, another one by --url, or in a folder while none runs.
Passwords come from files or are typed. Exit codes: 0 done, 1 refused, 2 bad input.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from crypto_server.keystore.backup import MAX_BACKUP
from crypto_server.keystore.import_entries import MAX_IMPORT
from reclab.cert.output import note, show_table
from reclab.cert.server import JsonOption
from reclab.keystore.java_export import export_java
from reclab.keystore.new_file import check_free, write_new
from reclab.keystore.passwords import password_from
from reclab.keystore.place import Counts, ForeignFile
from reclab.keystore.progress import doing
from reclab.keystore.where import Where, with_where
from service_shell.settings import SettingsError

keystore = typer.Typer(
    name="keystore",
    add_completion=False,
    no_args_is_help=True,
    rich_markup_mode="markdown",
    help="The keystore as a whole: list, backup, restore, passwd, import, export.",
)

ReplaceOption = Annotated[
    bool, typer.Option("--replace", help="Let the file's keys take the place of others alike.")
]
ForceOption = Annotated[bool, typer.Option("--force", help="Replace a file that is there.")]


@keystore.command("list")
@with_where
def list_(
    where: Where,
    as_json: JsonOption = False,
) -> None:
    """List every key: its tenant, alias, last day and id.

    `reclab keystore list --folder keystore --password-file keystore.password`
    """
    place = where.open()
    with doing("Reading the keystore …"):
        rows = place.rows()
    if as_json:
        typer.echo(msgspec.json.format(msgspec.json.encode(rows), indent=2).decode())
        return
    columns = ("Tenant", "Alias", "Expires", "Id")
    show_table(columns, [(row.tenant, row.alias, row.expires, row.id) for row in rows])


@keystore.command()
@with_where
def backup(
    where: Where,
    out: Annotated[Path, typer.Option("--out", help="The file to write, mode 0600.")],
    backup_password_file: Annotated[
        Path | None, typer.Option(help="The file with the backup's own password; else asked for.")
    ] = None,
    force: ForceOption = False,
) -> None:
    """Write the whole keystore, every tenant, as one encrypted file.

    `reclab keystore backup --out keystore-2026-11-22.backup`
    """
    check_free(out, force=force)
    place = where.open()
    password = password_from(
        backup_password_file, "the backup's password", "--backup-password-file", new=True
    )
    with doing("Backing the keystore up …"):
        content = place.backup(password)
        write_new(out, content, force=force)
    note(f"Wrote {out} ({len(content)} bytes). Without its password nobody can read it.")


@keystore.command()
@with_where
def restore(
    where: Where,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A backup of a keystore.")],
    backup_password_file: Annotated[
        Path | None, typer.Option(help="The file with the backup's password; else asked for.")
    ] = None,
    replace: ReplaceOption = False,
    as_json: JsonOption = False,
) -> None:
    """Add the keys of a backup that are missing; all of it, or nothing.

    `reclab keystore restore keystore-2026-11-22.backup`
    """
    content = _read(file, MAX_BACKUP)
    place = where.open()
    password = password_from(
        backup_password_file, "the backup's password", "--backup-password-file"
    )
    with doing("Restoring the keystore …"):
        counts = place.restore(content, password, replace=replace)
    _tell(counts, as_json=as_json)


@keystore.command()
@with_where
def passwd(
    where: Where,
    new_password_file: Annotated[
        Path | None, typer.Option(help="The file with the new password; else asked for, twice.")
    ] = None,
) -> None:
    """Change the keystore's password; the file that it came from is rewritten too.

    In a folder only while no server uses it. Killed at any moment, no key is lost.

    `reclab keystore passwd --folder keystore --password-file keystore.password`
    """
    place = where.open()
    new = password_from(
        new_password_file, "the keystore's new password", "--new-password-file", new=True
    )
    with doing("Encrypting every key anew …"):
        changed = place.change_password(new)
    note(f"{changed.keys} keys are encrypted with the new password.")
    if changed.note:
        note(changed.note)
    if not new.isascii():
        note("Java's keytool opens no keystore whose password has other characters than ASCII.")


@keystore.command("import")
@with_where
def import_(
    where: Where,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A PKCS#12 file or a JKS.")],
    tenant: Annotated[
        str, typer.Option("--tenant", help="Whose keys they are; needed where there are several.")
    ] = "",
    dbid: Annotated[
        int | None, typer.Option(min=1, help="With --folder: the tenant's DBID, for the aliases.")
    ] = None,
    alias: Annotated[
        list[str] | None, typer.Option(help="Only the key under this alias. Repeatable.")
    ] = None,
    replace: ReplaceOption = False,
    import_password_file: Annotated[
        Path | None, typer.Option(help="The file with FILE's password; else asked for.")
    ] = None,
    key_password_file: Annotated[
        Path | None, typer.Option(help="The file with the password of a JKS's keys, if another.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Take the keys of another keystore for one tenant, under the aliases that recordings name.

    `reclab keystore import old.jks --tenant Environment`
    """
    place = where.open()
    content = _read(file, MAX_IMPORT)
    password = password_from(
        import_password_file, f"the password of {file.name}", "--import-password-file"
    )
    key_password = ""
    if key_password_file is not None:
        key_password = password_from(key_password_file, "the keys' password", "")
    foreign = ForeignFile(file.name, content, password, key_password, tuple(alias or ()), replace)
    with doing("Importing …"):
        counts = place.import_file(foreign, tenant, dbid)
    _tell(counts, as_json=as_json)


@keystore.command()
@with_where
def export(
    where: Where,
    out: Annotated[Path, typer.Option("--out", help="The folder to write into.")],
    tenant: Annotated[str, typer.Option("--tenant", help="Only this tenant.")] = "",
    export_password_file: Annotated[
        Path | None, typer.Option(help="The file with the password of the files; else asked for.")
    ] = None,
    force: ForceOption = False,
) -> None:
    """Write one PKCS#12 file per tenant with all its keys, as Java's keytool opens it.

    `reclab keystore export --out java && keytool -list -keystore java/Environment.p12`
    """
    place = where.open()
    password = password_from(
        export_password_file, "the password of the files", "--export-password-file", new=True
    )
    with doing("Exporting …"):
        files = export_java(place, out, password, tenant=tenant, force=force)
    for file in files:
        typer.echo(file)
    if not files:
        note("There are no keys.")


def _tell(counts: Counts, *, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(msgspec.to_builtins(counts)))
        return
    replaced = f", {counts.replaced} replaced others" if counts.replaced else ""
    note(f"{counts.added} keys were added, {counts.kept} were there already{replaced}.")


def _read(file: Path, most: int) -> bytes:
    try:
        with file.open("rb") as opened:
            content = opened.read(most + 1)
    except OSError as error:
        raise SettingsError(f"{file} cannot be read ({(error.strerror or '').lower()})") from None
    if len(content) > most:
        raise SettingsError(f"{file} is too large: more than {most} bytes")
    return content
