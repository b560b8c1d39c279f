"""The pool's side of one render worker: a child process that is started when it is needed."""

from __future__ import annotations

import asyncio
import errno
import os
import sys

import msgspec

from mcp_sim.recording.disk_calls import FaultsInForce
from mcp_sim.recording.render.messages import (
    LENGTH,
    RenderAnswer,
    RenderOrder,
    WorkerOptions,
    answer_decoder,
    encode_message,
)

_END_TIMEOUT = 10.0


class WorkerDiedError(Exception):
    """The worker ended, hung or talked nonsense in the middle of a render; the text says which."""


class RenderProcess:
    """One worker process. `lock` is the descriptor of the spool's lock, which it inherits."""

    def __init__(self, options: WorkerOptions, *, lock: int) -> None:
        self._options = options
        self._lock = lock
        self._process: asyncio.subprocess.Process | None = None

    @property
    def pid(self) -> int | None:
        """The running process, if there is one."""
        return self._process.pid if self._process else None

    async def render(
        self,
        item: str,
        within: float,
        *,
        crash: bool = False,
        faults: FaultsInForce | None = None,
    ) -> RenderAnswer:
        """Have an item rendered within so many seconds; `crash` and `faults` break it on purpose.

        Raises `WorkerDiedError`, or `OSError` when no process can be started. After an error or a
        cancellation the process is gone; the next call starts another one.
        """
        try:
            await self._give(RenderOrder(item, crash, faults))
        except (OSError, asyncio.CancelledError):
            await self.kill()
            raise
        try:
            async with asyncio.timeout(within):
                return await self._answer()
        except TimeoutError:
            fault = f"the render worker did not end within {within:.0f} seconds"
        except (OSError, asyncio.IncompleteReadError, msgspec.MsgspecError):
            fault = "the render worker crashed"
        except asyncio.CancelledError:
            await self.kill()
            raise
        code = await self.kill()
        raise WorkerDiedError(f"{fault} (exit code {code})")

    async def start(self) -> None:
        """Start the process unless it runs. Raises `OSError`."""
        if self._process is not None and self._process.returncode is None:
            return
        self._process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "mcp_sim.recording.render.worker",
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            pass_fds=(self._lock,),
            env={**os.environ, "OPENBLAS_NUM_THREADS": "1"},
        )
        await self._send(encode_message(self._options))

    async def stop(self) -> None:
        """Let the process end by itself: its input ends. Killed if it does not."""
        if self._process is None:
            return
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            await asyncio.wait_for(self._process.wait(), _END_TIMEOUT)
        except TimeoutError:
            await self.kill()
        self._process = None

    async def kill(self) -> int | None:
        """End the process at once; return its exit code, if there was one."""
        process, self._process = self._process, None
        if process is None:
            return None
        if process.returncode is None:
            process.kill()
        assert process.stdin is not None
        process.stdin.close()
        return await process.wait()

    async def _give(self, order: RenderOrder) -> None:
        """Have a process take the order; one that died with nothing to do is replaced by another.

        That is no crash of this render.
        """
        try:
            await self.start()
            await self._send(encode_message(order))
        except BrokenPipeError:
            await self.kill()
            await self.start()
            await self._send(encode_message(order))

    async def _answer(self) -> RenderAnswer:
        assert self._process is not None
        assert self._process.stdout is not None
        head = await self._process.stdout.readexactly(LENGTH.size)
        (size,) = LENGTH.unpack(head)
        return answer_decoder.decode(await self._process.stdout.readexactly(size))

    async def _send(self, data: bytes) -> None:
        assert self._process is not None
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(data)
        except RuntimeError:  # uvloop has seen already that nobody reads
            raise BrokenPipeError(errno.EPIPE, "the render worker has ended") from None
        await self._process.stdin.drain()
