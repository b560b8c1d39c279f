"""The open catalogue: read by several at once, changed by one at a time.

A transaction that changes something holds the write lock from its beginning, so what it read cannot
have changed when it writes. How the file is opened is `opening`'s.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from concurrent.futures import Executor
from contextlib import asynccontextmanager
from typing import Protocol, TypeVar

import aiosqlite
from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import DBAPIError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from recording_processor.errors import Busy, OutOfSpace

Result = TypeVar("Result")


class InThread(Protocol):
    """Does blocking work in the writing thread, as one transaction that is durable at the end."""

    def __call__(self, work: Callable[[Connection], Result]) -> Awaitable[Result]:
        """Return what `work` returned, or raise what it raised with nothing changed."""


class Database:
    """The open catalogue. Make it with `opening.open_database`.

    `blocking` is a second way to write, for much at once: to go to the driver's thread and back for
    every statement costs more than the statements. It belongs to `thread` alone.
    """

    def __init__(
        self,
        writer: AsyncEngine,
        readers: AsyncEngine,
        blocking: Engine,
        thread: Executor,
        *,
        waiting_limit: int,
        read_seconds: float,
    ) -> None:
        self._writer = writer
        self._blocking = blocking
        self._thread = thread
        self._readers = readers
        self._writing = asyncio.Lock()
        self._waiting = 0
        self._waiting_limit = waiting_limit
        self._read_seconds = read_seconds

    @property
    def waiting(self) -> int:
        """How many transactions write or wait to write."""
        return self._waiting

    @asynccontextmanager
    async def writing(self) -> AsyncIterator[AsyncConnection]:
        """One transaction that may write; durable when the block has ended without an error.

        Raises `Busy` when too many wait already or another program holds the file, `OutOfSpace`
        when the disk is full.
        """
        if self._waiting >= self._waiting_limit:
            raise Busy("the catalogue has too many changes waiting")
        async with self._turn(), self._writer.begin() as connection:
            yield connection

    @asynccontextmanager
    async def writing_in_thread(self) -> AsyncIterator[InThread]:
        """The turn to write, for transactions of blocking work; raises as `writing` does.

        It is for one task that collects the work of many, so it is never refused for waiting.
        """
        async with self._turn():
            yield self._in_thread

    async def _in_thread(self, work: Callable[[Connection], Result]) -> Result:
        def transaction() -> Result:
            with self._blocking.begin() as connection:
                return work(connection)

        return await asyncio.get_running_loop().run_in_executor(self._thread, transaction)

    @asynccontextmanager
    async def _turn(self) -> AsyncIterator[None]:
        """Be the only one who writes."""
        self._waiting += 1
        try:
            async with self._writing:
                yield
        except OperationalError as error:
            told = named(error)
            if told is error:
                raise
            raise told from error
        finally:
            self._waiting -= 1

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[AsyncConnection]:
        """One consistent view of what is committed. Raises `Busy` when it takes too long."""
        try:
            async with self._readers.begin() as connection, self._at_most(connection):
                yield connection
        except (TimeoutError, PoolTimeout):
            raise Busy("the catalogue did not answer in time") from None

    @asynccontextmanager
    async def _at_most(self, connection: AsyncConnection) -> AsyncIterator[None]:
        """Interrupt what the connection does after a while, and raise `TimeoutError` then.

        To cancel the waiting task would not do: the driver's thread would count on to the end.
        """
        driver = (await connection.get_raw_connection()).driver_connection
        assert isinstance(driver, aiosqlite.Connection)
        late = False

        async def interrupt() -> None:
            nonlocal late
            await asyncio.sleep(self._read_seconds)
            late = True
            await driver.interrupt()

        watch = asyncio.create_task(interrupt())
        try:
            yield
        except DBAPIError:
            if late:
                raise TimeoutError from None
            raise
        finally:
            watch.cancel()


def named(error: Exception) -> Exception:
    """Return what a failed change means to the caller, or the error where nobody can say."""
    name = getattr(error.orig, "sqlite_errorname", "") if isinstance(error, DBAPIError) else ""
    if name.startswith("SQLITE_BUSY"):
        return Busy("the catalogue is held by another program")
    if name == "SQLITE_FULL":
        return OutOfSpace("the catalogue's disk is full")
    return error


async def answers(database: Database) -> bool:
    """Return whether the catalogue answers a question now."""
    try:
        async with database.reading() as connection:
            await connection.execute(text("SELECT 1 FROM identity"))
    except (Busy, DBAPIError):
        return False
    return True
