"""What goes to WsgiDAV and what comes back: a request's facts, and an answer in blocks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from http import HTTPStatus

from webdav_store.errors import BodyStalled, Refused
from webdav_store.opened_file import OpenedFile

Headers = list[tuple[str, str]]
METHODS = "OPTIONS, GET, HEAD, PUT, DELETE, PROPFIND, PROPPATCH, MKCOL, COPY, MOVE, LOCK, UNLOCK"


@dataclass(frozen=True)
class DavRequest:
    """What WsgiDAV needs to know. `path` is decoded; `headers` are checked by the caller."""

    method: str
    path: str
    host: str = "localhost"
    scheme: str = "http"
    query: str = ""
    account: str = ""
    roles: Sequence[str] = ()
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""

    def with_body(self, body: bytes) -> DavRequest:
        """Return the request with its body."""
        return replace(self, body=body)


class Answer:
    """Status, headers and the body's blocks. `close` it; `next_block` blocks on the disk."""

    def __init__(
        self,
        status: int,
        headers: Headers,
        first: bytes = b"",
        blocks: Iterator[bytes] | None = None,
        opened: OpenedFile | None = None,
        *,
        is_last: bool = False,
    ) -> None:
        self.status = status
        self.headers = headers
        self.first = first
        self.is_last = is_last
        """Whether the connection ends with it, and what is left of the body is not read."""
        self._blocks = blocks
        self._opened = opened

    @property
    def length(self) -> int:
        """The declared length of the body."""
        values = [value for name, value in self.headers if name.lower() == "content-length"]
        return int(values[-1]) if values else len(self.first)

    def next_block(self) -> bytes:
        """Return the block after `first`, and so on; empty at the end."""
        return next(self._blocks, b"") if self._blocks else b""

    def close(self) -> None:
        """Close the file behind the blocks."""
        if self._opened is not None:
            self._opened.close()

    @classmethod
    def sentence(cls, refused: Refused) -> Answer:
        """Return a refusal as plain text, or as its condition in XML."""
        kind, text = "text/plain; charset=utf-8", f"{refused.sentence}\n"
        if refused.condition:
            kind = "application/xml; charset=utf-8"
            text = f'<?xml version="1.0"?>\n<error xmlns="DAV:"><{refused.condition}/></error>\n'
        body = text.encode()
        headers = [("Content-Type", kind), *refused.headers.items()]
        if refused.status == HTTPStatus.METHOD_NOT_ALLOWED:
            headers.append(("Allow", METHODS))
        headers.append(("Content-Length", str(len(body))))
        return cls(refused.status, headers, body, is_last=isinstance(refused, BodyStalled))
