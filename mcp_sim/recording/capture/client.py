"""The SIP front's side of a capture process: starts it, asks it, and knows when it is gone.

CaptureError
├── CaptureFullError       no leg or port is free: may pass when calls end (503)
├── CaptureDiskError       the journal could not be written
├── CaptureRefusedError    the request makes no sense, trying again does not help
├── CaptureTimeoutError    no answer in time
└── CaptureDiedError       the process is gone, what it had on disk is in the spool
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import socket
import sys
from pathlib import Path
from types import TracebackType
from typing import Self

import structlog

from mcp_sim.recording.capture.messages import (
    AddEvent,
    Answer,
    CaptureStats,
    CloseCall,
    CloseLeg,
    Configure,
    Failed,
    LegBound,
    MessageError,
    OpenCall,
    OpenLeg,
    Ready,
    Request,
    SetFaults,
    answer_reader,
    encode_message,
)
from mcp_sim.recording.capture.options import CaptureOptions
from mcp_sim.recording.disk_calls import FaultsInForce
from mcp_sim.recording.plan import Ended, Event, LegOpened, RecordingPlan, SealedBox
from recording_format.session_key import SessionKey
from service_shell.log import LogSettings

log = structlog.get_logger()

_START_TIMEOUT = 30.0
_END_TIMEOUT = 40.0
_CLOSE_TIMEOUT = 60.0
_READ_SIZE = 1 << 18


class CaptureError(Exception):
    """A capture process did not do what it was asked for; the text is one sentence."""


class CaptureFullError(CaptureError):
    """No leg or port is free."""


class CaptureDiskError(CaptureError):
    """The journal could not be created, or not be written to its end."""


class CaptureRefusedError(CaptureError):
    """The request makes no sense."""


class CaptureTimeoutError(CaptureError):
    """There was no answer in time."""


class CaptureDiedError(CaptureError):
    """The capture process is gone."""


_ERRORS = {"full": CaptureFullError, "disk": CaptureDiskError, "refused": CaptureRefusedError}


class CaptureClient:
    """One capture process, alive within ``async with``.

    Leaving the context closes the pipe; the process writes what waits, closes its journals and
    ends. `stats` is at most about a second old. `closed` is set when the process is gone, for
    whatever reason: nothing writes to its journals any more. `legs` is how many legs it can take,
    `calls` the recordings that it was given. Each request raises `CaptureError`.
    """

    def __init__(
        self,
        options: CaptureOptions | None = None,
        *,
        log_settings: LogSettings | None = None,
        timeout: float = 10.0,
        lock: int | None = None,
    ) -> None:
        """`lock` is a descriptor (of the spool's lock) that the process inherits and holds."""
        self._options = options or CaptureOptions()
        self._lock = lock
        self._log_settings = log_settings or LogSettings()
        self._timeout = timeout
        self._references = itertools.count(1)
        self._waiting: dict[int, asyncio.Future[Answer]] = {}
        self.stats = CaptureStats()
        self.calls: set[str] = set()
        self.closed = asyncio.Event()
        self.legs = 0
        self.pid = 0

    async def __aenter__(self) -> Self:
        await self._start()
        return self

    async def __aexit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        await self._end()

    async def open_call(
        self,
        folder: Path,
        session_key: SessionKey,
        recipients: bytes,
        key_box: SealedBox,
        plan: RecordingPlan,
    ) -> None:
        """Begin ``folder/journal``; the plan is on disk when this returns.

        `key_box` is `journal.seal_session_key` of `session_key`, `recipients` the DER SET OF
        RecipientInfo (empty for an unencrypted profile). Whatever becomes of it, `close_call` is
        to be asked for in the end.
        """
        ref = next(self._references)
        secret = session_key.secret
        self.calls.add(plan.recording_id)
        await self._ask(OpenCall(ref, str(folder), secret, recipients, key_box, plan))

    async def open_leg(self, recording_id: str, leg: LegOpened) -> tuple[str, int]:
        """Bind a socket for a leg; return the host and port where its RTP is received."""
        answer = await self._ask(OpenLeg(next(self._references), recording_id, leg))
        assert isinstance(answer, LegBound)
        return answer.host, answer.port

    async def event(self, recording_id: str, event: Event) -> None:
        """Write an event; it is on disk when this returns (`Paused` and `Resumed` hold at once)."""
        await self._ask(AddEvent(next(self._references), recording_id, event))

    async def close_leg(self, recording_id: str, leg: int) -> None:
        """Take what still waits on the leg's socket, and close it."""
        await self._ask(CloseLeg(next(self._references), recording_id, leg))

    async def close_call(self, recording_id: str, ended: Ended) -> None:
        """Close its legs, write everything and `ended`, close the journal.

        The id is free again as soon as this was asked for.
        """
        self.calls.discard(recording_id)
        await self._ask(CloseCall(next(self._references), recording_id, ended), _CLOSE_TIMEOUT)

    async def set_faults(self, faults: FaultsInForce | None) -> None:
        """Put faults on purpose in force in the process, or none."""
        await self._ask(SetFaults(next(self._references), faults))

    def kill(self) -> None:
        """End the process at once; `closed` tells when it is gone."""
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()

    async def _start(self) -> None:
        near, far = socket.socketpair()
        with far:
            try:
                self._process = await self._spawn(far.fileno())
            except BaseException:
                near.close()
                raise
        self._reader, self._writer = await asyncio.open_unix_connection(sock=near)
        self._task = asyncio.create_task(self._read(), name="capture answers")
        try:
            configure = Configure(next(self._references), self._options, self._log_settings)
            ready = await self._ask(configure, _START_TIMEOUT)
        except BaseException:
            await self._end()
            raise
        assert isinstance(ready, Ready)
        self.legs, self.pid = ready.legs, ready.pid

    async def _spawn(self, end: int) -> asyncio.subprocess.Process:
        return await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "mcp_sim.recording.capture.process",
            str(end),
            pass_fds=(end, *(() if self._lock is None else (self._lock,))),
            stdin=asyncio.subprocess.DEVNULL,
            # Standard output may be read by a machine: what this process says goes to the log.
            stdout=sys.__stderr__,
        )

    async def _end(self) -> None:
        self._writer.close()
        await self._gone()
        self._task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._task
        with contextlib.suppress(OSError):
            await self._writer.wait_closed()

    async def _gone(self) -> None:
        """Wait until the process has written all that waits and ended."""
        try:
            await asyncio.wait_for(self._process.wait(), _END_TIMEOUT)
        except TimeoutError:
            log.error("a capture process did not end in time and was killed", pid=self.pid)
            self.kill()
            await self._process.wait()

    async def _ask(self, request: Request, within: float | None = None) -> Answer:
        if self._writer.is_closing():
            await self.closed.wait()
            raise CaptureDiedError("the capture process is gone")
        answer: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._waiting[request.ref] = answer
        self._writer.write(encode_message(request))
        try:
            async with asyncio.timeout(within or self._timeout):
                result = await answer
        except TimeoutError:
            raise CaptureTimeoutError("the capture process did not answer in time") from None
        finally:
            self._waiting.pop(request.ref, None)
        if isinstance(result, Failed):
            raise _ERRORS[result.reason](result.message)
        return result

    async def _read(self) -> None:
        reader = answer_reader()
        try:
            while data := await self._reader.read(_READ_SIZE):
                for message in reader.feed(data):
                    self._take(message)
        except OSError:
            pass  # it was killed: its end of the pipe is gone
        except MessageError as error:
            log.error("the capture process could not be understood", error=str(error))
        try:
            self._writer.close()
            await self._gone()
        finally:
            self._mark_closed()

    def _take(self, message: Answer) -> None:
        if isinstance(message, CaptureStats):
            self.stats = message
            return
        answer = self._waiting.get(message.ref)
        if answer is not None and not answer.done():
            answer.set_result(message)

    def _mark_closed(self) -> None:
        self.closed.set()
        for answer in self._waiting.values():
            if not answer.done():
                answer.set_exception(CaptureDiedError("the capture process is gone"))
