"""One consignment's next try: its result is kept on disk, so that the next process knows it too.

What cannot be delivered for now waits longer each time; what never can is put aside for a person
to look at.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeAlias

import msgspec
import structlog

from mcp_sim.recording.delivery.attempt import DeliveryAttempt
from mcp_sim.recording.delivery.backoff import Backoff
from mcp_sim.recording.delivery.consignment import Consignment
from mcp_sim.recording.delivery.errors import (
    BrokenItemError,
    ConflictError,
    DeliveryError,
    SignInRefusedError,
)
from mcp_sim.recording.delivery.http_exchange import Exchange
from mcp_sim.recording.delivery.object_body import ObjectBody
from mcp_sim.recording.delivery.processor_client import ProcessorClient
from mcp_sim.recording.delivery.settling import Settling
from mcp_sim.recording.delivery.store_client import StoreClient
from mcp_sim.recording.delivery.traffic import Stage
from mcp_sim.recording.keyring import KeyringError, SpoolKeyring
from mcp_sim.recording.spool.folders import State
from mcp_sim.recording.spool.item import (
    ItemError,
    Part,
    Progress,
    SpoolItem,
    read_item,
    read_progress,
    whole_body,
    write_progress,
)
from mcp_sim.recording.spool.spool import Spool
from recording_format.metadata import decode_metadata

_log = structlog.get_logger()


class DeliveryCredentials(msgspec.Struct, frozen=True):
    """Names and passwords, None where a destination wants none."""

    storage: tuple[str, str] | None = None
    processor: tuple[str, str] | None = None

    def __repr__(self) -> str:
        return "<DeliveryCredentials>"


CredentialsOf: TypeAlias = Callable[[SpoolItem], Awaitable[DeliveryCredentials]]


class DeliveryStats(msgspec.Struct):
    """Counted since the start; `waiting`, `running` and `destinations` (by origin, whether the
    circuit is open) are now. `copies` went to a second store. `fault` is the last one's text.
    """

    waiting: int = 0
    running: int = 0
    delivered: int = 0
    delivered_bytes: int = 0
    copies: int = 0
    retries: int = 0
    failed: int = 0
    conflicts: int = 0
    destinations: dict[str, bool] = {}
    fault: str = ""


class Tried(msgspec.Struct, frozen=True):
    """How a try ended: at which `stage`, by which `error`, with which credentials.

    `next_try`, on the clock that measures: None when there is nothing more to be done.
    """

    next_try: float | None = None
    stage: Stage = Stage.NONE
    error: DeliveryError | None = None
    credentials: DeliveryCredentials | None = None


class ItemDelivery:
    """Tries consignments of one spool, one at a time or several at once."""

    def __init__(
        self,
        spool: Spool,
        keyring: SpoolKeyring,
        credentials: CredentialsOf,
        *,
        store: Exchange,
        processor: Exchange,
        backoff: Backoff,
        now: Callable[[], float],
        wall: Callable[[], float],
    ) -> None:
        self._spool = spool
        self._keyring = keyring
        self._credentials = credentials
        self._store = store
        self._processor = processor
        self._backoff = backoff
        self._now = now
        self._wall = wall
        self._settling = Settling(spool)
        self.stats = DeliveryStats()

    async def credentials(self, consignment: Consignment) -> DeliveryCredentials | None:
        """Return what it would be tried with now; None where nobody can tell."""
        name, part = consignment
        try:
            item = await asyncio.to_thread(read_item, self._spool.folder(name, State.READY))
            return await self._credentials(item.for_part(part))
        except (ItemError, DeliveryError, OSError):
            return None
        except Exception:  # noqa: BLE001 - no surprise with one item may end delivery as a whole
            _log.exception("Credentials were not found by a fault of this program", item=name)
            return None

    async def try_once(self, consignment: Consignment) -> Tried:
        """Try a consignment. Raises `OSError` where the spool itself fails."""
        name, part = consignment
        if await asyncio.to_thread(self._spool.state_of, name) is not State.READY:
            return Tried()  # it was delivered while somebody listed what is ready
        folder = self._spool.folder(name, State.READY)
        progress = await asyncio.to_thread(read_progress, folder, part)
        item: SpoolItem | None = None
        attempt: DeliveryAttempt | None = None
        credentials: DeliveryCredentials | None = None
        try:
            item = (await asyncio.to_thread(read_item, folder)).for_part(part)
            body = await asyncio.to_thread(whole_body, item, self._keyring)
            if not progress.settled:
                credentials = await self._credentials(item)
                attempt = self._prepare(folder, part, item, progress, credentials)
                await attempt.run(body)
        except (ItemError, KeyringError) as error:
            await self._give_up(consignment, None, progress, BrokenItemError(str(error)))
            return Tried()
        except DeliveryError as error:
            stage, next_try = attempt.stage if attempt else Stage.NONE, None
            after = _after(progress, attempt)
            if error.temporary:
                next_try = await self._postpone(consignment, after, error)
            else:
                await self._give_up(consignment, item, after, error)
            return Tried(next_try, stage, error, credentials)
        await self._settling.arrived(consignment, item, progress)
        if attempt is None:
            return Tried()
        self._note_arrival(consignment, item, progress)
        return Tried(None, attempt.stage, None, credentials)

    def _prepare(
        self,
        folder: Path,
        part: Part,
        item: SpoolItem,
        progress: Progress,
        credentials: DeliveryCredentials,
    ) -> DeliveryAttempt:
        unconfirmed = msgspec.structs.replace(progress, unconfirmed=True)
        processor = ProcessorClient(self._processor, credentials.processor)
        return DeliveryAttempt(
            item,
            progress,
            body=ObjectBody(folder, item, self._keyring),
            store=StoreClient(self._store, credentials.storage),
            processor=processor if part is Part.RECORDING else None,
            note_unconfirmed=lambda: write_progress(folder, unconfirmed, part),
        )

    async def _postpone(
        self, consignment: Consignment, progress: Progress, error: DeliveryError
    ) -> float:
        name, part = consignment
        delay = max(self._backoff.delay(progress.tries), error.retry_after or 0.0)
        updated = msgspec.structs.replace(
            progress,
            next_try=self._wall() + delay,
            fault=str(error),
            refused=isinstance(error, SignInRefusedError),
        )
        folder = self._spool.folder(name, State.READY)
        await asyncio.to_thread(write_progress, folder, updated, part)
        self.stats.retries += 1
        self.stats.fault = str(error)
        seconds = round(delay, 1)
        _log.warning("A delivery was postponed", item=name, reason=str(error), seconds=seconds)
        return self._now() + delay

    async def _give_up(
        self,
        consignment: Consignment,
        item: SpoolItem | None,
        progress: Progress,
        error: DeliveryError,
    ) -> None:
        await self._settling.give_up(consignment, item, progress, str(error))
        self.stats.failed += 1
        self.stats.conflicts += isinstance(error, ConflictError)
        self.stats.fault = str(error)
        _log.error("A recording was put aside", item=consignment.item, reason=str(error))

    def _note_arrival(self, consignment: Consignment, item: SpoolItem, progress: Progress) -> None:
        if consignment.part is Part.RECORDING:
            self.stats.delivered += 1
            self.stats.delivered_bytes += item.size
            _log_delivered(consignment.item, item, progress)
        else:
            self.stats.copies += 1
            _log.info(
                "A copy was delivered",
                media_id=item.media_id,
                item=consignment.item,
                url=item.object_url,
                tries=progress.tries + 1,
            )


def _after(progress: Progress, attempt: DeliveryAttempt | None) -> Progress:
    """Return the progress after a try that failed."""
    return Progress(
        tries=progress.tries + 1,
        unconfirmed=attempt.unconfirmed if attempt else progress.unconfirmed,
        stored=attempt.stored if attempt else progress.stored,
    )


def _log_delivered(name: str, item: SpoolItem, progress: Progress) -> None:
    (media,) = decode_metadata(bytes(item.metadata)).media_files
    legs = media.lab.legs if media.lab else []
    _log.info(
        "A recording was delivered",
        recording_id=item.recording_id,
        media_id=item.media_id,
        item=name,
        tenant=item.tenant,
        profile=item.profile,
        milliseconds=media.duration_ms(),
        packets=sum(leg.packets for leg in legs),
        lost=sum(leg.lost for leg in legs),
        recovered=media.lab is not None and media.lab.recovered,
        size=item.size,
        tries=progress.tries + 1,
    )
