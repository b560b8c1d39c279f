"""Putting one object into a WebDAV store, and finding out what the store really holds."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import AsyncIterator
from enum import Enum
from urllib.parse import urlsplit

import aiohttp

from mcp_sim.recording.delivery.errors import (
    DeliveryError,
    DestinationError,
    NotNowError,
    RefusedError,
    SignInRefusedError,
)
from mcp_sim.recording.delivery.http_exchange import Exchange, about_destination, retry_after
from mcp_sim.recording.spool.item import SpoolItem
from service_shell.accounts import basic_header

_DONE = (200, 201, 204)
_NO_COLLECTION = (404, 409)
_EXISTS = 412
_GONE = (404, 410)
_NO_HEAD = (405, 501)
_NEVER = (400, 411, 413, 414, 415, 422)
# Nothing of the file was taken, so the store still holds what it held.
_UNTOUCHED = (401, 403, 404, 405, 409, 411, 413, 414, 415, 417, 423, 429)
_SHA256 = re.compile(r"sha-256=:([A-Za-z0-9+/]{43}=):")
_WANT_DIGEST = {"Want-Repr-Digest": "sha-256=10"}
_DEEPEST_COLLECTION = 8
_CHUNK = 1 << 18
_FULL_SECONDS = 60.0


class PutOutcome(Enum):
    """What a store said to a PUT that was no failure."""

    TAKEN = "taken"
    EXISTS = "exists"
    NO_COLLECTION = "no collection"


class StoreClient:
    """One store, signed in as `account` (name and password) where there is one."""

    def __init__(self, exchange: Exchange, account: tuple[str, str] | None) -> None:
        self._exchange = exchange
        self._sign_in = {"Authorization": basic_header(*account)} if account else {}

    async def put(
        self, item: SpoolItem, body: AsyncIterator[bytes], *, overwrite: bool
    ) -> PutOutcome:
        """Put the object. `EXISTS` never comes with `overwrite`. Raises `DeliveryError`."""
        headers = {
            **self._sign_in,
            "Content-Length": str(item.size),
            "Content-Type": "application/octet-stream",
            # A store that knows this field refuses what was changed on the way (RFC 9530 §2).
            "Repr-Digest": f"sha-256=:{_base64(item.sha256)}:",
        }
        if not overwrite:
            headers["If-None-Match"] = "*"
        async with self._exchange.ask(
            "PUT", item.object_url, headers=headers, data=body, size=item.size, changes=True
        ) as answer:
            if answer.status in _DONE:
                return PutOutcome.TAKEN
            if answer.status == _EXISTS and not overwrite:
                return PutOutcome.EXISTS
            if answer.status in _NO_COLLECTION:
                return PutOutcome.NO_COLLECTION
            touched = answer.status not in _UNTOUCHED and not 300 <= answer.status < 400
            raise self._fault(answer, "PUT", changes=touched)

    async def make_collection(self, url: str, depth: int = _DEEPEST_COLLECTION) -> None:
        """Make a collection and those above it. One that exists is as good."""
        headers = {**self._sign_in, "Content-Length": "0"}
        async with self._exchange.ask("MKCOL", f"{url}/", headers=headers) as answer:
            status = answer.status
            if status in (*_DONE, 405):
                return
            fault = self._fault(answer, "MKCOL")
        parent = url.rpartition("/")[0]
        if status not in _NO_COLLECTION or not depth or urlsplit(parent).path in ("", "/"):
            raise fault
        await self.make_collection(parent, depth - 1)
        await self.make_collection(url, 0)

    async def still_has(self, item: SpoolItem) -> bool:
        """Return whether an object that was verified before is still there, by its length.

        Raises `DeliveryError`. A store that knows no HEAD is believed.
        """
        async with self._exchange.ask("HEAD", item.object_url, headers=self._sign_in) as answer:
            if answer.status == 200:
                return answer.headers.get("Content-Length", str(item.size)) == str(item.size)
            if answer.status in _GONE or answer.status in _NO_HEAD:
                return answer.status in _NO_HEAD
            raise self._fault(answer, "HEAD")

    async def holds(self, item: SpoolItem) -> bool:
        """Return whether the store holds exactly this object. Raises `DeliveryError`."""
        headers = {**self._sign_in, **_WANT_DIGEST}
        async with self._exchange.ask("HEAD", item.object_url, headers=headers) as answer:
            if answer.status in _GONE:
                return False
            if answer.status == 200:
                length = answer.headers.get("Content-Length")
                digest = _SHA256.search(answer.headers.get("Repr-Digest", ""))
                if length is not None and length != str(item.size):
                    return False
                if digest is not None:
                    return digest[1] == _base64(item.sha256)
            elif answer.status not in _NO_HEAD:
                raise self._fault(answer, "HEAD")
        return await self._reads_back(item)

    async def _reads_back(self, item: SpoolItem) -> bool:
        """For a store that tells no digest: read the object and compute it."""
        digest, size = hashlib.sha256(), 0
        async with self._exchange.ask(
            "GET", item.object_url, headers=self._sign_in, size=item.size
        ) as answer:
            if answer.status in _GONE:
                return False
            if answer.status != 200:
                raise self._fault(answer, "GET")
            async for chunk in answer.content.iter_chunked(_CHUNK):
                digest.update(chunk)
                size += len(chunk)
                if size > item.size:
                    return False
        return size == item.size and digest.hexdigest() == item.sha256

    def _fault(
        self, answer: aiohttp.ClientResponse, method: str, *, changes: bool = False
    ) -> DeliveryError:
        said = f"{self._exchange.name} answered {answer.status} to {method} {answer.url}"
        if answer.status in (401, 403):
            return SignInRefusedError(f"{said}: the sign-in was refused")
        if answer.status in _NEVER:
            return RefusedError(said)
        pause = retry_after(answer)
        if answer.status == 507:
            # Room comes when somebody makes it.
            said, pause = f"{said}: it is full", pause or _FULL_SECONDS
        if 300 <= answer.status < 400:
            said += ": another address is not followed"
        kind = DestinationError if about_destination(answer.status) else NotNowError
        return kind(said, unconfirmed=changes, retry_after=pause)


def _base64(digest: str) -> str:
    return base64.b64encode(bytes.fromhex(digest)).decode("ascii")
