"""Child processes of one lab: started, watched, started again when they fall, ended in order.

Each child holds the reading end of a pipe whose other end is ours: when this process dies, in
whatever way, the pipe closes and the child ends by itself. Listening sockets are bound here and
inherited, so that a child which is started again loses no waiting client.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import structlog

_log = structlog.get_logger()

_FIRST_PAUSE, _LONGEST_PAUSE = 0.2, 5.0
_READY_SECONDS = 60.0
_TAIL_BYTES = 2000


class ChildFailed(Exception):
    """A child ended before it was ready; the text says which and what it said."""


class Child:
    """One service as a child process: ``python -m <module> --config <file>``.

    `inherited` are descriptors that it gets; `environment` is added to ours; standard error goes
    to `log`, a file of mode 0600.
    """

    def __init__(
        self,
        name: str,
        module: str,
        config: Path,
        *,
        log: Path,
        inherited: Sequence[int] = (),
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.name = name
        self._command = (sys.executable, "-m", module, "--config", str(config))
        self._log_path = log
        self._inherited = tuple(inherited)
        self._environment = {
            **os.environ,
            **(environment or {}),
            "RECLAB_PARENT_PIPE": "stdin",
            "PYTHONUNBUFFERED": "1",
        }
        self._process: asyncio.subprocess.Process | None = None
        self._ready = asyncio.Event()
        self.restarts = 0

    @property
    def pid(self) -> int | None:
        """The process id while the child runs."""
        return self._process.pid if self._process else None

    async def start(self) -> None:
        """Start the child and wait until it says that it is ready. Raises `ChildFailed`."""
        await self._spawn()
        try:
            async with asyncio.timeout(_READY_SECONDS):
                await self._wait_ready()
        except TimeoutError:
            await self.stop(1.0)
            raise ChildFailed(f"{self.name} was not ready in {_READY_SECONDS:.0f} s") from None

    async def watch(self, on_restart: Callable[[Child], None] | None = None) -> None:
        """Start the child again whenever it ends, until cancelled."""
        pause = _FIRST_PAUSE
        while True:
            if self._process is not None:
                code = await self._process.wait()
                _log.warning("A service ended, it is started again", child=self.name, code=code)
            self.restarts += 1
            await asyncio.sleep(pause)
            pause = min(pause * 2, _LONGEST_PAUSE)
            try:
                await self.start()
                pause = _FIRST_PAUSE
            except ChildFailed as error:
                _log.warning("A service did not start", child=self.name, fault=str(error))
            if on_restart is not None:
                on_restart(self)

    async def stop(self, grace: float, hurry: asyncio.Event | None = None) -> None:
        """Ask the child to end; kill it after `grace` seconds, or as soon as `hurry` is set."""
        process = self._process
        if process is None:
            return
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        ended = asyncio.create_task(process.wait())
        hurried = asyncio.create_task((hurry or asyncio.Event()).wait())
        await asyncio.wait({ended, hurried}, timeout=grace, return_when=asyncio.FIRST_COMPLETED)
        if not ended.done():
            if not hurried.done():
                _log.warning("A service was killed", child=self.name, grace_seconds=grace)
            with contextlib.suppress(ProcessLookupError):
                process.kill()
        hurried.cancel()
        await ended
        self._process = None

    async def _spawn(self) -> None:
        self._log_path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(self._log_path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            self._process = await asyncio.create_subprocess_exec(
                *self._command,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=descriptor,
                env=self._environment,
                pass_fds=self._inherited,
                # Ctrl-C at the terminal is for us; we end the children in order.
                start_new_session=True,
            )
        finally:
            os.close(descriptor)

    async def _wait_ready(self) -> None:
        process = self._process
        if process is None or process.stdout is None:
            raise ChildFailed(f"{self.name} is not running")
        while line := await process.stdout.readline():
            with contextlib.suppress(ValueError):
                if "ready" in json.loads(line):
                    return
        code = await process.wait()
        raise ChildFailed(self._last_words(code))

    def _last_words(self, code: int) -> str:
        """The child's one sentence where it gave one (exit code 2), else where to look."""
        with self._log_path.open("rb") as file:
            file.seek(max(0, self._log_path.stat().st_size - _TAIL_BYTES))
            lines = file.read().decode(errors="replace").strip().splitlines()
        if code == 2 and lines:
            return lines[-1]
        return f"{self.name} ended with code {code} before it was ready; see {self._log_path}"
