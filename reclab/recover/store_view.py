"""The lab's store, as its operator sees it: what it holds, listed as a stream, and one object."""

from __future__ import annotations

import base64
import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import NamedTuple
from urllib.parse import quote, urlsplit

import aiohttp

from reclab.https import unanswered
from reclab.lab import Lab
from reclab.lab_client import LabError
from reclab.recover.listing import Listed, ListingError, ListingParser, path_of
from service_shell.accounts import basic_header

_PIECE = 1 << 16
_DEEPEST = 8
_PROPERTIES = (
    b'<?xml version="1.0"?><propfind xmlns="DAV:"><prop><resourcetype/><getcontentlength/>'
    b"</prop></propfind>"
)
_SHA256 = re.compile(r"sha-256=:([A-Za-z0-9+/]{43}=):")
#: A store with very many objects thinks for a while before it says the first word.
_PATIENCE = aiohttp.ClientTimeout(total=None, connect=10, sock_read=300)


class StoredObject(NamedTuple):
    """What the store says of an object; `sha256` is empty where it tells none."""

    size: int | None
    sha256: str


class StoreView:
    """Reads one store. Each failure is a `LabError`."""

    def __init__(self, lab: Lab, http: aiohttp.ClientSession) -> None:
        self._http = http
        parts = urlsplit(lab.store)
        self._origin = f"{parts.scheme}://{parts.netloc}"
        self._collection = path_of(lab.store).rstrip("/")
        operator = lab.users["operator"]
        self._sign_in = {"Authorization": basic_header(operator.name, operator.password)}

    def url(self, path: str) -> str:
        """Return the URL of a decoded path."""
        return f"{self._origin}{quote(path)}"

    def path(self, url: str) -> str:
        """Return the decoded path of a URL in this store, empty for one of another store."""
        path = path_of(url)
        ours = url.startswith(f"{self._origin}/") and path.startswith(f"{self._collection}/")
        return path if ours else ""

    async def objects(self, collection: str = "", depth: int = _DEEPEST) -> AsyncIterator[Listed]:
        """Yield every object, those of the collections inside too."""
        inside: list[str] = []
        async for one in self._list(collection or self._collection):
            if not one.collection:
                yield one
            elif one.path.rstrip("/") != (collection or self._collection):
                inside.append(one.path.rstrip("/"))
        for further in inside if depth else []:
            async for one in self.objects(further, depth - 1):
                yield one

    async def look(self, path: str, *, digest: bool = False) -> StoredObject | None:
        """Return what the store says of the object at a decoded path, None where there is none."""
        wanted = {"Want-Repr-Digest": "sha-256=10"} if digest else {}
        async with self._ask("HEAD", path, wanted) as answer:
            if answer.status in (404, 410):
                return None
            if answer.status != 200:
                raise LabError(f"the store answered {answer.status} to HEAD {self.url(path)}")
            length = answer.headers.get("Content-Length", "")
            found = _SHA256.search(answer.headers.get("Repr-Digest", ""))
            return StoredObject(
                int(length) if length.isdigit() else None,
                base64.b64decode(found[1]).hex() if found else "",
            )

    async def _list(self, collection: str) -> AsyncIterator[Listed]:
        headers = {"Depth": "1", "Content-Type": "application/xml"}
        parser = ListingParser()
        async with self._ask("PROPFIND", f"{collection}/", headers, _PROPERTIES) as answer:
            if answer.status != 207:
                raise LabError(f"the store answered {answer.status} to PROPFIND {answer.url}")
            try:
                async for piece in answer.content.iter_chunked(_PIECE):
                    for one in parser.feed(piece):
                        yield self._inside(one, collection)
                for one in parser.feed(b"", last=True):
                    yield self._inside(one, collection)
            except ListingError as error:
                raise LabError(f"the store at {answer.url} could not be listed: {error}") from None

    def _inside(self, one: Listed, collection: str) -> Listed:
        """Return `one` where it is the collection or in it. Raises `ListingError`.

        What is asked for next is made of its path, and takes the operator's password along.
        """
        path = one.path.rstrip("/")
        if path != collection and not path.startswith(f"{collection}/"):
            raise ListingError("it lists what is not in it")
        if not {".", ".."}.isdisjoint(path.split("/")):
            raise ListingError("it lists what is not in it")
        return one

    @asynccontextmanager
    async def _ask(
        self, method: str, path: str, headers: Mapping[str, str], data: bytes | None = None
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        url = self.url(path)
        try:
            async with self._http.request(
                method,
                url,
                headers={**self._sign_in, **headers},
                data=data,
                allow_redirects=False,
                timeout=_PATIENCE,
            ) as answer:
                yield answer
        except (aiohttp.ClientError, TimeoutError) as error:
            raise LabError(unanswered(error, url, done="read")) from None
