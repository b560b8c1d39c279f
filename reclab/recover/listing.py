"""A WebDAV listing (RFC 4918 §9.1) as a stream: names and lengths, one by one. Pure.

Memory does not grow with the listing. Declarations of types and entities, which no store sends, are
refused.
"""

from __future__ import annotations

from typing import NamedTuple
from urllib.parse import unquote, urlsplit
from xml.parsers import expat

_DAV = "DAV: "
_LONGEST_TEXT = 8192


class ListingError(ValueError):
    """What came is no listing; the text says why."""


class Listed(NamedTuple):
    """One member: the decoded path of its URL, and its length, None where it was not told."""

    path: str
    size: int | None
    collection: bool


class ListingParser:
    """Takes a listing piece by piece: `feed` returns the members that became complete."""

    def __init__(self) -> None:
        self._parser = expat.ParserCreate(namespace_separator=" ")
        self._parser.buffer_text = True
        self._parser.StartElementHandler = self._start
        self._parser.EndElementHandler = self._end
        self._parser.CharacterDataHandler = self._data
        self._parser.StartDoctypeDeclHandler = _refuse
        self._parser.EntityDeclHandler = _refuse
        self._text = ""
        self._path = ""
        self._size: int | None = None
        self._collection = False
        self._complete: list[Listed] = []

    def feed(self, data: bytes, *, last: bool = False) -> list[Listed]:
        """Take the next bytes. Raises `ListingError`."""
        try:
            self._parser.Parse(data, last)
        except expat.ExpatError as error:
            raise ListingError(f"the listing is not XML ({error})") from None
        complete, self._complete = self._complete, []
        return complete

    def _start(self, name: str, _attributes: dict[str, str]) -> None:
        self._text = ""
        if name == f"{_DAV}response":
            self._path, self._size, self._collection = "", None, False
        elif name == f"{_DAV}collection":
            self._collection = True

    def _data(self, text: str) -> None:
        self._text += text
        if len(self._text) > _LONGEST_TEXT:
            raise ListingError("the listing has a value that no store would send")

    def _end(self, name: str) -> None:
        text = self._text.strip()
        self._text = ""
        if name == f"{_DAV}href" and not self._path:
            self._path = path_of(text)
        elif name == f"{_DAV}getcontentlength" and text.isascii() and text.isdigit():
            self._size = int(text[:18])
        elif name == f"{_DAV}response":
            self._complete.append(Listed(self._path, self._size, self._collection))


def path_of(url: str) -> str:
    """Return the decoded path of a URL, or of a path; empty where it is neither."""
    try:
        return unquote(urlsplit(url).path)
    except ValueError:
        return ""


def _refuse(*_declaration: object) -> None:
    raise ListingError("the listing declares types or entities, which no store does")
