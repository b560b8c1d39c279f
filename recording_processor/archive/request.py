"""Which recordings an archive is asked for, as a value read from a query string.

`from` (included) and `to` (not included) are about the stop time, so that archives of neighbouring
spans hold every recording once. `maxAge` and `minAge` say the same in whole days before now. The
other criteria mean what they mean in a search.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime

import msgspec

from recording_format.archive_layout import zip_name
from recording_processor.archive.place import Place
from recording_processor.dates import parse_instant
from recording_processor.errors import BadParameter
from recording_processor.query import parameters, read, whole_number
from recording_processor.search import Pattern

_DAY = 86_400_000
_OLDEST = 36_500
_LONGEST_NAME = 1024
_SPAN = ("from", "to", "maxAge", "minAge")
_TYPES = {
    "callType": "CallType",
    "callerPhoneNumber": "Caller",
    "dialedPhoneNumber": "Dialed",
    "userName": "User",
}
CRITERIA = (*_SPAN, "tenant", *_TYPES)
_PAGING = ("limit", "after", "since")


class ArchiveFilter(msgspec.Struct, frozen=True):
    """What is asked for; None leaves a criterion out. Times in milliseconds since 1970."""

    stopped_from: int | None = None
    stopped_before: int | None = None
    tenant: str | None = None
    call_type: Pattern | None = None
    caller: Pattern | None = None
    dialed: Pattern | None = None
    user: Pattern | None = None


class ArchiveRequest(msgspec.Struct, frozen=True):
    """An archive, or one page of its list. `criteria` are the parameters as they were said.

    `after` goes on within an archive; `since` leaves out what the archive up to there had.
    """

    filter: ArchiveFilter
    criteria: dict[str, str]
    limit: int
    after: Place | None
    since: Place | None
    now: int

    @property
    def zip_name(self) -> str:
        """The name of the zip with these recordings.

        FilterType is the one criterion beside tenant and time (``CallType``, ``Caller``,
        ``Dialed``, ``User``), ``Selected`` for several and ``All`` for none.
        """
        types = [_TYPES[name] for name in self.criteria if name in _TYPES]
        kind = "Selected" if len(types) > 1 else (types or ["All"])[0]
        oldest, newest = self.filter.stopped_from, self.filter.stopped_before
        return zip_name(
            self.filter.tenant,
            kind,
            None if oldest is None else max(0, -((oldest - self.now) // _DAY)),
            0 if newest is None else max(0, (self.now - newest) // _DAY),
            datetime.fromtimestamp(self.now // 1000, UTC),
        )


def read_archive_request(
    query: Iterable[tuple[str, str]], *, now: int, default_limit: int, maximum_limit: int
) -> ArchiveRequest:
    """Read a query string's parameters; `now` in milliseconds since 1970.

    Raises `BadParameter` naming the parameter.
    """
    given = parameters(query, (*CRITERIA, *_PAGING), of="an archive")
    wanted = ArchiveFilter(
        stopped_from=_edge("from", "maxAge", given, now),
        stopped_before=_edge("to", "minAge", given, now),
        tenant=read("tenant", given, _name),
        call_type=read("callType", given, Pattern.parse),
        caller=read("callerPhoneNumber", given, Pattern.parse),
        dialed=read("dialedPhoneNumber", given, Pattern.parse),
        user=read("userName", given, Pattern.parse),
    )
    return ArchiveRequest(
        filter=wanted,
        criteria={name: given[name] for name in CRITERIA if name in given},
        limit=read("limit", given, whole_number(1, maximum_limit)) or default_limit,
        after=read("after", given, Place.decode),
        since=read("since", given, Place.decode),
        now=now,
    )


def _edge(date: str, age: str, given: Mapping[str, str], now: int) -> int | None:
    """Return one edge of the span, told by a date or by an age in days; None where it is open."""
    if date in given and age in given:
        raise BadParameter(f"{date} and {age} cannot be asked for at once")
    days = read(age, given, whole_number(0, _OLDEST))
    return read(date, given, parse_instant) if days is None else now - days * _DAY


def _name(text: str) -> str:
    if not text or len(text) > _LONGEST_NAME or not text.isprintable():
        raise ValueError("it is not a tenant's name")
    return text
