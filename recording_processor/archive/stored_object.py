"""A media file's stored object, read from its store and proven against its metadata.

What is wrong with one object is one sentence (`ObjectFault`), and never the end of the archive.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import aiohttp
from yarl import URL

from recording_format.archive_entry import lab_of, stored_size
from recording_format.checked_stream import CheckedStream
from recording_format.errors import RecordingFormatError
from recording_processor.recording import MediaFile
from recording_processor.storages import NotFetchable, Storages
from service_shell.trust import unreached

_BLOCK = 256 * 1024
_REFUSALS = {
    401: "the store refused the processor's name or password",
    403: "the store does not let the processor read",
    404: "the store does not hold the media file",
}


class ObjectFault(Exception):
    """An object cannot be archived; the text is one sentence."""


class StoredObject:
    """An object that is being read; `size` is its length in bytes."""

    def __init__(self, answer: aiohttp.ClientResponse, size: int, check: CheckedStream) -> None:
        self.size = size
        self._answer = answer
        self._check = check

    @property
    def sha256(self) -> str:
        """The digest of what was read."""
        return self._check.sha256

    async def chunks(self) -> AsyncGenerator[bytes, None]:
        """Yield the object, each part proven before. Raises `ObjectFault`."""
        try:
            async for block in self._answer.content.iter_chunked(_BLOCK):
                for chunk in self._check.take(block):
                    yield chunk
            for chunk in self._check.finish():
                yield chunk
        except RecordingFormatError as error:
            raise ObjectFault(str(error)) from None
        except (aiohttp.ClientError, TimeoutError):
            raise ObjectFault("the store broke off") from None


class StoredObjects:
    """Opens stored objects; a store may be silent for `seconds`."""

    def __init__(self, http: aiohttp.ClientSession, storages: Storages, seconds: float) -> None:
        self._http = http
        self._storages = storages
        self._timeout = aiohttp.ClientTimeout(total=None, connect=seconds, sock_read=seconds)

    @asynccontextmanager
    async def open(self, media: MediaFile) -> AsyncIterator[StoredObject]:
        """Begin to read a media file's object, or its copy. Raises `ObjectFault`: of the first."""
        async with AsyncExitStack() as opened:
            yield await self._first(opened, media)

    async def _first(self, opened: AsyncExitStack, media: MediaFile) -> StoredObject:
        faults: list[ObjectFault] = []
        for place in media.places:
            try:
                return await opened.enter_async_context(self._open_at(place, media))
            except ObjectFault as fault:
                faults.append(fault)
        raise faults[0]

    @asynccontextmanager
    async def _open_at(self, place: str, media: MediaFile) -> AsyncIterator[StoredObject]:
        async with self._answer(place) as answer:
            if answer.status != 200:
                raise ObjectFault(
                    _REFUSALS.get(answer.status, f"the store answered {answer.status}")
                )
            try:
                lab = lab_of(media.document)
                size = stored_size(lab, answer.content_length)
                check = CheckedStream(size, lab)
            except RecordingFormatError as error:
                raise ObjectFault(str(error)) from None
            yield StoredObject(answer, size, check)

    @asynccontextmanager
    async def _answer(self, place: str) -> AsyncIterator[aiohttp.ClientResponse]:
        try:
            stored = self._storages.locate(place)
            answer = await self._http.get(
                URL(stored.url, encoded=True),
                headers={
                    "Authorization": stored.storage.authorization,
                    "Accept-Encoding": "identity",
                },
                allow_redirects=False,
                timeout=self._timeout,
            )
        except NotFetchable as error:
            raise ObjectFault(str(error)) from None
        except TimeoutError:
            raise ObjectFault("the store did not answer in time") from None
        except (aiohttp.ClientError, OSError) as error:
            raise ObjectFault(unreached("the store", error)) from None
        try:
            yield answer
        finally:
            # One that was read to its end has given its connection back already.
            answer.close()
