"""A person's retry: what waits is tried now, what was put aside gets another try.

Addresses that the profile in force has corrected are replaced. Every step is one durable rename or
one whole file, so a retry that is cut at any place loses nothing, and may be made again. Nothing
is ever stored over another object: what is tried again is taken for never tried.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path

import msgspec
import structlog

from mcp_sim.pipeline import Pipeline
from mcp_sim.profiles import ProfileBook
from mcp_sim.readdressing import (
    PROCESSOR,
    SECOND_STORE,
    STORE,
    Replaced,
    arrived,
    readdress,
    replaced_addresses,
)
from mcp_sim.recording.spool.folders import JOURNAL, State
from mcp_sim.recording.spool.item import (
    ItemError,
    Part,
    Progress,
    SpoolItem,
    read_item,
    read_progress,
    write_item,
    write_progress,
)
from mcp_sim.recording.spool.spool import Spool
from recording_format.errors import MetadataError
from recording_format.metadata import decode_metadata

_log = structlog.get_logger()


class RetryAnswer(msgspec.Struct, frozen=True):
    """Names of items: `retried` are due now, `returned` were put aside and are ready again,
    `rendering` are rendered again, `left` stay aside because nothing of them can be delivered.
    """

    retried: list[str] = []
    returned: list[str] = []
    rendering: list[str] = []
    left: list[str] = []
    addresses: list[Replaced] = []


class Redelivery:
    """Retries items of one spool; one retry at a time."""

    def __init__(self, spool: Spool, pipeline: Pipeline, book: ProfileBook) -> None:
        self._spool = spool
        self._pipeline = pipeline
        self._book = book
        self._turn = asyncio.Lock()

    async def retry(self, names: Collection[str] | None = None) -> RetryAnswer:
        """Retry all items, or those of these names. What the disk refuses is left and logged."""
        wanted = None if names is None else frozenset(names)
        answer = RetryAnswer()
        async with self._turn:
            ready = await self._items(State.READY, wanted)
            for name in await asyncio.to_thread(self._outdated, ready):
                await self._readdress_waiting(name, answer)
            for name in await self._items(State.FAILED, wanted):
                await self._take_back(name, answer)
            waiting = await self._pipeline.delivery.retry(wanted)
        known = {*answer.retried, *answer.returned}
        answer.retried.extend(name for name in waiting if name not in known)
        _log.info(
            "Deliveries were retried",
            retried=len(answer.retried),
            returned=len(answer.returned),
            rendering=len(answer.rendering),
            left=len(answer.left),
            addresses=len(answer.addresses),
        )
        return answer

    async def _items(self, state: State, wanted: frozenset[str] | None) -> list[str]:
        found = await asyncio.to_thread(self._spool.items, state)
        return [name for name in found if wanted is None or name in wanted]

    def _outdated(self, names: list[str]) -> list[str]:
        """Return the items whose profile names other addresses by now, and those of which a part
        was given up while another one still waits.
        """
        found = []
        for name in names:
            folder = self._spool.folder(name, State.READY)
            try:
                item = read_item(folder)
                profile = self._book.by_dbid(item.profile_dbid)
                progress = _progress_of(folder, item)
                given_up = any(known.given_up for known in progress.values())
                if given_up or replaced_addresses(name, item, profile, arrived(progress)):
                    found.append(name)
            except (ItemError, OSError):
                continue  # the delivery meets the same, and says so
        return found

    async def _readdress_waiting(self, name: str, answer: RetryAnswer) -> None:
        delivery = self._pipeline.delivery
        if not delivery.hold(name):
            return  # it is being delivered at this moment
        try:
            answer.addresses.extend(await asyncio.to_thread(self._try_anew, name))
            answer.retried.append(name)
        except (ItemError, MetadataError, OSError) as error:
            _log.error("The addresses of an item were not replaced", item=name, fault=str(error))
        finally:
            delivery.release(name)

    async def _take_back(self, name: str, answer: RetryAnswer) -> None:
        try:
            replaced, state = await asyncio.to_thread(self._return, name)
        except OSError as error:
            reason = os.strerror(error.errno or 0).lower()
            _log.error("An item could not be taken back", item=name, reason=reason)
            replaced, state = [], State.FAILED
        answer.addresses.extend(replaced)
        if state is State.READY:
            answer.returned.append(name)
            self._pipeline.delivery.wake()
        elif state is State.RENDERING:
            answer.rendering.append(name)
            self._pipeline.captured(name)
        else:
            answer.left.append(name)

    def _return(self, name: str) -> tuple[list[Replaced], State]:
        """Make an item that was put aside ready again, or let it be rendered again."""
        folder = self._spool.folder(name, State.FAILED)
        try:
            decode_metadata(bytes(read_item(folder).metadata))
            replaced = self._readdress(name, State.FAILED)
        except (ItemError, MetadataError):
            if not (folder / JOURNAL).is_file():
                return [], State.FAILED
            self._spool.take_back(name, State.RENDERING)
            return [], State.RENDERING
        for part, progress in _progress_of(folder, read_item(folder)).items():
            if not progress.settled or progress.given_up:
                # Taken for never tried: a conflict must not become a PUT over the other object.
                write_progress(folder, Progress(), part)
        self._spool.take_back(name, State.READY)
        return replaced, State.READY

    def _try_anew(self, name: str) -> list[Replaced]:
        """Readdress an item that waits, and let a part of it be tried again that was given up.

        Else that part would wait, unseen, for as long as the other one's store is down.
        """
        replaced = self._readdress(name, State.READY)
        folder = self._spool.folder(name, State.READY)
        for part, progress in _progress_of(folder, read_item(folder)).items():
            if progress.given_up:
                write_progress(folder, Progress(), part)
        return replaced

    def _readdress(self, name: str, state: State) -> list[Replaced]:
        """Give an item its profile's addresses. The progress first: it speaks of the old ones."""
        folder = self._spool.folder(name, state)
        item = read_item(folder)
        before = _progress_of(folder, item)
        profile = self._book.by_dbid(item.profile_dbid)
        changed, replaced = readdress(name, item, profile, arrived(before))
        if replaced:
            for part, progress in _progress_anew(before, replaced).items():
                write_progress(folder, progress, part)
            write_item(folder, changed)
            for one in replaced:
                _log.info("An address was replaced", **msgspec.structs.asdict(one))
        return replaced


def _progress_of(folder: Path, item: SpoolItem) -> dict[Part, Progress]:
    return {part: read_progress(folder, part) for part in item.parts}


def _progress_anew(
    before: Mapping[Part, Progress], replaced: Iterable[Replaced]
) -> dict[Part, Progress]:
    """Return the progress of the parts with another address: what was tried says nothing of it."""
    destinations = {one.destination for one in replaced}
    anew = {}
    if PROCESSOR in destinations:
        known = before[Part.RECORDING]
        anew[Part.RECORDING] = Progress(unconfirmed=known.unconfirmed, stored=known.stored)
    if STORE in destinations:
        anew[Part.RECORDING] = Progress()
    if SECOND_STORE in destinations:
        anew[Part.COPY] = Progress()
    return anew
