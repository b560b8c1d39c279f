"""One try to deliver one recording: bytes before metadata, each step safe to be done again.

The store is asked for what it holds before the processor hears of it. Only a PUT of our own whose
outcome nobody knows may be repeated over what is there; otherwise another object of that name is a
conflict for a person.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from mcp_sim.recording.delivery.errors import (
    BrokenItemError,
    ConflictError,
    DeliveryError,
    DestinationError,
    NotNowError,
)
from mcp_sim.recording.delivery.object_body import ObjectBody
from mcp_sim.recording.delivery.processor_client import ProcessorClient
from mcp_sim.recording.delivery.store_client import PutOutcome, StoreClient
from mcp_sim.recording.delivery.traffic import Stage
from mcp_sim.recording.spool.item import Progress, SpoolItem


class DeliveryAttempt:
    """One try. `unconfirmed`, `stored` and `stage` say afterwards how far it came, even when it
    failed.
    """

    def __init__(
        self,
        item: SpoolItem,
        progress: Progress,
        *,
        body: ObjectBody,
        store: StoreClient,
        processor: ProcessorClient | None,
        note_unconfirmed: Callable[[], None],
    ) -> None:
        """`note_unconfirmed` makes durable that a PUT is about to be sent; it blocks.

        Without a `processor` nothing is posted: that is how a copy is made.
        """
        self._item = item
        self._body = body
        self._store = store
        self._processor = processor
        self._note_unconfirmed = note_unconfirmed
        self.unconfirmed = progress.unconfirmed
        self.stored = progress.stored
        self.stage = Stage.NONE

    async def run(self, metadata: bytes) -> None:
        """Store the object, verify it, post the metadata. Raises `DeliveryError` or `OSError`."""
        self.stage = Stage.STORE
        if self.stored:
            # Since the last try the store may have lost it, and our copy goes after the post.
            self.stored = await self._store.still_has(self._item)
        if not self.stored:
            await self._bring()
            self.stored, self.unconfirmed = True, False
        if self._processor is not None:
            self.stage = Stage.PROCESSOR
            await self._processor.post(self._item.processor_url, metadata)

    async def _bring(self) -> None:
        if self.unconfirmed and await self._store.holds(self._item):
            return
        outcome = await self._put()
        if outcome is PutOutcome.NO_COLLECTION:
            await self._store.make_collection(self._item.storage_url)
            outcome = await self._put()
        if outcome is PutOutcome.NO_COLLECTION:
            raise NotNowError(f"the store has no place for {self._item.object_url}")
        if await self._store.holds(self._item):
            return
        if outcome is PutOutcome.EXISTS:
            raise ConflictError(f"the store holds another object as {self._item.object_url}")
        if not await asyncio.to_thread(self._body.is_sound):
            raise BrokenItemError(f"the recording {self._item.media_id} was changed in the spool")
        raise DestinationError(f"the store does not hold what it took as {self._item.object_url}")

    async def _put(self) -> PutOutcome:
        """Send the object; keep in mind, and on disk, whether it may have arrived."""
        before = self.unconfirmed
        if not before:
            await asyncio.to_thread(self._note_unconfirmed)
            self.unconfirmed = True
        try:
            outcome = await self._store.put(self._item, self._body.chunks(), overwrite=before)
        except DeliveryError as error:
            self.unconfirmed = before or error.unconfirmed
            raise self._body.fault or error from None
        if outcome is not PutOutcome.TAKEN:
            self.unconfirmed = before
        return outcome
