"""Giving an object of the store its recording back: its metadata are posted to the processor again.

First the object is compared with the metadata by length and digest. The processor files the same
metadata once, however often they are posted, and refuses others under the same name.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import NamedTuple

import aiohttp
import msgspec

from mcp_sim.recording.delivery.errors import ConflictError, DeliveryError, RefusedError
from mcp_sim.recording.delivery.http_exchange import Exchange
from mcp_sim.recording.delivery.processor_client import ProcessorClient
from mcp_sim.recording.keyring import KeyringError, SpoolKeyring
from mcp_sim.recording.spool.folders import SpoolFolders, State
from mcp_sim.recording.spool.item import ItemError, whole_body
from reclab.lab import Lab
from reclab.lab_client import LabError
from reclab.recover.causes import Cause
from reclab.recover.inventory import Inventory, ItemRow, ObjectRow, PaperRow
from reclab.recover.papers import read_paper
from reclab.recover.spool_scan import read_description
from reclab.recover.store_view import StoreView
from recording_format.errors import MetadataError
from recording_format.media_file import MediaFile
from recording_format.metadata import RecordingMetadata, decode_metadata, encode_metadata

_PATIENCE = 30.0


class Paper(NamedTuple):
    """Metadata of an object, and where they were found."""

    media: MediaFile
    found: str


class NotAttached(Exception):
    """The object stays without a recording; `cause`, and one sentence."""

    def __init__(self, cause: Cause, sentence: str) -> None:
        super().__init__(sentence)
        self.cause = cause


class Attaching:
    """Finds the metadata of objects, and posts them."""

    def __init__(
        self,
        lab: Lab,
        store: StoreView,
        inventory: Inventory,
        http: aiohttp.ClientSession,
        *,
        spool: Path,
        keyring: SpoolKeyring | None,
    ) -> None:
        self._store = store
        self._inventory = inventory
        self._spool = SpoolFolders(spool)
        self._keyring = keyring
        platform = lab.users["mcp"]
        exchange = Exchange(http, "the processor", timeout=_PATIENCE)
        self._processor = ProcessorClient(exchange, (platform.name, platform.password))
        self._url = f"{lab.processor}/api/contact-centers/{lab.domain}/recordings"

    async def find(self, stored: ObjectRow) -> Paper:
        """Return an object's metadata, which fit it. Raises `NotAttached` or `LabError`."""
        fault: NotAttached | None = None
        rows: list[ItemRow | PaperRow] = [*self._inventory.items(stored.media)]
        rows += self._inventory.papers(stored.media)
        for row in rows:
            try:
                paper = await asyncio.to_thread(self._read, row)
                return await self._fitting(paper, stored)
            except NotAttached as error:
                fault = fault or error
        raise fault or NotAttached(
            Cause.METADATA_MISSING, "the store holds it, and nobody has its metadata"
        )

    async def attach(self, paper: Paper) -> None:
        """Post the metadata. Raises `NotAttached`, or `LabError` where no other would be taken."""
        body = encode_metadata(RecordingMetadata(media_files=[paper.media]))
        try:
            await self._processor.post(self._url, body)
        except ConflictError as error:
            raise NotAttached(Cause.CONFLICT, str(error)) from None
        except RefusedError as error:
            raise NotAttached(Cause.INDEXER_REFUSED, str(error)) from None
        except DeliveryError as error:
            raise LabError(str(error)) from None

    def _read(self, row: ItemRow | PaperRow) -> Paper:
        try:
            if isinstance(row, PaperRow):
                return Paper(read_paper(row), row.file)
            folder = self._spool.folder(row.name, State(row.state))
            item = read_description(folder)
            body = bytes(item.metadata)
            if item.secrets is not None and self._keyring is not None:
                body = whole_body(item, self._keyring)
            return Paper(decode_metadata(body).media_files[0], str(folder))
        except (MetadataError, ItemError) as error:
            raise NotAttached(Cause.METADATA_INCOMPLETE, str(error)) from None
        except KeyringError as error:
            raise NotAttached(Cause.SPOOL_KEY_GONE, str(error)) from None
        except (OSError, ValueError) as error:
            raise NotAttached(Cause.METADATA_UNPARSABLE, str(error)) from None

    async def _fitting(self, paper: Paper, stored: ObjectRow) -> Paper:
        """Return the metadata with the object's own URL in them."""
        lab = paper.media.lab
        held = await self._store.look(stored.path, digest=lab is not None)
        if held is None:
            raise NotAttached(Cause.MEDIA_MISSING, "the store does not hold it any more")
        if lab is not None:
            different = f"the metadata in {paper.found} are of another file"
            if held.size is not None and held.size != lab.size:
                sentence = f"{different}: {lab.size} bytes, and the store holds {held.size}"
                raise NotAttached(Cause.MEDIA_DAMAGED, sentence)
            if held.sha256 and held.sha256 != lab.sha256.lower():
                raise NotAttached(Cause.MEDIA_DAMAGED, f"{different}, by their SHA-256")
        media = paper.media
        where = msgspec.structs.replace(media.media_descriptor, path=self._store.url(stored.path))
        return paper._replace(media=msgspec.structs.replace(media, media_descriptor=where))
