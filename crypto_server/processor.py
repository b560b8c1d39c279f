"""The recording processor as seen from here: a recording's metadata, and its stored bytes.

Every wait has a time-out, redirects are not followed (they would carry our password along), and
each failure becomes one of this package's errors. The URL holds no secret.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping
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
from crypto_server.playing.byte_range import ByteRange
from crypto_server.playing.media_file import MediaName, RecordingAddress, unknown
from crypto_server.playing.stored_bytes import StoredBytes
from crypto_server.settings import ProcessorSettings
from recording_format.metadata import MAX_METADATA_SIZE
from service_shell.settings import SettingsError
from service_shell.trust import unreached

_ANSWERED = (200, 206, 416)


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

    async def recording(self, address: RecordingAddress, name: MediaName | None = None) -> bytes:
        """Return the JSON answer that describes a recording, of which `name` is played."""
        body = bytearray()
        missing = "there is no such recording" if name is None else unknown(name)
        async with self._get(_recording_path(address), missing) as got:
            if got.status != 200:
                raise _unexpected(got.status)
            with _upstream_errors():
                async for piece in got.content.iter_any():
                    body += piece
                    if len(body) > MAX_METADATA_SIZE:
                        raise ProcessorFailed("the recording processor's answer is too long")
        return bytes(body)

    @asynccontextmanager
    async def stored(
        self, address: RecordingAddress, name: MediaName, part: ByteRange | None = None
    ) -> AsyncIterator[StoredBytes]:
        """Open the stored bytes of a media file, all or a part of them.

        Raises `RecordingDamaged` when the stored file is too short to have the part.
        """
        path = f"{_recording_path(address)}/play/{quote(str(name), safe='')}"
        headers = {} if part is None else {"Range": str(part)}
        async with self._get(path, unknown(name), headers) as response:
            yield await StoredBytes.begin(response, part, f"the stored file of {name}")

    async def part(
        self, address: RecordingAddress, name: MediaName, part: ByteRange
    ) -> tuple[bytes, int]:
        """Return a short part of a media file's stored bytes, and how long that is in all."""
        async with self.stored(address, name, part) as stored:
            assert stored.total is not None  # whoever answers a part tells it
            return await stored.read_all(), stored.total

    @asynccontextmanager
    async def _get(
        self, path: str, missing: str, headers: Mapping[str, str] | None = None
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """Ask; `missing` is what is said when the processor knows no such thing."""
        request = self._session.get(
            URL(self._url + path, encoded=True),
            headers={**self._headers, **(headers or {})},
            allow_redirects=False,
            timeout=self._timeout,
        )
        async with AsyncExitStack() as stack:
            with _upstream_errors():  # only around the request, not around what the caller does
                response = await stack.enter_async_context(request)
            if response.status not in _ANSWERED:
                raise _refusal(response.status, missing)
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
    except (aiohttp.ClientError, OSError) as error:
        raise ProcessorFailed(unreached("the recording processor", error)) from None


def _recording_path(address: RecordingAddress) -> str:
    centre = "" if address.ccid is None else f"/ops/contact-centers/{quote(address.ccid, safe='')}"
    return f"/api/v2{centre}/recordings/{quote(address.recording_id, safe='')}"


def _refusal(status: int, missing: str) -> PlaybackRefused:
    if status == 404:
        return RecordingUnknown(missing)
    if status in (401, 403):
        return ProcessorFailed("the recording processor refused the crypto server's account")
    if status == 504:
        return ProcessorSlow("the recording processor did not get the file from the store in time")
    return _unexpected(status)


def _unexpected(status: int) -> ProcessorFailed:
    return ProcessorFailed(f"the recording processor answered {status}")
