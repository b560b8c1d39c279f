"""The recording processor as seen from here: a recording's metadata, and the stored bytes.

Every wait has a time-out, redirects are not followed (they would carry our password along), and
each failure becomes one of this package's errors. The URL holds no secret.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from urllib.parse import quote

import aiohttp
from yarl import URL

from crypto_server.errors import (
    PlaybackRefused,
    ProcessorFailed,
    ProcessorSlow,
    RecordingUnknown,
)
from crypto_server.media_file import MediaName, RecordingAddress
from crypto_server.settings import ProcessorSettings
from recording_format.cipher import CHUNK_SIZE
from recording_format.metadata import MAX_METADATA_SIZE
from service_shell.settings import SettingsError


class StoredBytes:
    """The stored bytes of one media file, read chunk by chunk as they are needed."""

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self._response = response
        self.length: int | None = response.content_length

    async def read_chunk(self) -> bytes:
        """Return the next `CHUNK_SIZE` bytes, fewer at the end, none behind it.

        Raises `ProcessorSlow` when nothing comes for too long, `ProcessorFailed` when the transfer
        breaks off: whether the stored file is shorter, its length has told before.
        """
        gathered = bytearray()
        try:
            while len(gathered) < CHUNK_SIZE:
                piece = await self._response.content.read(CHUNK_SIZE - len(gathered))
                if not piece:
                    break
                gathered += piece
        except TimeoutError:
            raise ProcessorSlow("the stored media file stopped coming") from None
        except (aiohttp.ClientError, OSError):
            raise ProcessorFailed("the stored media file broke off in the middle") from None
        return bytes(gathered)


class ProcessorClient:
    """Asks the recording processor with the crypto server's own account.

    An address that is not one is a `SettingsError`, which does not quote it.
    """

    def __init__(
        self, settings: ProcessorSettings, password: str, session: aiohttp.ClientSession
    ) -> None:
        self._url = _base_url(settings.url)
        self._headers = {
            "Authorization": aiohttp.encode_basic_auth(settings.user, password),
            "Accept-Encoding": "identity",
        }
        self._session = session
        self._timeout = aiohttp.ClientTimeout(
            total=None, connect=settings.connect_seconds, sock_read=settings.read_seconds
        )

    async def recording(self, address: RecordingAddress) -> bytes:
        """Return the JSON answer that describes a recording."""
        body = bytearray()
        async with self._get(_recording_path(address), f"recording {address.recording_id}") as got:
            with _upstream_errors():
                async for piece in got.content.iter_any():
                    body += piece
                    if len(body) > MAX_METADATA_SIZE:
                        raise ProcessorFailed("the recording processor's answer is too long")
        return bytes(body)

    @asynccontextmanager
    async def stored(
        self, address: RecordingAddress, name: MediaName
    ) -> AsyncIterator[StoredBytes]:
        """Open the stored bytes of a media file."""
        path = f"{_recording_path(address)}/play/{quote(str(name), safe='')}"
        async with self._get(path, f"the stored media file {name}") as response:
            yield StoredBytes(response)

    @asynccontextmanager
    async def _get(self, path: str, what: str) -> AsyncIterator[aiohttp.ClientResponse]:
        request = self._session.get(
            URL(self._url + path, encoded=True),
            headers=self._headers,
            allow_redirects=False,
            timeout=self._timeout,
        )
        async with AsyncExitStack() as stack:
            with _upstream_errors():  # only around the request, not around what the caller does
                response = await stack.enter_async_context(request)
            if response.status != 200:
                raise _refusal(response.status, what)
            yield response


def _base_url(text: str) -> str:
    try:
        url = URL(text)
    except ValueError:
        url = URL()
    if url.scheme not in ("http", "https") or not url.host or url.user or url.query_string:
        raise SettingsError("`processor.url` is not a URL of the form http://host:port")
    return str(url).rstrip("/")


@contextmanager
def _upstream_errors() -> Iterator[None]:
    try:
        yield
    except TimeoutError:
        raise ProcessorSlow("the recording processor did not answer in time") from None
    except (aiohttp.ClientError, OSError):
        raise ProcessorFailed("the recording processor cannot be reached") from None


def _recording_path(address: RecordingAddress) -> str:
    centre = "" if address.ccid is None else f"/ops/contact-centers/{quote(address.ccid, safe='')}"
    return f"/api/v2{centre}/recordings/{quote(address.recording_id, safe='')}"


def _refusal(status: int, what: str) -> PlaybackRefused:
    if status == 404:
        return RecordingUnknown(f"{what} is not known to the recording processor")
    if status in (401, 403):
        return ProcessorFailed("the recording processor refused the crypto server's account")
    if status == 504:
        return ProcessorSlow("the recording processor did not get the file from the store in time")
    return ProcessorFailed(f"the recording processor answered {status}")
