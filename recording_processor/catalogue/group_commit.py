"""Many small posts in one transaction, each with its own outcome, none told before it is durable.

One task files what waits, each post inside a savepoint: what goes wrong with one leaves the others
as they are. Only a commit that succeeded makes an outcome known; one that fails is everybody's.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import Final

from sqlalchemy import Connection

from recording_processor.catalogue.database import Database, InThread, named
from recording_processor.errors import Busy, Conflict, ProcessorError
from recording_processor.recording import Filing

#: Files one post and returns how much of it was new. It blocks.
File = Callable[[Connection, Filing], int]
Outcome = int | Exception
#: Told of every transaction: how many posts it had, and whether it was committed.
Watch = Callable[[int, bool], None]
_POSTS: Final = 64
_BYTES: Final = 4 << 20


class GroupCommit:
    """The posts that wait to be filed. Make it with `group_commit`.

    `watch` may be replaced by who wants to count.
    """

    def __init__(
        self, database: Database, file: File, *, waiting_limit: int, posts: int, size: int
    ) -> None:
        self.watch: Watch = lambda _posts, _committed: None
        self._database = database
        self._file = file
        self._waiting_limit = waiting_limit
        self._posts = posts
        self._size = size
        self._queue: deque[_Post] = deque()
        self._came = asyncio.Event()
        self._taken = 0
        self._closed = False

    @property
    def waiting(self) -> int:
        """How many posts wait or are being filed."""
        return len(self._queue) + self._taken

    async def file(self, filing: Filing, size: int) -> int:
        """File a post of `size` bytes; return, when it is durable, how much of it was new.

        Raises what goes wrong with this post or with its whole transaction: `Conflict`, `Busy`
        (also when too many wait), `OutOfSpace`, or RuntimeError for what nobody expects. Who is
        cancelled may find the post filed or not.
        """
        if self._closed:
            raise Busy("the catalogue is being closed")
        if self.waiting >= self._waiting_limit:
            raise Busy("the catalogue has too many changes waiting")
        post = _Post(filing, size)
        self._queue.append(post)
        self._came.set()
        return await post.answer

    async def run(self) -> None:
        """File what comes until `close`, and then what still waits."""
        try:
            while self._queue or not self._closed:
                self._came.clear()
                if not self._queue:
                    await self._came.wait()
                await self._together()
        finally:
            # Nobody may wait for an answer that cannot come.
            self.close()
            for post in self._queue:
                post.answer.cancel()

    def close(self) -> None:
        """Take no more posts; `run` ends when those that wait are filed."""
        self._closed = True
        self._came.set()

    async def _together(self) -> None:
        """Answer the next posts out of one transaction."""
        batch: list[_Post] = []
        try:
            async with self._database.writing_in_thread() as in_thread:
                # Whoever came while the turn was another's is in this transaction too.
                batch = self._take()
                await self._answer(batch, in_thread)
        finally:
            self._taken = 0
            for post in batch:
                post.answer.cancel()

    async def _answer(self, batch: list[_Post], in_thread: InThread) -> None:
        if not batch:
            return
        filings = [post.filing for post in batch]
        outcomes: Sequence[Outcome]
        try:
            outcomes = await in_thread(partial(_file_all, self._file, filings))
        except _TransactionLost:
            # One of them has cost all of them theirs: each has a transaction of its own now.
            self.watch(len(batch), False)
            for post in batch:
                await self._answer([post], in_thread)
            return
        except Conflict as error:
            # One that was alone: there was nothing to commit.
            outcomes = [error]
        except Exception as error:  # noqa: BLE001 - whatever it was, everyone has an answer
            self.watch(len(batch), False)
            outcomes = [named(error)] * len(batch)
        else:
            self.watch(len(batch), True)
        for post, outcome in zip(batch, outcomes, strict=True):
            post.tell(outcome)

    def _take(self) -> list[_Post]:
        """Take the next posts off the queue: at least one when someone waits."""
        batch: list[_Post] = []
        size = 0
        while self._queue and len(batch) < self._posts:
            post = self._queue[0]
            if batch and size + post.size > self._size:
                break
            self._queue.popleft()
            # Nobody waits for the others any more, and whoever is not answered posts again.
            if not post.answer.done():
                batch.append(post)
                size += post.size
        self._taken = len(batch)
        return batch


class _Post:
    """One post that waits for its answer."""

    def __init__(self, filing: Filing, size: int) -> None:
        self.filing = filing
        self.size = size
        self.answer: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    def tell(self, outcome: Outcome) -> None:
        """Answer who waits, unless nobody does."""
        if self.answer.done():
            return
        if isinstance(outcome, int):
            self.answer.set_result(outcome)
            return
        # Each has an error of its own: to raise one object in many tasks would mix their traces.
        own: Exception = RuntimeError("a post could not be filed")
        if isinstance(outcome, ProcessorError):
            own = type(outcome)(*outcome.args)
        own.__cause__ = outcome
        self.answer.set_exception(own)


class _TransactionLost(Exception):
    """SQLite has rolled the whole transaction back."""


def _file_all(file: File, filings: Sequence[Filing], connection: Connection) -> list[Outcome]:
    """File all of them in the connection's transaction, as far as each can be filed.

    Raises what a single one raises, and `_TransactionLost` where one has ended the transaction.
    """
    if len(filings) == 1:
        return [file(connection, filings[0])]
    return [_file_apart(file, filing, connection) for filing in filings]


def _file_apart(file: File, filing: Filing, connection: Connection) -> Outcome:
    """File one post so that its failure undoes nothing but itself."""
    try:
        with connection.begin_nested():
            return file(connection, filing)
    except Exception as error:
        driver = connection.connection.driver_connection
        assert isinstance(driver, sqlite3.Connection)
        # SQLite gives the whole transaction up when the disk is full, for example.
        if not driver.in_transaction:
            raise _TransactionLost from error
        return named(error)


@asynccontextmanager
async def group_commit(
    database: Database,
    file: File,
    *,
    waiting_limit: int,
    posts: int = _POSTS,
    size: int = _BYTES,
) -> AsyncIterator[GroupCommit]:
    """Let posts be filed together, at most `posts` or about `size` bytes in a transaction.

    At the end those that wait are filed. Every statement is bounded by the database's time-outs.
    """
    group = GroupCommit(database, file, waiting_limit=waiting_limit, posts=posts, size=size)
    task = asyncio.create_task(group.run())
    try:
        yield group
    finally:
        group.close()
        await task
