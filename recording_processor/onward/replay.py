"""Brings the files of what failed to the web services again, the oldest first.

A file goes only after 200; what stands behind it in the outbox may go then. A file that a person
took away counts as dealt with. One that is refused again holds up those of its own recording only.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from contextlib import suppress

import msgspec
import structlog

from recording_processor.catalogue.outbox import Outbox
from recording_processor.errors import ProcessorError
from recording_processor.onward.failed_folder import FailedFolder
from recording_processor.onward.failure import Never, NotNow
from recording_processor.onward.file_name import recording_of
from recording_processor.onward.web_services import WebServices

_log = structlog.get_logger()


class Replayed(msgspec.Struct, frozen=True):
    """How many files went, how many lie there still, and what the last one failed with."""

    replayed: int
    kept: int
    fault: str | None


class Replay:
    """Replays one folder; one run at a time.

    `watch` is told of each file that went.
    """

    def __init__(
        self,
        folder: FailedFolder,
        outbox: Outbox,
        web_services: WebServices,
        watch: Callable[[], None],
    ) -> None:
        self._folder = folder
        self._outbox = outbox
        self._web_services = web_services
        self._watch = watch
        self._run: asyncio.Task[Replayed] | None = None

    def start(self) -> asyncio.Task[Replayed]:
        """Begin a run, or join the one that runs."""
        if self._run is None or self._run.done():
            self._run = asyncio.create_task(self._replay(), name="onward replay")
        return self._run

    async def every(self, seconds: float) -> None:
        """Replay now and then every so many seconds (0: not again), until cancelled."""
        while True:
            await asyncio.shield(self.start())
            if not seconds:
                return
            await asyncio.sleep(seconds)

    async def close(self) -> None:
        """End a run that is under way."""
        if self._run is not None:
            self._run.cancel()
            await asyncio.gather(self._run, return_exceptions=True)

    async def look(self) -> list[str]:
        """Return the names of the files, the oldest first. Raises `OSError`."""
        return await asyncio.to_thread(self._folder.names)

    async def _replay(self) -> Replayed:
        replayed, fault = 0, None
        try:
            names = await self.look()
            await self._forget_others(set(names))
            replayed, fault = await self._send_all(names)
        except OSError as error:
            fault = f"the folder of failed posts: {os.strerror(error.errno or 0).lower()}"
        except ProcessorError as error:
            fault = str(error)
        except Exception:  # noqa: BLE001 - the next run goes on, whatever this one met
            _log.exception("Failed posts could not be replayed")
            fault = "an internal error; the log tells more"
        if replayed or fault:
            _log.info(
                "Failed posts were replayed", sent=replayed, kept=self._folder.count, fault=fault
            )
        return Replayed(replayed, self._folder.count, fault)

    async def _forget_others(self, present: set[str]) -> None:
        """Let go what waits for files that somebody took away."""
        for name in await self._outbox.kept():
            # A file of a moment ago is not in the list.
            if name not in present and not self._folder.has(name):
                _log.warning("A failed post was taken away by a person", file=name)
                await self._outbox.released(name)

    async def _send_all(self, names: list[str]) -> tuple[int, str | None]:
        replayed, fault, blocked = 0, None, set[str]()
        for name in names:
            if recording_of(name) in blocked:
                continue
            try:
                await self._send(name)
            except NotNow as error:
                return replayed, str(error)
            except Never as error:
                blocked.add(recording_of(name))
                fault = str(error)
                continue
            replayed += 1
        return replayed, fault

    async def _send(self, name: str) -> None:
        with suppress(FileNotFoundError):  # a person was faster
            body = await asyncio.to_thread(self._folder.read, name)
            if body is None:
                raise Never(f"{name} is not a post")
            await self._web_services.post(body)
            await asyncio.to_thread(self._folder.remove, name)
            self._watch()
        await self._outbox.released(name)
