"""Opening the catalogue's file: locked, set up, and brought to its newest form.

SQLite in WAL mode with synchronous=FULL: a commit that returned survives kill -9 and power loss.
Only one process may have the catalogue open.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import time
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import IO

from alembic import command
from alembic.config import Config
from alembic.util.exc import CommandError
from sqlalchemy import URL, Connection, Engine, create_engine, event
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import ConnectionPoolEntry

from recording_processor.catalogue.database import Database
from service_shell.settings import SettingsError

_PRAGMAS = (
    "PRAGMA journal_mode=WAL",
    "PRAGMA synchronous=FULL",
    "PRAGMA foreign_keys=ON",
    "PRAGMA busy_timeout=5000",
    "PRAGMA temp_store=MEMORY",
)


@asynccontextmanager
async def open_database(
    file: Path,
    *,
    readers: int = 4,
    waiting_limit: int = 256,
    read_seconds: float = 10.0,
    lock_seconds: float = 5.0,
) -> AsyncIterator[Database]:
    """Open `file`, make it when it is missing, and bring its tables up to date.

    Raises `SettingsError` when it cannot be used, or another process uses it.
    """
    async with (
        _alone(file, lock_seconds),
        _engine(file, connections=1, begin="BEGIN IMMEDIATE") as writer,
        _engine(file, connections=readers, begin="BEGIN", query_only=True) as reading,
    ):
        await _migrate(writer, file)
        with (
            _blocking_engine(file) as blocking,
            ThreadPoolExecutor(1, thread_name_prefix="catalogue") as thread,
        ):
            yield Database(
                writer,
                reading,
                blocking,
                thread,
                waiting_limit=waiting_limit,
                read_seconds=read_seconds,
            )


@asynccontextmanager
async def _alone(file: Path, seconds: float) -> AsyncIterator[None]:
    """Hold the catalogue's lock file; the file itself is made readable for its owner only.

    A predecessor that is still ending is waited for.
    """
    try:
        os.close(os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
    except OSError as error:
        raise SettingsError(f"{file}: cannot be opened ({error.strerror})") from None
    with _lock_file(file) as held:
        last_try = time.monotonic() + seconds
        while not _locked(held):
            if time.monotonic() >= last_try:
                raise SettingsError(f"{file}: is in use by another recording_processor")
            await asyncio.sleep(0.05)
        yield


@contextmanager
def held_catalogue(file: Path) -> Iterator[None]:
    """Hold the catalogue as the processor does, so that none uses it meanwhile.

    Raises `SettingsError` when one does.
    """
    with _lock_file(file) as held:
        if not _locked(held):
            raise SettingsError(f"{file}: is in use by a recording_processor: stop it first")
        yield


def _lock_file(file: Path) -> IO[bytes]:
    lock = file.with_name(file.name + ".lock")
    try:
        os.close(os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        return lock.open("r+b")
    except OSError as error:
        raise SettingsError(f"{file}: cannot be opened ({error.strerror})") from None


def _locked(held: IO[bytes]) -> bool:
    try:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


@asynccontextmanager
async def _engine(
    file: Path, *, connections: int, begin: str, query_only: bool = False
) -> AsyncIterator[AsyncEngine]:
    engine = create_async_engine(
        URL.create("sqlite+aiosqlite", database=str(file)),
        pool_size=connections,
        max_overflow=0,
        pool_timeout=5.0,
        # An error's text would quote what was to be written, and that may be a password.
        hide_parameters=True,
    )

    _prepare(engine.sync_engine, begin=begin, query_only=query_only)
    try:
        yield engine
    finally:
        await engine.dispose()


@contextmanager
def _blocking_engine(file: Path) -> Iterator[Engine]:
    """Make the engine of the thread that writes much at once."""
    engine = create_engine(
        URL.create("sqlite", database=str(file)),
        pool_size=1,
        max_overflow=0,
        pool_timeout=5.0,
        hide_parameters=True,
    )
    _prepare(engine, begin="BEGIN IMMEDIATE", query_only=False)
    try:
        yield engine
    finally:
        engine.dispose()


def _prepare(engine: Engine, *, begin: str, query_only: bool) -> None:
    """Let every connection of `engine` have our settings, and begin transactions our way."""

    @event.listens_for(engine, "connect")
    def prepare(connection: DBAPIConnection, _entry: ConnectionPoolEntry) -> None:
        # The driver's own BEGIN comes too late, only before a change.
        connection.isolation_level = None
        cursor = connection.cursor()
        for pragma in (*_PRAGMAS, *(["PRAGMA query_only=ON"] if query_only else [])):
            cursor.execute(pragma)
        cursor.close()

    @event.listens_for(engine, "begin")
    def start(connection: Connection) -> None:
        connection.exec_driver_sql(begin)


async def _migrate(writer: AsyncEngine, file: Path) -> None:
    try:
        async with writer.begin() as connection:
            await connection.run_sync(_upgrade)
    except DBAPIError as error:
        raise SettingsError(f"{file}: is not a usable catalogue ({error.orig})") from None
    except CommandError:
        raise SettingsError(f"{file}: was made by a newer recording_processor") from None


def migrations() -> Config:
    """Return where Alembic finds the steps from one form of the catalogue to the next."""
    config = Config()
    config.set_main_option("script_location", "recording_processor.catalogue:migrations")
    config.set_main_option("path_separator", "os")
    return config


def _upgrade(connection: Connection) -> None:
    config = migrations()
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
