"""A search as SQL: conditions that an index can answer, in the order that paging needs.

A wildcard at the end is a range over the column, one at the beginning a range over the reversed
column; whatever a range cannot say is said by GLOB, which is SQLite's case-sensitive match.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from sqlalchemy import ColumnElement, FromClause, Select, and_, select, tuple_, union_all

from recording_processor.catalogue.tables import participations, recordings
from recording_processor.cursor import Cursor
from recording_processor.search import Pattern, Search
from recording_processor.tenancy import Tenants

# So many tenants of an account are looked through one by one.
_LANES = 50
_LAST_CHARACTER = "\U0010ffff"
_Column = ColumnElement[str | None]


def page_of(
    search: Search,
    *,
    contact_center: int,
    tenants: Tenants,
    cursor: Cursor | None,
    limit: int,
) -> Select[Any]:
    """Select number and start of at most `limit` recordings that fit, seen from the cursor on.

    Newest first; behind a `previous` cursor oldest first, so that the nearest rows come.
    """
    if tenants is None or not 1 < len(tenants) <= _LANES:
        return _newest(_found(search, contact_center, tenants, cursor), recordings, cursor, limit)
    # Each tenant's nearest rows come straight from an index; of all of them the nearest are taken.
    # One condition for several tenants would make SQLite walk through everybody's recordings.
    lanes = [
        _newest(
            _found(search, contact_center, (tenant,), cursor), recordings, cursor, limit
        ).subquery()
        for tenant in dict.fromkeys(tenants)
    ]
    nearest = union_all(*(select(lane) for lane in lanes)).subquery()
    return _newest(select(nearest), nearest, cursor, limit)


def _found(
    search: Search, contact_center: int, tenants: Tenants, cursor: Cursor | None
) -> Select[Any]:
    columns = recordings.c
    found = select(columns.number, columns.started_at).where(
        columns.contact_center == contact_center, *of_tenants(tenants), *_conditions(search)
    )
    if cursor is None:
        return found
    key, place = tuple_(columns.started_at, columns.number), tuple_(cursor.start, cursor.row)
    return found.where(key > place if cursor.direction == "previous" else key < place)


def _newest(found: Select[Any], rows: FromClause, cursor: Cursor | None, limit: int) -> Select[Any]:
    """Order by start, newest first; behind a `previous` cursor oldest first."""
    key = (rows.c.started_at, rows.c.number)
    backwards = cursor is not None and cursor.direction == "previous"
    return found.order_by(*(column.asc() if backwards else column.desc() for column in key)).limit(
        limit
    )


def of_tenants(tenants: Tenants) -> Iterator[ColumnElement[bool]]:
    """Yield the condition that a recording belongs to one of `tenants`; none where all are open."""
    if tenants is not None:
        yield recordings.c.tenant.in_(tenants)


def _conditions(search: Search) -> Iterator[ColumnElement[bool]]:
    if search.begun_from is not None:
        yield recordings.c.started_at >= search.begun_from
    if search.ended_until is not None:
        # The first says nothing new, but it is the one that an index knows.
        yield recordings.c.started_at <= search.ended_until
        yield recordings.c.stopped_at <= search.ended_until
    yield from of_parties(search.caller, search.dialed, search.user)


def of_parties(
    caller: Pattern | None, dialed: Pattern | None, user: Pattern | None
) -> Iterator[ColumnElement[bool]]:
    """Yield the conditions on a recording's numbers and on who took part; None asks for nothing."""
    if caller is not None:
        yield fits(recordings.c.caller, caller, recordings.c.caller_reversed)
    if dialed is not None:
        yield fits(recordings.c.dialed, dialed, recordings.c.dialed_reversed)
    if user is not None:
        of_user = fits(participations.c.user_name, user)
        yield recordings.c.number.in_(select(participations.c.recording).where(of_user))


def fits(
    column: _Column, pattern: Pattern, reversed_column: _Column | None = None
) -> ColumnElement[bool]:
    """Return the condition that `column` fits `pattern`; null fits nothing."""
    if pattern.exact is not None:
        return column == pattern.exact
    conditions = [*_begins(column, pattern.prefix)]
    complete = pattern.suffix == "" and len(pattern.pieces) == 2
    if reversed_column is not None and pattern.suffix:
        conditions.extend(_begins(reversed_column, pattern.suffix[::-1]))
        complete = pattern.prefix == "" and len(pattern.pieces) == 2
    if not complete:
        conditions.append(column.op("GLOB")(_glob(pattern)))
    return and_(column.is_not(None), *conditions)


def _begins(column: _Column, prefix: str) -> Iterator[ColumnElement[bool]]:
    if prefix:
        yield column >= prefix
        end = _behind(prefix)
        if end is not None:
            yield column < end


def _behind(prefix: str) -> str | None:
    """Return the least text that is behind every text with this prefix, by code points."""
    kept = prefix.rstrip(_LAST_CHARACTER)
    if not kept:
        return None
    following = ord(kept[-1]) + 1
    # Surrogates are no characters: behind U+D7FF comes U+E000.
    return kept[:-1] + chr(0xE000 if 0xD800 <= following <= 0xDFFF else following)


def _glob(pattern: Pattern) -> str:
    pieces = (piece.replace("[", "[[]").replace("?", "[?]") for piece in pattern.pieces)
    return "*".join(pieces)
