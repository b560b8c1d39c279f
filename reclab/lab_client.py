"""What commands ask a running lab: recordings from the processor, stored objects from the store.

All as the role `operator`. Each failure is one sentence that names what was asked.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import quote

import aiohttp

from reclab.https import trusting, unanswered
from reclab.lab import Lab
from service_shell.accounts import basic_header

_BEGINNING = "2000-01-01T00:00:00Z"
_PAGE = 500
_READ = 1 << 20

JsonDict = dict[str, Any]


class LabError(Exception):
    """The lab did not answer as it should; the text is one sentence."""


class UnknownRecording(LabError):
    """There is no recording of that id."""


class LabClient:
    """Asks the lab's services; made by `lab_client`."""

    def __init__(self, lab: Lab, http: aiohttp.ClientSession) -> None:
        self.lab = lab
        self._http = http

    async def recordings(self) -> AsyncIterator[JsonDict]:
        """Yield every recording, newest first."""
        query = {"startTime": _BEGINNING, "limit": str(_PAGE)}
        while query:
            page = await self._json("/api/v2/recordings", query)
            for recording in page["recordings"]:
                yield recording
            following = page.get("next")
            query = {"next": following} if following else {}

    async def recording(self, recording_id: str) -> JsonDict:
        """Return one recording. Raises `UnknownRecording`."""
        try:
            answer = await self._json(f"/api/v2/recordings/{quote(recording_id, safe='')}")
        except _NotFound:
            raise UnknownRecording(f"there is no recording {recording_id!r}") from None
        found: JsonDict = answer["recording"]
        return found

    async def stored(self, media: Mapping[str, Any]) -> AsyncIterator[bytes]:
        """Yield the bytes of a media file's stored object, in blocks of up to 1 MiB."""
        url = media["originalMediaDescriptor"]["path"]
        async with self._get(url) as answer:
            async for block in answer.content.iter_chunked(_READ):
                yield block

    async def _json(self, path: str, query: Mapping[str, str] | None = None) -> JsonDict:
        async with self._get(f"{self.lab.processor}{path}", query) as answer:
            decoded: JsonDict = json.loads(await answer.read())
            return decoded

    @asynccontextmanager
    async def _get(
        self, url: str, query: Mapping[str, str] | None = None
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        try:
            async with self._http.get(url, params=query) as answer:
                if answer.status == 404:
                    raise _NotFound(f"{url} was not found")
                if answer.status != 200:
                    raise LabError(f"{url} answered {answer.status}")
                yield answer
        except (aiohttp.ClientError, TimeoutError) as error:
            raise LabError(unanswered(error, url, done="read")) from None


class _NotFound(LabError):
    """The service answered 404."""


@asynccontextmanager
async def lab_client(lab: Lab) -> AsyncIterator[LabClient]:
    """Sign in to `lab` as its operator."""
    operator = lab.users["operator"]
    headers = {"Authorization": basic_header(operator.name, operator.password)}
    timeout = aiohttp.ClientTimeout(total=None, connect=10, sock_read=60)
    async with aiohttp.ClientSession(
        headers=headers, timeout=timeout, connector=trusting(lab.services_ca)
    ) as http:
        yield LabClient(lab, http)
