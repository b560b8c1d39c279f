"""Copies of the catalogue: made while the processor runs, and put back while it does not.

A copy is one moment of the catalogue, a single file without companions, on the disk when it has its
name. Everything blocks.
"""

from __future__ import annotations

import os
import secrets
import sqlite3
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from urllib.parse import quote

from recording_processor.catalogue.opening import held_catalogue
from service_shell.settings import SettingsError

#: Told how much is done, from 0 to 1.
Progress = Callable[[float], None]
_PAGES = 2000
_TABLES = {"alembic_version", "identity", "contact_centers", "recordings", "media_files"}
_COMPANIONS = ("-wal", "-shm", "-journal")


class Damaged(Exception):
    """The catalogue cannot be copied whole; the text is one sentence."""


def open_for_reading(file: Path) -> sqlite3.Connection:
    """Open a catalogue in a way that changes nothing in it.

    Raises `SettingsError` when it is none, `Damaged` when it is one that cannot be read.
    """
    if not file.is_file():
        what = "is a folder, not a catalogue's file" if file.is_dir() else "there is no such file"
        raise SettingsError(f"{file}: {what}")
    connection: sqlite3.Connection | None = None
    try:
        uri = f"file:{quote(str(file.absolute()))}?mode=ro"
        connection = sqlite3.connect(uri, uri=True, isolation_level=None, timeout=30.0)
        connection.row_factory = sqlite3.Row
        found = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
        tables = {str(row[0]) for row in found}
    except sqlite3.Error as error:
        if connection is not None:
            connection.close()
        if is_damage(error):
            raise Damaged(f"{file}: is damaged ({error})") from None
        raise SettingsError(f"{file}: is not a usable catalogue ({error})") from None
    if _TABLES - tables:
        connection.close()
        raise SettingsError(f"{file}: is not a catalogue of recordings")
    return connection


def is_damage(error: sqlite3.Error) -> bool:
    """Return whether an error says that the file is not what SQLite wrote."""
    return getattr(error, "sqlite_errorname", "").startswith("SQLITE_CORRUPT")


def back_up(source: Path, target: Path, *, replace: bool, progress: Progress) -> int:
    """Copy the catalogue `source` to `target` (0600); return the bytes of the copy.

    Without `replace` there must be nothing at `target`. Raises `SettingsError` or `Damaged`; then
    nothing new is there.
    """
    if not replace and os.path.lexists(target):
        raise SettingsError(f"{target} is there already: say --force to replace it")
    if target.is_dir():
        raise SettingsError(f"{target} is a folder: name the file to write")
    if replace and target.exists() and target.samefile(source):
        raise SettingsError(f"{target} is the catalogue itself")
    with closing(open_for_reading(source)) as opened, _new_file(target) as temporary:
        _copy(opened, temporary, progress, source=source)
        size = temporary.stat().st_size
        if replace:
            temporary.replace(target)
        else:
            os.link(temporary, target)
    return size


def put_back(backup: Path, catalogue: Path, *, progress: Progress) -> Path | None:
    """Let `backup` take the place of `catalogue`; return where the old one is now, or None.

    Raises `Damaged` or `SettingsError`, also while a processor uses it; then everything is as it
    was. Killed at any moment, the catalogue is the old one or the new one.
    """
    with closing(open_for_reading(backup)) as opened:
        if catalogue.exists() and catalogue.samefile(backup):
            raise SettingsError(f"{backup} is the catalogue itself")
        was_there = catalogue.exists()
        with held_catalogue(catalogue), _new_file(catalogue) as temporary:
            _copy(opened, temporary, progress, source=backup)
            _renew_identity(temporary)
            aside = _put_aside(catalogue) if was_there else None
            temporary.replace(catalogue)
    return aside


@contextmanager
def _new_file(target: Path) -> Iterator[Path]:
    """Give a private file beside `target` that takes its place; what is left of it goes."""
    temporary = target.with_name(f".{target.name[:100]}.{secrets.token_hex(6)}")
    try:
        os.close(os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
        yield temporary
        _sync(target.parent)
    except FileExistsError:
        raise SettingsError(f"{target} is there already: say --force to replace it") from None
    except OSError as error:
        reason = os.strerror(error.errno or 0).lower()
        raise SettingsError(f"{target} cannot be written: {reason}") from None
    finally:
        for path in (temporary, *(Path(f"{temporary}{end}") for end in _COMPANIONS)):
            path.unlink(missing_ok=True)


def _copy(opened: sqlite3.Connection, target: Path, progress: Progress, *, source: Path) -> None:
    def told(_status: int, remaining: int, total: int) -> None:
        progress(1 - remaining / total if total else 1.0)

    try:
        with closing(sqlite3.connect(target, isolation_level=None)) as copy:
            # One view from the first page to the last: a change meanwhile would begin it anew.
            opened.execute("BEGIN")
            opened.execute("SELECT 1 FROM sqlite_master").fetchone()
            opened.backup(copy, pages=_PAGES, progress=told, sleep=0)
            opened.execute("COMMIT")
            # The copied header says WAL, which would give the copy companions.
            copy.execute("PRAGMA journal_mode=DELETE")
            found = copy.execute("PRAGMA quick_check(1)").fetchone()[0]
    except sqlite3.Error as error:
        raise _failed(source, error) from None
    if found != "ok":
        raise Damaged(f"{source}: is damaged, and so would be its copy ({found})")
    with target.open("rb") as file:
        os.fsync(file.fileno())


def _failed(source: Path, error: sqlite3.Error) -> Exception:
    if is_damage(error):
        return Damaged(f"{source}: is damaged ({error})")
    return SettingsError(f"{source}: cannot be copied ({error})")


def _renew_identity(file: Path) -> None:
    """Give what is put back another name: its version numbers are counted a second time."""
    try:
        with closing(sqlite3.connect(file, isolation_level=None)) as opened:
            opened.execute("PRAGMA journal_mode=DELETE")
            opened.execute("PRAGMA synchronous=FULL")
            opened.execute("UPDATE identity SET catalogue = ?", (str(uuid.uuid4()),))
    except sqlite3.Error as error:
        raise SettingsError(f"{file}: cannot be written ({error})") from None


def _put_aside(catalogue: Path) -> Path:
    """Keep the present catalogue under another name too, with all that its journal has."""
    try:
        with closing(sqlite3.connect(catalogue, isolation_level=None, timeout=1.0)) as opened:
            found = opened.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    except sqlite3.Error:
        found = None  # damaged: its journal is kept beside it, for who can read it
    if found is not None and found[0]:
        # Without what its journal has, the catalogue would be an older one until it is replaced.
        raise SettingsError(f"{catalogue}: is being read by another program: try again later")
    moment = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    aside = catalogue.with_name(f"{catalogue.name}.before-{moment}")
    number = 1
    while os.path.lexists(aside):
        number += 1
        aside = catalogue.with_name(f"{catalogue.name}.before-{moment}-{number}")
    os.link(catalogue, aside)
    for end in _COMPANIONS:
        journal = Path(f"{catalogue}{end}")
        if journal.exists():
            # Under the new catalogue it would be taken for its own.
            journal.rename(f"{aside}{end}")
    _sync(catalogue.parent)
    return aside


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
