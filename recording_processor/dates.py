"""Instants as the wire knows them, and as the catalogue keeps them: milliseconds since 1970, UTC.

Read are ISO 8601 dates with or without a time, a fraction and an offset; written is the vendor's
form with milliseconds and a numeric offset.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)
# A `+` that a client forgot to escape in a query arrives as a space.
_FORM = re.compile(
    r"(?P<day>\d{4}-\d\d-\d\d)"
    r"(?:[T ](?P<time>\d\d:\d\d(?::\d\d)?)(?:[.,](?P<fraction>\d{1,9}))?"
    r"(?P<offset>Z|[+\- ]\d\d:?\d\d)?)?",
    re.ASCII,
)


def utc_now() -> datetime:
    """Return the time now, aware, by the wall clock: for the shells that ask pure functions."""
    return datetime.now(UTC)


def parse_instant(text: str) -> int:
    """Return milliseconds since 1970-01-01T00:00Z; without an offset UTC is meant.

    Raises `ValueError` when `text` is no such date.
    """
    match = _FORM.fullmatch(text)
    if match is None:
        raise ValueError("it is not a date such as 2026-01-02T10:00:00.000Z")
    offset = (match["offset"] or "Z").replace(" ", "+").replace("Z", "+00:00")
    try:
        moment = datetime.fromisoformat(f"{match['day']}T{match['time'] or '00:00'}{offset}")
    except ValueError:
        raise ValueError("it names a day or a time that does not exist") from None
    return instant_of(moment) + int((match["fraction"] or "0").ljust(3, "0")[:3])


def instant_of(moment: datetime) -> int:
    """Return an aware time as milliseconds since 1970; what is under a millisecond is cut."""
    return (moment - _EPOCH) // _MILLISECOND


def vendor_date(instant: int) -> str:
    """Return `instant` (milliseconds since 1970) as ``2026-01-02T10:00:00.000+0000``."""
    moment = _EPOCH + instant * _MILLISECOND
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "+0000")
