"""Store against catalogue: what one has and the other has not, each looked at again before it is
told.

Both are read while calls may be recorded, so a difference may be none any more a moment later.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import suppress
from typing import NamedTuple

from mcp_sim.recording.spool.folders import State
from reclab.lab_client import LabClient, UnknownRecording
from reclab.recover.attaching import Attaching, NotAttached, Paper
from reclab.recover.causes import Cause
from reclab.recover.inventory import Inventory, ItemRow, MediaRow, ObjectRow
from reclab.recover.report import Finding
from reclab.recover.store_view import StoredObject, StoreView

_WAITING = (State.READY, State.FAILED)


class Difference(NamedTuple):
    """A finding; `paper` are metadata to be posted, `item` the spool's item to be delivered."""

    finding: Finding
    paper: Paper | None = None
    item: str = ""


class Comparison:
    """Compares what an inventory holds."""

    def __init__(
        self, inventory: Inventory, store: StoreView, client: LabClient, attaching: Attaching
    ) -> None:
        self._inventory = inventory
        self._store = store
        self._client = client
        self._attaching = attaching

    async def orphans(self) -> AsyncIterator[Difference]:
        """Yield the objects without a recording. Raises `LabError`."""
        for stored in self._inventory.orphans():
            found = await self._orphan(stored)
            if found is not None:
                yield found

    async def losses(self) -> AsyncIterator[Difference]:
        """Yield the recordings whose object is gone or has another length. Raises `LabError`."""
        for row in self._inventory.missing():
            held = await self._store.look(row.path)
            if held is None:
                yield self._lost(row)
            elif row.size is not None and held.size not in (None, row.size):
                yield self._damaged(row, held)
        for row in self._inventory.different():
            held = await self._store.look(row.path)
            if held is not None and held.size != row.size:
                yield self._damaged(row, held)

    async def digests(self) -> AsyncIterator[Difference | None]:
        """Have the store read every object; yield those that were changed, None for each other.

        Raises `LabError`.
        """
        for row in self._inventory.stored():
            held = await self._store.look(row.path, digest=True)
            same_length = held is not None and held.size in (None, row.size)
            if held is not None and same_length and held.sha256 not in ("", row.sha256):
                yield self._damaged(row, held)
            else:
                yield None

    async def _orphan(self, stored: ObjectRow) -> Difference | None:
        items = self._inventory.items(stored.media)
        if any(one.sound and one.state in _WAITING for one in items):
            return None  # its delivery has not come to the processor yet
        recording = next((one.recording for one in items), "")
        try:
            paper = await self._attaching.find(stored)
        except NotAttached as error:
            return Difference(self._finding(error.cause, str(error), stored, recording))
        recording = paper.media.recording_id
        if await self._is_filed(recording, stored.media):
            return None  # in the meantime
        reason = f"the catalogue does not know it, and its metadata are in {paper.found}"
        return Difference(self._finding(Cause.NOT_FILED, reason, stored, recording), paper)

    async def _is_filed(self, recording: str, media: str) -> bool:
        with suppress(UnknownRecording):
            known = await self._client.recording(recording)
            return any(one.get("mediaId") == media for one in known["mediaFiles"])
        return False

    def _finding(self, cause: Cause, reason: str, stored: ObjectRow, recording: str) -> Finding:
        return Finding.of(
            cause,
            reason,
            place="store",
            where=self._store.url(stored.path),
            recording=recording,
            media=stored.media,
        )

    def _lost(self, row: MediaRow) -> Difference:
        kept = self._kept(row)
        if kept is None:
            reason = "the store does not hold the file, and neither does the spool"
            return Difference(self._of(row, Cause.MEDIA_MISSING, reason))
        reason = f"the store does not hold the file; the spool has it in {kept.state}"
        return Difference(self._of(row, Cause.OBJECT_LOST, reason), item=kept.name)

    def _damaged(self, row: MediaRow, held: StoredObject) -> Difference:
        reason = f"the store holds {held.size} bytes, and {row.size} were recorded"
        if held.size in (None, row.size):
            reason = "the store holds a file with another SHA-256 than what was recorded"
        if self._kept(row) is not None:
            reason += "; the spool still has the right one, delivered as soon as this one is gone"
        return Difference(self._of(row, Cause.MEDIA_DAMAGED, reason))

    def _kept(self, row: MediaRow) -> ItemRow | None:
        kept = (one for one in self._inventory.items(row.id) if one.sound)
        return next((one for one in kept if one.state in _WAITING), None)

    def _of(self, row: MediaRow, cause: Cause, reason: str) -> Finding:
        return Finding.of(
            cause,
            reason,
            place="catalogue",
            where=self._store.url(row.path),
            recording=row.recording,
            media=row.id,
        )
