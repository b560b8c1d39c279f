"""A search for recordings as a value: read from a query string, checked, and nothing else.

Numbers and names are compared exactly and with case; ``*`` stands for any characters. A recording
fits a time span when it lies inside: begun at or after `startTime`, ended at or before `endTime`.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping

import msgspec

from recording_processor.cursor import Cursor
from recording_processor.dates import parse_instant
from recording_processor.errors import BadParameter
from recording_processor.query import parameters, read, whole_number

CRITERIA = ("callerPhoneNumber", "dialedPhoneNumber", "startTime", "endTime", "userName")
_PAGING = ("limit", "next", "previous")
_MAXIMUM_VALUE = 128
_MAXIMUM_WILDCARDS = 4


class Pattern(msgspec.Struct, frozen=True):
    """A text with ``*`` wildcards. `pieces` are what stands between them, ends included."""

    pieces: tuple[str, ...]

    @classmethod
    def parse(cls, text: str) -> Pattern:
        """Read `text`. Raises `ValueError` when it is empty, too long or has too many ``*``."""
        if not text:
            raise ValueError("it is empty")
        if len(text) > _MAXIMUM_VALUE:
            raise ValueError(f"it is longer than {_MAXIMUM_VALUE} characters")
        if any(unicodedata.category(character) in ("Cc", "Cs") for character in text):
            raise ValueError("it holds a control character")
        pieces = tuple(re.sub(r"\*+", "*", text).split("*"))
        if len(pieces) - 1 > _MAXIMUM_WILDCARDS:
            raise ValueError(f"it has more than {_MAXIMUM_WILDCARDS} wildcards")
        return cls(pieces)

    @property
    def exact(self) -> str | None:
        """The text itself when there is no wildcard."""
        return self.pieces[0] if len(self.pieces) == 1 else None

    @property
    def prefix(self) -> str:
        """What stands before the first wildcard; may be empty."""
        return self.pieces[0]

    @property
    def suffix(self) -> str:
        """What stands behind the last wildcard; may be empty."""
        return self.pieces[-1]

    def matches(self, text: str) -> bool:
        """Return whether `text` fits; the catalogue's SQL means the same."""
        expression = ".*".join(re.escape(piece) for piece in self.pieces)
        return re.fullmatch(expression, text, re.DOTALL) is not None


class Search(msgspec.Struct, frozen=True):
    """What is searched for; None leaves a criterion out. Times in milliseconds since 1970."""

    caller: Pattern | None = None
    dialed: Pattern | None = None
    user: Pattern | None = None
    begun_from: int | None = None
    ended_until: int | None = None


class SearchRequest(msgspec.Struct, frozen=True):
    """One page of a search. `criteria` are the parameters as they were said, for the next page."""

    search: Search
    criteria: tuple[tuple[str, str], ...]
    limit: int
    cursor: Cursor | None


def read_search(
    query: Iterable[tuple[str, str]],
    *,
    default_limit: int,
    maximum_limit: int,
    anything: bool = False,
) -> SearchRequest:
    """Read a query string's parameters.

    A cursor (`next` or `previous`) carries its search along, so it may stand alone. `anything`
    allows a search without a criterion. Raises `BadParameter` naming the parameter.
    """
    given = parameters(query, (*CRITERIA, *_PAGING), of="this search")
    cursor = _cursor(given)
    said = tuple((name, given[name]) for name in CRITERIA if name in given)
    criteria = said if cursor is None else cursor.criteria
    if cursor is not None and said not in ((), criteria):
        raise BadParameter("the cursor belongs to another search")
    if not criteria and not anything:
        raise BadParameter(f"a search needs at least one of {', '.join(CRITERIA)}")
    limit = read("limit", given, whole_number(1, maximum_limit)) or default_limit
    return SearchRequest(_search(dict(criteria)), criteria, limit, cursor)


def _search(given: Mapping[str, str]) -> Search:
    return Search(
        caller=read("callerPhoneNumber", given, Pattern.parse),
        dialed=read("dialedPhoneNumber", given, Pattern.parse),
        user=read("userName", given, Pattern.parse),
        begun_from=read("startTime", given, parse_instant),
        ended_until=read("endTime", given, parse_instant),
    )


def _cursor(given: Mapping[str, str]) -> Cursor | None:
    if "next" in given and "previous" in given:
        raise BadParameter("next and previous cannot be asked for at once")
    for name in ("next", "previous"):
        cursor = read(name, given, Cursor.decode)
        if cursor is not None:
            if cursor.direction != name:
                raise BadParameter(f"{name} was given a cursor for {cursor.direction}")
            if any(criterion not in CRITERIA for criterion, _ in cursor.criteria):
                raise BadParameter(f"{name}: it is not a cursor of this processor")
            return cursor
    return None
