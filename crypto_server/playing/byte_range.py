"""Parts of a file as HTTP names them: ``Range``, ``Content-Range`` and the conditions with them.

One part of the unit ``bytes`` is understood (RFC 9110 §14.1.2). Anything else (another unit,
several parts, nonsense, a header longer than any sane one) counts as no ``Range`` at all, as §14.2
allows: the whole file is the answer.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Self

_LONGEST_RANGE = 100
_LONGEST_CONDITION = 2000
_PART = re.compile(r"bytes=[ \t]*(?:(\d{1,18})-(\d{0,18})|-(\d{1,18}))[ \t]*", re.I | re.A)
_CONTENT_RANGE = re.compile(r"bytes (\d{1,18})-(\d{1,18})/(\d{1,18})", re.I | re.A)
_ENTITY_TAG = re.compile(r'(W/)?("[\x21\x23-\x7e\x80-\xff]*")')


class Span(NamedTuple):
    """The bytes from `start` up to, not including, `stop`; never empty."""

    start: int
    stop: int

    @property
    def size(self) -> int:
        """How many bytes these are."""
        return self.stop - self.start

    def content_range(self, whole: int) -> str:
        """Return the ``Content-Range`` of these bytes in a file of `whole` bytes."""
        return f"bytes {self.start}-{self.stop - 1}/{whole}"


@dataclass(frozen=True)
class ByteRange:
    """A part that is asked for: from `first` to `last` (None: the end), both included.

    Without `first` it is the last `last` bytes. As text it is the ``Range`` header.
    """

    first: int | None
    last: int | None = None

    @classmethod
    def of(cls, start: int, stop: int) -> Self:
        """Return the part from `start` up to, not including, `stop`."""
        return cls(start, stop - 1)

    @classmethod
    def tail(cls, size: int) -> Self:
        """Return the part of the last `size` bytes."""
        return cls(None, size)

    @classmethod
    def read(cls, headers: Sequence[str]) -> Self | None:
        """Read the ``Range`` headers of a request; None when the whole file is to be answered."""
        if len(headers) != 1 or len(headers[0]) > _LONGEST_RANGE:
            return None
        match = _PART.fullmatch(headers[0])
        if match is None:
            return None
        if match[3] is not None:
            return cls.tail(int(match[3]))
        first, last = int(match[1]), int(match[2]) if match[2] else None
        return cls(first, last) if last is None or first <= last else None

    def __str__(self) -> str:
        first, last = ("" if part is None else part for part in (self.first, self.last))
        return f"bytes={first}-{last}"

    def within(self, whole: int) -> Span | None:
        """Return the bytes of this part in a file of `whole` bytes, None when it has none."""
        if self.first is None:
            span = Span(max(whole - (self.last or 0), 0), whole)
        else:
            span = Span(self.first, whole if self.last is None else min(self.last + 1, whole))
        return span if span.start < span.stop else None


def read_content_range(text: str) -> tuple[Span, int] | None:
    """Read a ``Content-Range`` (RFC 9110 §14.4): span and size of the whole; None for no such."""
    match = _CONTENT_RANGE.fullmatch(text)
    if match is None:
        return None
    first, last, whole = (int(number) for number in match.groups())
    return (Span(first, last + 1), whole) if first <= last < whole else None


@dataclass(frozen=True)
class Wish:
    """What a request asks for: a part or all, and under which conditions (RFC 9110 §13.1)."""

    part: ByteRange | None = None
    if_range: str | None = None
    if_match: str | None = None
    if_none_match: str | None = None

    def part_of(self, etag: str | None) -> ByteRange | None:
        """Return the part to answer, None for all: ``If-Range`` needs the strong tag (§13.1.5).

        A date never fits, because no ``Last-Modified`` is ever told.
        """
        return self.part if self.if_range is None or self.if_range == etag else None

    def forbids(self, etag: str | None) -> bool:
        """Return whether ``If-Match`` names other versions only (§13.1.1, strong comparison)."""
        return self.if_match is not None and not _names(self.if_match, etag, weakly=False)

    def knows(self, etag: str | None) -> bool:
        """Return whether ``If-None-Match`` names this version (§13.1.2, weak comparison)."""
        return self.if_none_match is not None and _names(self.if_none_match, etag, weakly=True)


def _names(condition: str, etag: str | None, *, weakly: bool) -> bool:
    if condition.strip() == "*":
        return True
    tags = _ENTITY_TAG.findall(condition[:_LONGEST_CONDITION])
    return any(tag == etag and (weakly or not weak) for weak, tag in tags)
