"""The caller's end of the media process: starts it, asks it, and notices when it is gone."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import Sequence
from types import TracebackType
from typing import Final, Self

from mcp_sim.load import media_wire as wire

_PATIENCE: Final = 30.0


class MediaFailed(Exception):
    """The media process has ended, is silent, or could not do what it was asked."""


class MediaClient:
    """One media process; enter it to start the process, leave it to end it.

    >>> async with MediaClient("127.0.0.1") as media:
    ...     addresses = await media.open_call(1, legs=2)
    ...     await media.start_legs(1, [...])
    ...     sent = await media.stop_call(1)
    """

    def __init__(self, host: str, backdrop: bytes = b"") -> None:
        self._configure = wire.Configure(host, backdrop)
        self._process: asyncio.subprocess.Process | None = None
        self._reading: asyncio.Task[None] | None = None
        self._waiting: dict[tuple[type[wire.Reply], int], asyncio.Future[wire.Reply]] = {}

    async def __aenter__(self) -> Self:
        self._process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "mcp_sim.load.media_process",
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            # Ctrl-C at the terminal is for the caller, which ends the calls first.
            start_new_session=True,
        )
        self._reading = asyncio.create_task(self._read())
        self._send(self._configure)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        process, reading = self._process, self._reading
        assert process is not None
        assert process.stdin is not None
        assert reading is not None
        process.stdin.close()
        try:
            async with asyncio.timeout(5):
                await process.wait()
                await reading
        except TimeoutError:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()
            reading.cancel()

    async def open_call(self, call: int, legs: int) -> list[tuple[str, int]]:
        """Bind a socket for each leg; return their addresses. Raises `MediaFailed`."""
        opened = await self._ask(wire.OpenCall(call, legs), wire.Opened, call)
        assert isinstance(opened, wire.Opened)
        if opened.error:
            raise MediaFailed(opened.error)
        return opened.addresses

    def start_legs(self, call: int, legs: Sequence[wire.LegStart]) -> None:
        """Start legs together, on the clock of those legs of the call that already send."""
        self._send(wire.StartLegs(call, list(legs)))

    async def stop_call(self, call: int) -> wire.Stopped:
        """Stop all legs of a call; return what they sent. Raises `MediaFailed`."""
        stopped = await self._ask(wire.StopCall(call), wire.Stopped, call)
        assert isinstance(stopped, wire.Stopped)
        return stopped

    async def finish(self) -> wire.Finished:
        """Return what the process used. Raises `MediaFailed`."""
        finished = await self._ask(wire.Finish(), wire.Finished, 0)
        assert isinstance(finished, wire.Finished)
        return finished

    async def _ask(self, request: wire.Request, kind: type[wire.Reply], call: int) -> wire.Reply:
        answer: asyncio.Future[wire.Reply] = asyncio.get_running_loop().create_future()
        self._waiting[kind, call] = answer
        try:
            self._send(request)
            async with asyncio.timeout(_PATIENCE):
                return await answer
        except TimeoutError:
            raise MediaFailed("the media process does not answer") from None
        finally:
            self._waiting.pop((kind, call), None)

    def _send(self, request: wire.Request) -> None:
        if self._process is None or self._process.stdin is None or self._gone:
            raise MediaFailed("the media process has ended")
        self._process.stdin.write(wire.encode_frame(request))

    @property
    def _gone(self) -> bool:
        return self._reading is None or self._reading.done()

    async def _read(self) -> None:
        assert self._process is not None
        assert self._process.stdout is not None
        try:
            while True:
                reply = await wire.read_reply(self._process.stdout)
                call = 0 if isinstance(reply, wire.Finished) else reply.call
                answer = self._waiting.get((type(reply), call))
                if answer is not None and not answer.done():
                    answer.set_result(reply)
        except (asyncio.IncompleteReadError, ConnectionError):
            for answer in self._waiting.values():
                if not answer.done():
                    answer.set_exception(MediaFailed("the media process has ended"))
