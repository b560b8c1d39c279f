"""Times and durations as the metadata writes them: ISO 8601 text, and numbers in text.

Releases differ: a time ends in ``Z`` or ``+0000``, a duration is in milliseconds or in decimal
seconds. All are read; one form is written.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from decimal import Decimal
from enum import StrEnum

_TIME = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?(Z|[+-]\d\d:?\d\d)", re.ASCII)
_NUMBER = re.compile(r"\d{1,12}(?:\.\d{1,9})?", re.ASCII)


class DurationUnit(StrEnum):
    """The unit of ``duration``: milliseconds (``"12500"``) or decimal seconds (``"12.5"``)."""

    MS = "ms"
    SECONDS = "seconds"


def format_time(moment: datetime) -> str:
    """Return an aware time as UTC with milliseconds: ``2026-01-02T10:00:00.000Z``."""
    text = moment.astimezone(UTC).isoformat(timespec="milliseconds")
    return text.replace("+00:00", "Z")


def parse_time(text: str) -> datetime:
    """Return the aware time, UTC; `ValueError` when `text` is none. Under a microsecond is cut."""
    found = _TIME.fullmatch(text)
    if found is None:
        raise ValueError("the text is not a time with its zone")
    zone = "+00:00" if found[3] == "Z" else found[3]
    fraction = (found[2] or "0")[:6].ljust(6, "0")
    try:
        return datetime.fromisoformat(f"{found[1]}.{fraction}{zone}").astimezone(UTC)
    except (ValueError, OverflowError):
        raise ValueError("the text is not a time with its zone") from None


def format_duration(milliseconds: int, unit: DurationUnit) -> str:
    """Return a duration in `unit`: ``"12500"``, or ``"12.5"`` without superfluous zeros."""
    if unit is DurationUnit.MS:
        return str(milliseconds)
    whole, part = divmod(milliseconds, 1000)
    return f"{whole}.{part:03d}".rstrip("0").rstrip(".")


def parse_duration(text: str, unit: DurationUnit) -> int:
    """Return milliseconds, rounded; `ValueError` when `text` is not a decimal number."""
    if not _NUMBER.fullmatch(text):
        raise ValueError("the text is not a duration")
    return round(Decimal(text) * (1000 if unit is DurationUnit.SECONDS else 1))
