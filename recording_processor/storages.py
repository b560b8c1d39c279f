"""Which addresses the processor may fetch stored bytes from, and with whose credentials.

A media descriptor's path comes from outside, so it is never fetched as it stands: it must lie under
a storage of the settings, and the address that is fetched is put together from that storage's own
URL and the rest of the path, cleaned.
"""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import SplitResult, quote, unquote_to_bytes, urlsplit

import msgspec

from service_shell.accounts import basic_header

_PORTS = {"http": 80, "https": 443}
_MAXIMUM_URL = 4096


class Storage(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``[[storages]]``: a collection's URL, and the name and password that may read it."""

    url: str
    name: str = ""
    password: str = ""
    password_file: str = ""

    def __repr__(self) -> str:
        return f"Storage(url={self.url!r}, name={self.name!r})"

    @property
    def authorization(self) -> str:
        """The ``Authorization`` header that the storage takes (RFC 7617)."""
        return basic_header(self.name, self.password)


class StoredObject(msgspec.Struct, frozen=True):
    """An object that may be fetched. `url` is percent-encoded and needs no further quoting."""

    url: str
    storage: Storage

    def __repr__(self) -> str:
        return f"StoredObject(url={self.url!r})"


class NotFetchable(Exception):
    """An address that the processor does not fetch from; the text is one sentence."""


class _Place(msgspec.Struct, frozen=True):
    scheme: str
    host: str
    port: int
    segments: tuple[bytes, ...]


class Storages:
    """The storages of the settings. Raises `ValueError` when one of their URLs cannot be one."""

    def __init__(self, storages: Sequence[Storage]) -> None:
        self._places: list[tuple[_Place, Storage]] = []
        for storage in storages:
            try:
                self._places.append((_place(storage.url.rstrip("/")), storage))
            except NotFetchable as error:
                raise ValueError(f"`{storage.url}`: {error}") from None

    def locate(self, path: str) -> StoredObject:
        """Return the object at a media descriptor's path, or raise `NotFetchable`.

        The storage with the longest URL wins where several fit.
        """
        wanted = _place(path)
        fitting = [(place, storage) for place, storage in self._places if _lies_in(wanted, place)]
        if not fitting:
            raise NotFetchable("the media file lies in no storage that this processor may read")
        place, storage = max(fitting, key=lambda pair: len(pair[0].segments))
        rest = wanted.segments[len(place.segments) :]
        tail = "/".join(quote(segment, safe="") for segment in rest)
        return StoredObject(f"{storage.url.rstrip('/')}/{tail}", storage)


def _lies_in(wanted: _Place, place: _Place) -> bool:
    count = len(place.segments)
    return (
        (wanted.scheme, wanted.host, wanted.port) == (place.scheme, place.host, place.port)
        and wanted.segments[:count] == place.segments
        and len(wanted.segments) > count
    )


def _place(url: str) -> _Place:
    parts, port = _split(url)
    if parts.scheme not in _PORTS or not parts.hostname or port == 0:
        raise NotFetchable("it is not an http or https URL with a host")
    if "@" in parts.netloc:
        raise NotFetchable("it holds a name or a password")
    if "?" in url or "#" in url:
        raise NotFetchable("it has a query or a fragment")
    raw = parts.path.split("/")[1:]
    segments = tuple(unquote_to_bytes(segment) for segment in raw)
    if not all(_is_safe(segment) for segment in segments):
        raise NotFetchable("its path holds a part that cannot be a name")
    return _Place(parts.scheme, parts.hostname.lower(), port or _PORTS[parts.scheme], segments)


def _split(url: str) -> tuple[SplitResult, int | None]:
    # urlsplit drops tabs and line ends, and strips blanks: what it would change is refused first.
    if len(url) > _MAXIMUM_URL or not url.isprintable() or " " in url or "\\" in url:
        raise NotFetchable("it is not a plain URL")
    try:
        parts = urlsplit(url)
        return parts, parts.port
    except ValueError:
        raise NotFetchable("it is not a URL") from None


def _is_safe(segment: bytes) -> bool:
    """Return whether a decoded path segment is a name: not empty, no dots alone, no separator."""
    if segment in (b"", b".", b".."):
        return False
    return not any(byte < 0x20 or byte in b"/\\\x7f" for byte in segment)
