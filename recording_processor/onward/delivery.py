"""Brings what waits in the outbox to the web services, until they have it or say never.

The outbox is the queue: tries and the next time survive a restart. A post that was sent when the
process was killed is sent again; the web services take the same again as success.
"""

from __future__ import annotations

import asyncio
import math
import os
from collections.abc import Callable
from contextlib import suppress

import structlog
from sqlalchemy.exc import DBAPIError

from recording_processor.catalogue.outbox import Counts, OnwardPost, Outbox, Outcome
from recording_processor.errors import ProcessorError
from recording_processor.onward.failed_folder import FailedFolder
from recording_processor.onward.failure import Never, NotNow
from recording_processor.onward.patience import Backoff, Circuit
from recording_processor.onward.web_services import WebServices
from recording_processor.recording import Recording

_log = structlog.get_logger()
_LONGEST_SLEEP = 60.0
_AFTER_A_FAILURE = 1.0
_COUNT_EVERY = 1.0
#: Makes the body of a post.
Compose = Callable[[Recording], bytes]


class Delivery:
    """Delivers the posts of one outbox. `run` does the work; `clock` gives seconds since 1970.

    `figures` counts outcomes by name: ``sent``, ``later``, ``failed``.
    """

    def __init__(
        self,
        outbox: Outbox,
        web_services: WebServices,
        folder: FailedFolder,
        compose: Compose,
        *,
        backoff: Backoff,
        circuit: Circuit,
        concurrency: int,
        tries: int,
        clock: Callable[[], float],
        watch: Callable[[str], None],
    ) -> None:
        self.counts = Counts(0, 0)
        self.fault = ""
        self._outbox = outbox
        self._web_services = web_services
        self._folder = folder
        self._compose = compose
        self._backoff = backoff
        self._circuit = circuit
        self._concurrency = concurrency
        self._tries = tries
        self._clock = clock
        self._watch = watch
        self._running: set[int] = set()
        self._ended: list[Outcome] = []
        self._looked_at = math.inf
        self._counted_at = -math.inf

    async def run(self) -> None:
        """Deliver until cancelled."""
        async with asyncio.TaskGroup() as group:
            while True:
                self._outbox.came.clear()
                pause = _AFTER_A_FAILURE
                try:
                    pause = await self._round(group)
                except ProcessorError as error:
                    _log.warning("The outbox could not be used", reason=str(error))
                except Exception:  # noqa: BLE001 - delivery goes on, whatever one round met
                    _log.exception("The outbox could not be used")
                await self._sleep(pause)

    async def close(self) -> None:
        """Write down what was sent last, so that it is not sent again; `run` has ended."""
        with suppress(ProcessorError, DBAPIError):
            await self._settle()

    async def _round(self, group: asyncio.TaskGroup) -> float:
        """Write down what ended, begin what may; return the seconds until there is more."""
        await self._settle()
        now = self._clock()
        if now < self._looked_at:  # the first round, or a clock that was set back
            await self._outbox.hasten(round((now + self._backoff.longest) * 1000))
        self._looked_at = now
        free = self._circuit.places(now, running=len(self._running), most=self._concurrency)
        if free:
            posts = await self._outbox.due(round(now * 1000), limit=free, without=self._running)
            for post in posts:
                self._running.add(post.recording)
                group.create_task(self._deliver(post), name=f"onward {post.number}")
        pause = await self._seconds_until_more()
        if self._running and 0 <= now - self._counted_at < _COUNT_EVERY:
            return min(pause, _COUNT_EVERY)  # to count is dear where much waits
        self.counts, self._counted_at = await self._outbox.counts(), now
        return pause

    async def _seconds_until_more(self) -> float:
        busy = len(self._running) >= self._concurrency or (self._circuit.open and self._running)
        due = None if busy else await self._outbox.next_due(self._running)
        if due is None:
            return _LONGEST_SLEEP
        now = self._clock()
        return max(due / 1000 - now, self._circuit.probe_in(now))

    async def _sleep(self, seconds: float) -> None:
        """Sleep until something came or ended, or the time is over."""
        if seconds <= 0:
            return
        with suppress(TimeoutError):
            async with asyncio.timeout(min(seconds, _LONGEST_SLEEP)):
                await self._outbox.came.wait()

    async def _settle(self) -> None:
        """Make durable what became of the tries that ended; on a failure they stay for later."""
        ended = self._ended[:]
        if not ended:
            return
        await self._outbox.settle(ended)
        del self._ended[: len(ended)]
        self._running -= {outcome.post.recording for outcome in ended}
        for outcome in ended:
            # A replay may have been faster than we.
            if outcome.file is not None and not self._folder.has(outcome.file):
                await self._outbox.released(outcome.file)

    async def _deliver(self, post: OnwardPost) -> None:
        """Try one post. Its recording stays taken until the outcome is durable."""
        try:
            outcome = await self._try(post)
        except Exception:  # noqa: BLE001 - whatever one post does, the others go on
            _log.exception("A post failed on its way onward", recording_id=post.recording_id)
            outcome = self._later(post, "an internal error", None)
        self._ended.append(outcome)
        self._outbox.came.set()

    async def _try(self, post: OnwardPost) -> Outcome:
        try:
            recording = await self._outbox.content(post)
        except ProcessorError as error:
            return self._later(post, str(error), None)
        if recording is None or not recording.media_files:
            return Outcome(post, sent=True)  # it was taken out of the catalogue meanwhile
        body = self._compose(recording)
        try:
            await self._web_services.post(body)
        except Never as error:
            self._answered()
            return await self._keep(post, body, str(error))
        except NotNow as error:
            self.fault = str(error)
            was_open = self._circuit.open
            self._circuit.failed(self._clock(), error.retry_after)
            if self._circuit.open and not was_open:
                _log.warning("The web services failed, few tries go there now", reason=str(error))
            if post.tries + 1 >= self._tries:
                return await self._keep(post, body, str(error))
            return self._later(post, str(error), error.retry_after)
        self._answered()
        self._watch("sent")
        return Outcome(post, sent=True)

    def _answered(self) -> None:
        if self._circuit.open:
            _log.info("The web services answer again")
        self._circuit.succeeded()
        self.fault = ""

    def _later(self, post: OnwardPost, fault: str, retry_after: float | None) -> Outcome:
        self._watch("later")
        due = self._clock() + self._backoff.delay(post.tries + 1, retry_after)
        return Outcome(post, next_try=round(due * 1000), fault=fault)

    async def _keep(self, post: OnwardPost, body: bytes, fault: str) -> Outcome:
        """Keep a post as a file; where that cannot be, it is tried again."""
        name = self._folder.name(post.tenant, post.recording_id, post.filed_at)
        try:
            await asyncio.to_thread(self._folder.keep, name, body)
        except OSError as error:
            reason = os.strerror(error.errno or 0).lower()
            _log.error("A post could not be kept as a file", file=name, reason=reason)
            return self._later(post, f"{fault}; it cannot be kept as a file: {reason}", None)
        self._watch("failed")
        _log.error(
            "A recording could not go onward, it was kept as a file",
            recording_id=post.recording_id,
            file=name,
            reason=fault,
            tries=post.tries + 1,
        )
        return Outcome(post, fault=fault, file=name)
