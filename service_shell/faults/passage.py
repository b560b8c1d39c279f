"""A request's and an answer's bytes on a network that is slow, or breaks in the middle of a body.

`Inflow` stands before what the parser reads, `Outflow` in place of what writes; both are as aiohttp
makes them until a fault strikes. The services notice nothing but slowness and broken connections.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from aiohttp import StreamReader
from aiohttp.base_protocol import BaseProtocol
from aiohttp.http_writer import StreamWriter
from multidict import CIMultiDict

from service_shell.faults.breaking import hold, pause, reset, sent
from service_shell.faults.fault import HttpFault

_PIECE = 64 * 1024
_PIECES_A_SECOND = 20
_NEVER = 1 << 62


class Passage:
    """What one body may do: how many bytes may pass next, after which wait."""

    def __init__(self, faults: Sequence[HttpFault], healed: asyncio.Event) -> None:
        self._rate = min((f.bytes_per_second for f in faults if f.kind == "bandwidth"), default=0)
        self._end = min((f.after_bytes for f in faults if f.kind == "cut"), default=_NEVER)
        self._healed = healed
        self._passed = 0
        self._due = 0.0

    @property
    def healed(self) -> bool:
        """Whether everything may pass again."""
        return self._healed.is_set()

    async def room(self) -> int:
        """Wait for the turn of the next piece; return its most bytes, 0 where the body is cut."""
        if self._rate:
            await pause(max(0.0, self._due - _now()), self._healed)
        if self.healed:
            return _PIECE
        slow = max(1, self._rate // _PIECES_A_SECOND) if self._rate else _PIECE
        return min(slow, _PIECE, max(0, self._end - self._passed))

    def passed(self, size: int) -> None:
        """Count a piece that passed."""
        self._passed += size
        if self._rate:
            self._due = max(self._due, _now()) + size / self._rate


class _NoConnection(BaseProtocol):
    """For a reader behind another one: only that one pauses and resumes the connection."""

    def pause_reading(self) -> None:
        """Do nothing."""

    def resume_reading(self, resume_parser: bool = True) -> None:
        """Do nothing."""


class Inflow(StreamReader):
    """A request's body. It takes from the parser's reader only what is asked for.

    So the parser's flow control holds, and a client that sends faster has to wait.
    """

    def __init__(self, inner: StreamReader, connection: BaseProtocol) -> None:
        loop = asyncio.get_running_loop()
        super().__init__(_NoConnection(loop), _PIECE, loop=loop)
        self._inner = inner
        self._connection = connection
        self.passage: Passage | None = None

    def is_eof(self) -> bool:
        """Return whether nothing more will come from the client."""
        return super().is_eof() or self._inner.is_eof()

    def at_eof(self) -> bool:
        """Return whether everything was read."""
        return super().at_eof() or (not self._buffer and self._inner.at_eof())

    async def _wait(self, func_name: str) -> None:
        """Take the next piece: each way of reading waits here when it has nothing left."""
        if self.passage is None:
            piece = await self._inner.readany()
        else:
            room = await self.passage.room()
            piece = await self._inner.read(room or 1)
            if piece and not room and not self.passage.healed:
                raise reset(self._connection.transport)
            self.passage.passed(len(piece))
        if piece:
            self.feed_data(piece)
        else:
            self.feed_eof()


class Outflow(StreamWriter):
    """An answer's head and body."""

    _passage: Passage | None = None
    _healed: asyncio.Event
    _delay = 0.0
    _wrong_by = 0
    _begun = False
    _last = False

    def impair(self, faults: Sequence[HttpFault], delay: float, healed: asyncio.Event) -> None:
        """Let `faults` strike the answer, which begins `delay` seconds later."""
        self._passage = Passage(faults, healed)
        self._delay, self._healed = delay, healed
        self._wrong_by = sum(fault.by_bytes for fault in faults if fault.kind == "length")

    async def write_headers(self, status_line: str, headers: CIMultiDict[str]) -> None:
        """Send the answer's head, late, or with a wrong length."""
        if self._delay:
            await hold(self._delay, self._healed, lambda: self.transport is not None)
        if self._wrong_by and "Content-Length" in headers and not self._healed.is_set():
            told = max(0, int(headers["Content-Length"]) + self._wrong_by)
            headers = headers.copy()
            headers["Content-Length"] = str(told)
            self._last = True
        self._begun = True
        await super().write_headers(status_line, headers)

    async def write(self, chunk: Any, *, drain: bool = True, LIMIT: int = 0x10000) -> None:  # noqa: N803 - aiohttp's name
        """Send a part of the body; what comes before the head is an interim answer."""
        if self._passage is None or not self._begun:
            await super().write(chunk, drain=drain, LIMIT=LIMIT)
            return
        rest = memoryview(chunk).cast("B")
        while rest:
            room = await self._passage.room()
            if not room:
                self.send_headers()
                await sent(self.transport)
                raise reset(self.transport)
            await super().write(bytes(rest[:room]), drain=drain, LIMIT=LIMIT)
            self._passage.passed(len(rest[:room]))
            rest = rest[room:]

    async def write_eof(self, chunk: bytes = b"") -> None:
        """End the answer; after a wrong length the connection ends with it."""
        if self._passage is not None and chunk:
            await self.write(chunk)
            chunk = b""
        await super().write_eof(chunk)
        if self._last and self.transport is not None:
            self.transport.close()


def _now() -> float:
    return asyncio.get_running_loop().time()
