"""``reclab keystore``: list, back up, restore, change the password, import, export.

Through the running lab's crypto server, another one by --url, or in a folder while none runs.
Passwords come from files or are typed. Exit codes: 0 done, 1 refused, 2 bad input.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import msgspec
import typer
from rich.console import Console

from crypto_server.errors import KeystoreError
from crypto_server.keystore.backup import MAX_BACKUP
from crypto_server.keystore.import_entries import MAX_IMPORT
from reclab.cert.output import note, show_table
from reclab.cert.server import (
    JsonOption,
    Refused,
    UrlOption,
    UserOption,
    UserPasswordOption,
    find_server,
)
from reclab.keystore.folder_place import FolderPlace
from reclab.keystore.java_export import export_java
from reclab.keystore.new_file import check_free, write_new
from reclab.keystore.passwords import password_from
from reclab.keystore.place import Counts, ForeignFile, Place
from reclab.keystore.server_place import ServerPlace
from reclab.lab import DEFAULT_FOLDER, DataOption
from service_shell.log import LogSettings, configure_logging
from service_shell.settings import SettingsError

keystore = typer.Typer(
    name="keystore",
    add_completion=False,
    no_args_is_help=True,
    rich_markup_mode="markdown",
    help="The keystore as a whole: list, backup, restore, passwd, import, export.",
)

FolderOption = Annotated[
    Path | None, typer.Option("--folder", help="A keystore's folder, instead of a running server.")
]
PasswordOption = Annotated[
    Path | None,
    typer.Option("--password-file", help="With --folder: the file with the keystore's password."),
]
ReplaceOption = Annotated[
    bool, typer.Option("--replace", help="Let the file's keys take the place of others alike.")
]
ForceOption = Annotated[bool, typer.Option("--force", help="Replace a file that is there.")]


class _Where(msgspec.Struct, frozen=True):
    """The options that say which keystore is meant."""

    data: Path
    folder: Path | None
    password_file: Path | None
    url: str
    user: str
    user_password_file: Path | None

    def open(self) -> Place:
        """Return it. Raises `SettingsError` and `KeystoreError`."""
        if self.folder is None:
            if self.password_file is not None:
                raise SettingsError("--password-file belongs to --folder")
            return ServerPlace(find_server(self.data, self.url, self.user, self.user_password_file))
        if self.url:
            raise SettingsError("say --folder or --url, not both")
        password = password_from(self.password_file, "the keystore's password", "--password-file")
        configure_logging("reclab", LogSettings(level="warning"))
        with _doing("Opening the keystore …"):
            return FolderPlace.open(self.folder, password, self.password_file)


@keystore.command("list")
def list_(
    as_json: JsonOption = False,
    data: DataOption = DEFAULT_FOLDER,  # type: ignore[assignment]  # typer converts it
    folder: FolderOption = None,
    password_file: PasswordOption = None,
    url: UrlOption = "",
    user: UserOption = "",
    user_password_file: UserPasswordOption = None,
) -> None:
    """List every key: its tenant, alias, last day and id.

    `reclab keystore list --folder keystore --password-file keystore.password`
    """
    place = _Where(data, folder, password_file, url, user, user_password_file).open()
    with _doing("Reading the keystore …"):
        rows = place.rows()
    if as_json:
        typer.echo(msgspec.json.format(msgspec.json.encode(rows), indent=2).decode())
        return
    columns = ("Tenant", "Alias", "Expires", "Id")
    show_table(columns, [(row.tenant, row.alias, row.expires, row.id) for row in rows])


@keystore.command()
def backup(
    out: Annotated[Path, typer.Option("--out", help="The file to write, mode 0600.")],
    backup_password_file: Annotated[
        Path | None, typer.Option(help="The file with the backup's own password; else asked for.")
    ] = None,
    force: ForceOption = False,
    data: DataOption = DEFAULT_FOLDER,  # type: ignore[assignment]  # typer converts it
    folder: FolderOption = None,
    password_file: PasswordOption = None,
    url: UrlOption = "",
    user: UserOption = "",
    user_password_file: UserPasswordOption = None,
) -> None:
    """Write the whole keystore, every tenant, as one encrypted file.

    `reclab keystore backup --out keystore-2026-11-22.backup`
    """
    check_free(out, force=force)
    place = _Where(data, folder, password_file, url, user, user_password_file).open()
    password = password_from(
        backup_password_file, "the backup's password", "--backup-password-file", new=True
    )
    with _doing("Backing the keystore up …"):
        content = place.backup(password)
        write_new(out, content, force=force)
    note(f"Wrote {out} ({len(content)} bytes). Without its password nobody can read it.")


@keystore.command()
def restore(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A backup of a keystore.")],
    backup_password_file: Annotated[
        Path | None, typer.Option(help="The file with the backup's password; else asked for.")
    ] = None,
    replace: ReplaceOption = False,
    as_json: JsonOption = False,
    data: DataOption = DEFAULT_FOLDER,  # type: ignore[assignment]  # typer converts it
    folder: FolderOption = None,
    password_file: PasswordOption = None,
    url: UrlOption = "",
    user: UserOption = "",
    user_password_file: UserPasswordOption = None,
) -> None:
    """Add the keys of a backup that are missing; all of it, or nothing.

    `reclab keystore restore keystore-2026-11-22.backup`
    """
    content = _read(file, MAX_BACKUP)
    place = _Where(data, folder, password_file, url, user, user_password_file).open()
    password = password_from(
        backup_password_file, "the backup's password", "--backup-password-file"
    )
    with _doing("Restoring the keystore …"):
        counts = place.restore(content, password, replace=replace)
    _tell(counts, as_json=as_json)


@keystore.command()
def passwd(
    new_password_file: Annotated[
        Path | None, typer.Option(help="The file with the new password; else asked for, twice.")
    ] = None,
    data: DataOption = DEFAULT_FOLDER,  # type: ignore[assignment]  # typer converts it
    folder: FolderOption = None,
    password_file: PasswordOption = None,
    url: UrlOption = "",
    user: UserOption = "",
    user_password_file: UserPasswordOption = None,
) -> None:
    """Change the keystore's password; the file that it came from is rewritten too.

    In a folder only while no server uses it. Killed at any moment, no key is lost.

    `reclab keystore passwd --folder keystore --password-file keystore.password`
    """
    place = _Where(data, folder, password_file, url, user, user_password_file).open()
    new = password_from(
        new_password_file, "the keystore's new password", "--new-password-file", new=True
    )
    with _doing("Encrypting every key anew …"):
        changed = place.change_password(new)
    note(f"{changed.keys} keys are encrypted with the new password.")
    if changed.note:
        note(changed.note)
    if not new.isascii():
        note("Java's keytool opens no keystore whose password has other characters than ASCII.")


@keystore.command("import")
def import_(
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
    data: DataOption = DEFAULT_FOLDER,  # type: ignore[assignment]  # typer converts it
    folder: FolderOption = None,
    password_file: PasswordOption = None,
    url: UrlOption = "",
    user: UserOption = "",
    user_password_file: UserPasswordOption = None,
) -> None:
    """Take the keys of another keystore for one tenant, under the aliases that recordings name.

    `reclab keystore import old.jks --tenant Environment`
    """
    place = _Where(data, folder, password_file, url, user, user_password_file).open()
    content = _read(file, MAX_IMPORT)
    password = password_from(
        import_password_file, f"the password of {file.name}", "--import-password-file"
    )
    key_password = ""
    if key_password_file is not None:
        key_password = password_from(key_password_file, "the keys' password", "")
    foreign = ForeignFile(file.name, content, password, key_password, tuple(alias or ()), replace)
    with _doing("Importing …"):
        counts = place.import_file(foreign, tenant, dbid)
    _tell(counts, as_json=as_json)


@keystore.command()
def export(
    out: Annotated[Path, typer.Option("--out", help="The folder to write into.")],
    tenant: Annotated[str, typer.Option("--tenant", help="Only this tenant.")] = "",
    export_password_file: Annotated[
        Path | None, typer.Option(help="The file with the password of the files; else asked for.")
    ] = None,
    force: ForceOption = False,
    data: DataOption = DEFAULT_FOLDER,  # type: ignore[assignment]  # typer converts it
    folder: FolderOption = None,
    password_file: PasswordOption = None,
    url: UrlOption = "",
    user: UserOption = "",
    user_password_file: UserPasswordOption = None,
) -> None:
    """Write one PKCS#12 file per tenant with all its keys, as Java's keytool opens it.

    `reclab keystore export --out java && keytool -list -keystore java/Environment.p12`
    """
    place = _Where(data, folder, password_file, url, user, user_password_file).open()
    password = password_from(
        export_password_file, "the password of the files", "--export-password-file", new=True
    )
    with _doing("Exporting …"):
        files = export_java(place, out, password, tenant=tenant, force=force)
    for file in files:
        typer.echo(file)
    if not files:
        note("There are no keys.")


@contextmanager
def _doing(what: str) -> Iterator[None]:
    """Show that something goes on; what was refused is its sentence and exit code 1."""
    try:
        with Console(stderr=True).status(what):
            yield
    except (KeystoreError, Refused) as error:
        sys.stderr.write(f"reclab: {error}\n")
        raise typer.Exit(1) from None


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
