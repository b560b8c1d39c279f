"""What an archive asks of a processor: the list, the stored objects, the zip.

A processor that is busy is asked again. Whatever else it refuses is one sentence.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, NamedTuple
from urllib.parse import quote

import aiohttp
from yarl import URL

from reclab.archive.failure import ArchiveFailed
from reclab.https import trusting
from service_shell.accounts import basic_header
from service_shell.trust import tls_fault

JsonDict = dict[str, Any]
PAGE = 20
_TRIES = 5
_LONGEST_WAIT = 5.0


class Door(NamedTuple):
    """A processor's address (without a slash behind it), and who we are to it.

    `services_ca` is the CA file that it is believed by, beside the system's roots.
    """

    url: str
    user: str
    password: str
    services_ca: str = ""

    def __repr__(self) -> str:
        return f"Door(url={self.url!r}, user={self.user!r})"


class Unavailable(Exception):
    """One object cannot be had; the text is the processor's sentence."""

    def __init__(self, sentence: str, status: int = 0) -> None:
        super().__init__(sentence)
        self.status = status


class Server:
    """Asks one processor; made by `open_server`."""

    def __init__(self, door: Door, http: aiohttp.ClientSession) -> None:
        self._url = door.url
        self._http = http

    async def page(self, query: Mapping[str, str]) -> JsonDict:
        """Return one page of the archive's list."""
        return await self._json(f"/lab/archive/recordings?{_encoded(query)}")

    async def recording(self, recording_id: str) -> JsonDict | None:
        """Return one recording, or None when there is none any more."""
        try:
            answer = await self._json(f"/api/v2/recordings/{quote(recording_id, safe='')}")
        except Unavailable as error:
            if error.status == 404:
                return None
            raise ArchiveFailed(f"{self._url} says: {error}") from None
        found: JsonDict = answer["recording"]
        return found

    @asynccontextmanager
    async def stored(self, media: JsonDict) -> AsyncIterator[aiohttp.ClientResponse]:
        """Open a media file's stored object. Raises `Unavailable`."""
        async with self._get(f"/api/v2{media['mediaPath']}") as answer:
            yield answer

    @asynccontextmanager
    async def zip(self, query: Mapping[str, str]) -> AsyncIterator[aiohttp.ClientResponse]:
        """Open the zip's stream."""
        async with self._get(f"/lab/archive.zip?{_encoded(query)}") as answer:
            yield answer

    async def _json(self, path: str) -> JsonDict:
        async with self._get(path) as answer:
            try:
                decoded: JsonDict = json.loads(await answer.read())
            except ValueError:
                raise ArchiveFailed(f"{self._url} did not answer JSON") from None
            except (aiohttp.ClientError, TimeoutError):
                raise ArchiveFailed(f"{self._url} broke off: go on with --resume") from None
            return decoded

    @asynccontextmanager
    async def _get(self, path: str) -> AsyncIterator[aiohttp.ClientResponse]:
        answer = await self._asked(path)
        try:
            if answer.status != 200:
                await self._refuse(path, answer)
            yield answer
        finally:
            # What was read to its end has given its connection back already.
            answer.close()

    async def _asked(self, path: str) -> aiohttp.ClientResponse:
        for attempt in range(1, _TRIES + 1):
            try:
                answer = await self._http.get(URL(self._url + path, encoded=True))
            except aiohttp.ClientSSLError as error:
                raise ArchiveFailed(tls_fault(error)) from None
            except (aiohttp.ClientError, TimeoutError, OSError):
                if attempt == _TRIES:
                    raise ArchiveFailed(
                        f"nothing answers at {self._url}: is the lab up? Go on with --resume"
                    ) from None
                await asyncio.sleep(0.1 * attempt)
                continue
            if answer.status != 503 or attempt == _TRIES:
                return answer
            answer.close()
            await asyncio.sleep(min(_LONGEST_WAIT, _retry_after(answer)))
        raise AssertionError("the last try returns or raises")

    async def _refuse(self, path: str, answer: aiohttp.ClientResponse) -> None:
        told = await _sentence(answer)
        if answer.status == 401:
            raise ArchiveFailed(f"{self._url} refused the user's name or password")
        if path.startswith("/api/v2/") and answer.status in (404, 500, 502, 504):
            raise Unavailable(told or f"the processor answered {answer.status}", answer.status)
        raise ArchiveFailed(f"{self._url} says: {told or f'error {answer.status}'}")


@asynccontextmanager
async def open_server(door: Door) -> AsyncIterator[Server]:
    """Sign in to a processor."""
    headers = {
        "Authorization": basic_header(door.user, door.password),
        "Accept-Encoding": "identity",
    }
    timeout = aiohttp.ClientTimeout(total=None, connect=10, sock_read=120)
    async with aiohttp.ClientSession(
        headers=headers,
        timeout=timeout,
        connector=trusting(door.services_ca),
        auto_decompress=False,
        read_bufsize=1 << 18,
    ) as http:
        yield Server(door, http)


def _encoded(query: Mapping[str, str]) -> str:
    return "&".join(f"{quote(name)}={quote(value, safe='')}" for name, value in query.items())


def _retry_after(answer: aiohttp.ClientResponse) -> float:
    told = answer.headers.get("Retry-After", "")
    return float(told) if told.isdecimal() else 1.0


async def _sentence(answer: aiohttp.ClientResponse) -> str:
    """Return the sentence of an error in the vendor's form, or an empty text."""
    try:
        told = json.loads(await answer.content.read(4096))["statusMessage"]
    except (ValueError, KeyError, TypeError, aiohttp.ClientError, TimeoutError):
        return ""
    return told if isinstance(told, str) and told.isprintable() else ""
