"""A request's headers, checked before WsgiDAV reads them.

Only those that it knows are passed on, in a form that it reads rightly; what RFC 9110 lets a server
ignore is left out, and what cannot be obeyed is refused before a body is read.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC
from email.utils import formatdate, parsedate_to_datetime

from multidict import CIMultiDictProxy

from webdav_store.errors import Refused

_PASSED = (
    "Depth",
    "Destination",
    "If",
    "If-Match",
    "If-Modified-Since",
    "If-None-Match",
    "If-Range",
    "If-Unmodified-Since",
    "Lock-Token",
    "Overwrite",
    "Range",
    "Timeout",
    "Want-Repr-Digest",
)
_LONGEST_FIELD = 4096
_FIRST_YEAR = 1970
_ENTITY_TAG = re.compile(r'"[^"]*"')
# One range of sensible size, not `-0`; all else is ignored, as RFC 9110 §14.2 allows.
_ONE_RANGE = re.compile(r"bytes=\s*((?P<first>\d{1,18})-(?P<last>\d{0,18})|-(?P<tail>\d{1,18}))\s*")


def passed_headers(method: str, headers: CIMultiDictProxy[str]) -> dict[str, str]:
    """Return the headers that WsgiDAV gets. Raises `Refused` (400) for unreadable ones."""
    passed: dict[str, str] = {}
    for name in _PASSED:
        if name not in headers:
            continue
        value = ", ".join(headers.getall(name))
        if len(value) > _LONGEST_FIELD or not value.isprintable():
            raise Refused(400, f"the header {name} is too long or not readable")
        passed[name] = value
    if method not in ("GET", "HEAD"):
        passed.pop("If-Modified-Since", None)  # RFC 9110 §13.1.3
    for name in ("If-Modified-Since", "If-Unmodified-Since"):
        if name in passed and (date := _http_date(passed.pop(name))):
            passed[name] = date
    if not _is_wanted_range(method, passed):
        passed.pop("Range", None)
        passed.pop("If-Range", None)
    return passed


def refuse_unstorable(headers: Mapping[str, str], limit: int, length: int | None) -> None:
    """Raise `Refused` for an upload that cannot be stored as it is."""
    if headers.get("Content-Encoding", "identity").strip().lower() != "identity":
        raise Refused(415, "uploads are stored as they are, without a Content-Encoding")
    if "Content-Range" in headers:
        raise Refused(400, "an upload is always a whole file, without a Content-Range")
    if length is not None and length > limit:
        raise Refused(413, f"the body is longer than {limit} bytes")


def refuse_endless(method: str, passed: Mapping[str, str]) -> None:
    """Raise `Refused` for a PROPFIND of everything below, also by default (RFC 4918 §9.1)."""
    if method == "PROPFIND" and passed.get("Depth", "infinity").lower() not in ("0", "1"):
        sentence = "a PROPFIND needs Depth: 0 or 1"
        raise Refused(403, sentence, condition="propfind-finite-depth")


def _http_date(value: str) -> str | None:
    """Return a date in the form that WsgiDAV reads; RFC 9110 §13.1 ignores what is none."""
    try:
        date = parsedate_to_datetime(value)
    except (ValueError, OverflowError):
        return None
    if date.year < _FIRST_YEAR:
        return None
    known = date if date.tzinfo else date.replace(tzinfo=UTC)
    return formatdate(known.timestamp(), usegmt=True)


def _is_wanted_range(method: str, passed: Mapping[str, str]) -> bool:
    match = _ONE_RANGE.fullmatch(passed.get("Range", ""))
    if method != "GET" or match is None:
        return False
    if "If-Range" in passed and not _ENTITY_TAG.fullmatch(passed["If-Range"]):
        return False  # a date is too coarse to promise that the file is the same
    if match["tail"] is not None:
        return int(match["tail"]) > 0
    return match["last"] == "" or int(match["first"]) <= int(match["last"])
