"""A search read from a query string, and cursors."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recording_processor.cursor import Cursor
from recording_processor.errors import BadParameter
from recording_processor.search import CRITERIA, Pattern, SearchRequest, read_search


def read(*query: tuple[str, str]) -> SearchRequest:
    """Read a search with a page of 100, 1000 at most."""
    return read_search(query, default_limit=100, maximum_limit=1000)


def test_every_criterion_is_read() -> None:
    """All five criteria and the limit come out as values."""
    request = read(
        ("callerPhoneNumber", "+1*"),
        ("dialedPhoneNumber", "8005550199"),
        ("userName", "agent1"),
        ("startTime", "1970-01-01T00:00:01Z"),
        ("endTime", "1970-01-01"),
        ("limit", "7"),
    )
    search = request.search
    assert search.caller == Pattern(("+1", ""))
    assert search.dialed is not None
    assert search.dialed.exact == "8005550199"
    assert (search.begun_from, search.ended_until) == (1000, 0)
    assert (request.limit, request.cursor) == (7, None)


@pytest.mark.parametrize(
    ("query", "sentence"),
    [
        ([], "a search needs at least one of callerPhoneNumber"),
        ([("limit", "5")], "a search needs at least one of"),
        ([("colour", "red")], "'colour' is not a parameter of this search"),
        ([("userName", "a"), ("userName", "b")], "userName is given twice"),
        ([("userName", "")], "userName: it is empty"),
        ([("userName", "a" * 129)], "userName: it is longer than 128 characters"),
        ([("userName", "a\0b")], "userName: it holds a control character"),
        ([("userName", "*a*b*c*d*")], "userName: it has more than 4 wildcards"),
        ([("startTime", "now")], "startTime: it is not a date such as 2026-01-02T10:00:00.000Z"),
        ([("endTime", "2026-02-30")], "endTime: it names a day or a time that does not exist"),
        ([("userName", "a"), ("limit", "0")], "limit: it is not a whole number from 1 to 1000"),
        ([("userName", "a"), ("limit", "1001")], "limit: it is not a whole number"),
        ([("userName", "a"), ("limit", "٣")], "limit: it is not a whole number"),
        ([("next", "zz")], "next: it is not a cursor of this processor"),
        ([("next", "zz"), ("previous", "zz")], "next and previous cannot be asked for at once"),
    ],
)
def test_what_is_wrong_is_named(query: list[tuple[str, str]], sentence: str) -> None:
    """A search that cannot be is refused in one sentence that names the parameter."""
    with pytest.raises(BadParameter) as refused:
        read(*query)
    assert str(refused.value).startswith(sentence)


def test_a_cursor_carries_its_search_along() -> None:
    """A cursor alone means the same search; with other criteria it is refused."""
    criteria = (("callerPhoneNumber", "+1*"),)
    text = Cursor("next", 5, 6, criteria).encode()
    assert read(("next", text)).search == read(*criteria).search
    assert read(("next", text), *criteria).cursor == Cursor("next", 5, 6, criteria)
    with pytest.raises(BadParameter, match="the cursor belongs to another search"):
        read(("next", text), ("callerPhoneNumber", "+2*"))
    with pytest.raises(BadParameter, match="previous was given a cursor for next"):
        read(("previous", text))


def test_a_forged_cursor_is_checked_like_a_query() -> None:
    """What a cursor says about criteria is not trusted."""
    for criteria in ((("colour", "red"),), (("limit", "5"),), (("startTime", "now"),)):
        with pytest.raises(BadParameter):
            read(("next", Cursor("next", 5, 6, criteria).encode()))


_text = st.text(max_size=20)
_number = st.integers(-(2**63), 2**63 - 1)


@settings(deadline=None)
@given(
    direction=st.sampled_from(["next", "previous"]),
    start=_number,
    row=_number,
    criteria=st.lists(st.tuples(_text, _text), max_size=3),
)
def test_a_cursor_reads_as_it_was_written(
    direction: str, start: int, row: int, criteria: list[tuple[str, str]]
) -> None:
    """Every cursor survives its text."""
    cursor = Cursor("next" if direction == "next" else "previous", start, row, tuple(criteria))
    assert Cursor.decode(cursor.encode()) == cursor


@settings(deadline=None)
@given(text=st.text(max_size=60) | st.from_regex(r"[A-Za-z0-9_-]{0,60}", fullmatch=True))
def test_no_text_breaks_the_cursor(text: str) -> None:
    """A text is a cursor or a ValueError."""
    try:
        cursor = Cursor.decode(text)
    except ValueError:
        return
    assert -(2**63) <= cursor.row < 2**63


@settings(deadline=None)
@given(
    query=st.lists(
        st.tuples(st.sampled_from([*CRITERIA, "limit", "next", "previous", "x"]), st.text()),
        max_size=4,
    )
)
def test_no_query_breaks_the_search(query: list[tuple[str, str]]) -> None:
    """A query string is a search or a BadParameter, and its limit is within bounds."""
    try:
        request = read(*query)
    except BadParameter:
        return
    assert 1 <= request.limit <= 1000


@settings(deadline=None)
@given(pieces=st.lists(st.text("ab[?]*", max_size=3), min_size=1, max_size=4), fill=st.text("ab"))
def test_a_pattern_fits_what_it_was_made_from(pieces: list[str], fill: str) -> None:
    """Whatever is put where the wildcards stand, the result fits."""
    plain = [piece.replace("*", "") for piece in pieces]
    text = "*".join(plain)
    if not text:
        return
    assert Pattern.parse(text).matches(fill.join(plain))
