"""Re-wrapping many recordings through a running lab: which ones, a few at a time, and the count.

The processor lists them (role operator), the crypto server changes their envelopes (role admin).
What fails for one recording stops no other; what would fail for all of them stops at once.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import quote

import aiohttp
import msgspec

from reclab.https import trusting, unanswered
from reclab.lab import Lab, User
from reclab.lab_client import LabError
from service_shell.accounts import basic_header

_AT_ONCE = 4
_WAITING = 64
_BEGINNING = "2000-01-01T00:00:00Z"
_PAGE = "500"
_TIMEOUT = aiohttp.ClientTimeout(total=None, connect=10, sock_read=90)
_ID_LENGTH = 64
_FOR_ALL = (400, 401, 403, 413, 415)


class RewrapOrder(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """What each recording is asked for: certificates by id, whole or its beginning, or as PEM."""

    add: list[str] = []
    remove: list[str] = []
    tenant: str | None = None
    dry_run: bool = False
    force: bool = False


class RecordingOutcome(msgspec.Struct, frozen=True, rename="camel"):
    """What became of one recording: media files as the crypto server told, or `problem`."""

    recording: str
    changed: int = 0
    media_files: list[dict[str, Any]] = []
    problem: str | None = None


class Outcome(msgspec.Struct, rename="camel"):
    """How many recordings changed, were so already, are not encrypted, failed.

    `recordings` are those that changed or failed.
    """

    changed: int = 0
    unchanged: int = 0
    not_encrypted: int = 0
    failed: int = 0
    recordings: list[RecordingOutcome] = []

    def add(self, one: RecordingOutcome) -> None:
        """Count one recording."""
        if one.problem is not None:
            self.failed += 1
        elif one.changed:
            self.changed += 1
        elif one.media_files:
            self.unchanged += 1
        else:
            self.not_encrypted += 1
        if one.problem is not None or one.changed:
            self.recordings.append(one)


class _Refusal(msgspec.Struct, frozen=True):
    status_message: str = msgspec.field(default="", name="statusMessage")


class _Certificate(msgspec.Struct, frozen=True):
    id: str


class _Listing(msgspec.Struct, frozen=True):
    certificates: list[_Certificate]


class _Done(msgspec.Struct, frozen=True, rename="camel"):
    media_files: list[dict[str, Any]]


class Rewrapping:
    """One run; made by `rewrapping`."""

    def __init__(self, lab: Lab, order: RewrapOrder, http: aiohttp.ClientSession) -> None:
        self._lab = lab
        self._order = order
        self._http = http

    async def run(
        self, ids: AsyncIterator[str], counted: Callable[[Outcome], None] = lambda _: None
    ) -> Outcome:
        """Re-wrap the recordings of these ids; `counted` is called after each.

        Raises `LabError` for what would go wrong with every recording.
        """
        outcome = Outcome()
        waiting: asyncio.Queue[str | None] = asyncio.Queue(_WAITING)

        async def work() -> None:
            while (recording := await waiting.get()) is not None:
                outcome.add(await self._one(recording))
                counted(outcome)

        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(_AT_ONCE):
                    group.create_task(work())
                async for recording in ids:
                    await waiting.put(recording)
                for _ in range(_AT_ONCE):
                    await waiting.put(None)
        except* LabError as errors:
            first: BaseException = errors
            while isinstance(first, BaseExceptionGroup):
                first = first.exceptions[0]
            raise LabError(str(first)) from None
        return outcome

    async def whole_ids(self) -> None:
        """Let certificates that are named by the beginning of their id have the whole one.

        Raises `LabError` where the keystore has none that is meant, or several.
        """
        add = [await self._whole_id(one) for one in self._order.add]
        remove = [await self._whole_id(one) for one in self._order.remove]
        self._order = msgspec.structs.replace(self._order, add=add, remove=remove)

    async def found(self, criteria: Mapping[str, str]) -> AsyncIterator[str]:
        """Yield the ids of the recordings that the processor finds, those of the tenant only."""
        query: dict[str, str] = {"startTime": _BEGINNING, **criteria, "limit": _PAGE}
        while query:
            url = f"{self._lab.processor}/api/v2/recordings"
            status, body = await self._ask("GET", url, self._lab.users["operator"], params=query)
            if status != 200:
                said = _sentence(status, body, "the recording processor")
                raise LabError(said.replace("startTime", "--from").replace("endTime", "--to"))
            page: dict[str, Any] = msgspec.json.decode(body)
            for recording in page["recordings"]:
                tenants = {one.get("tenant") for one in recording.get("mediaFiles", [])}
                if self._order.tenant is None or tenants == {self._order.tenant}:
                    yield str(recording["id"])
            following = page.get("next")
            query = {"next": str(following)} if following else {}

    async def _whole_id(self, text: str) -> str:
        if len(text) >= _ID_LENGTH:
            return text
        url = f"{self._lab.crypto}/lab/certificates"
        query = {"tenant": self._order.tenant} if self._order.tenant else {}
        status, body = await self._ask("GET", url, self._lab.users["admin"], params=query)
        if status != 200:
            raise LabError(_sentence(status, body, "the crypto server"))
        listed = msgspec.json.decode(body, type=_Listing).certificates
        ids = {one.id for one in listed if one.id.startswith(text)}
        if len(ids) != 1:
            many = (
                "several certificates whose ids begin" if ids else "no certificate whose id begins"
            )
            raise LabError(f"the keystore has {many} with {text}")
        return ids.pop()

    async def _one(self, recording: str) -> RecordingOutcome:
        url = f"{self._lab.crypto}/lab/recordings/{quote(recording, safe='')}/rewrap"
        order = msgspec.json.encode(self._order)
        status, body = await self._ask("POST", url, self._lab.users["admin"], data=order)
        if status in _FOR_ALL:
            raise LabError(_sentence(status, body, "the crypto server"))
        if status != 200:
            sentence = _sentence(status, body, "the crypto server")
            return RecordingOutcome(recording, problem=sentence)
        try:
            files = msgspec.json.decode(body, type=_Done).media_files
        except msgspec.MsgspecError:
            raise LabError(f"{url} answered something else than was asked") from None
        return RecordingOutcome(recording, sum(bool(one.get("changed")) for one in files), files)

    async def _ask(
        self,
        method: str,
        url: str,
        user: User,
        *,
        params: Mapping[str, str] | None = None,
        data: bytes | None = None,
    ) -> tuple[int, bytes]:
        headers = {"Authorization": basic_header(user.name, user.password)}
        if data is not None:
            headers["Content-Type"] = "application/json"
        try:
            async with self._http.request(
                method, url, params=params, data=data, headers=headers, allow_redirects=False
            ) as answer:
                return answer.status, await answer.read()
        except (aiohttp.ClientError, TimeoutError) as error:
            raise LabError(unanswered(error, url)) from None


@asynccontextmanager
async def rewrapping(lab: Lab, order: RewrapOrder) -> AsyncIterator[Rewrapping]:
    """Give what re-wraps recordings of `lab`, with its connections open meanwhile."""
    async with aiohttp.ClientSession(timeout=_TIMEOUT, connector=trusting(lab.services_ca)) as http:
        yield Rewrapping(lab, order, http)


async def each(ids: Sequence[str]) -> AsyncIterator[str]:
    """Yield the ids that were named, each once."""
    for one in dict.fromkeys(ids):
        yield one


def _sentence(status: int, body: bytes, who: str) -> str:
    try:
        sentence = msgspec.json.decode(body, type=_Refusal).status_message
    except msgspec.MsgspecError:
        sentence = ""
    for parameter in ("add", "force", "remove"):
        sentence = sentence.replace(f"`{parameter}`", f"`--{parameter}`")
    return sentence or f"{who} answered {status}"
