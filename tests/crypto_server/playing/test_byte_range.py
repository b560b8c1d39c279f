"""Range, Content-Range and conditions as RFC 9110 has them."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crypto_server.playing.byte_range import ByteRange, Span, Wish, read_content_range

WHOLE = 1000
TAG = '"a"'


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("bytes=0-0", Span(0, 1)),
        ("bytes=0-499", Span(0, 500)),
        ("bytes=500-", Span(500, 1000)),
        ("bytes=999-", Span(999, 1000)),
        ("bytes=0-", Span(0, 1000)),
        ("bytes=990-5000", Span(990, 1000)),
        ("bytes=-1", Span(999, 1000)),
        ("bytes=-5000", Span(0, 1000)),
        ("BYTES= 1-2 ", Span(1, 3)),
        ("bytes=1000-", None),
        ("bytes=1000-1001", None),
        ("bytes=-0", None),
        ("bytes=999999999999999999-", None),
    ],
)
def test_one_part_is_understood(header: str, expected: Span | None) -> None:
    """A part is resolved against the length; None stands for 416."""
    part = ByteRange.read([header])
    assert part is not None
    assert part.within(WHOLE) == expected
    assert part.within(0) is None


@pytest.mark.parametrize(
    "headers",
    [
        [],
        [""],
        ["bytes"],
        ["bytes="],
        ["bytes=-"],
        ["bytes=1"],
        ["bytes=2-1"],
        ["bytes=a-b"],
        ["bytes=+1-2"],
        ["bytes=1-2x"],
        ["bytes=1 - 2"],
        ["bytes=0-1,5-6"],
        ["bytes=0-1, -1"],
        ["items=0-1"],
        ["bytes=\u0660-\u0661"],
        ["bytes=1234567890123456789-"],
        ["bytes=0-1" + " " * 200],
        ["bytes=0-1", "bytes=5-6"],
        ["bytes=" + ",".join(["0-"] * 1000)],
        ["bytes=0-1\n"],
    ],
)
def test_all_else_asks_for_the_whole(headers: list[str]) -> None:
    """Several parts, other units and nonsense are ignored, as RFC 9110 §14.2 allows."""
    assert ByteRange.read(headers) is None


@settings(deadline=None)
@given(st.integers(0, 10**12), st.integers(1, 10**12))
def test_a_part_is_written_as_it_is_read(start: int, size: int) -> None:
    """What is sent upstream means what was meant, and its answer is understood."""
    part = ByteRange.of(start, start + size)
    assert ByteRange.read([str(part)]) == part
    assert ByteRange.read([str(ByteRange.tail(size))]) == ByteRange.tail(size)
    span = part.within(start + size + 5)
    assert span == Span(start, start + size)
    assert span.size == size
    whole = start + size + 5
    assert read_content_range(span.content_range(whole)) == (span, whole)


@pytest.mark.parametrize(
    "text",
    ["", "bytes */5", "bytes 0-4/*", "bytes 0-5/5", "bytes 3-2/5", "items 0-1/5", "bytes 0-1/5,"],
)
def test_senseless_content_ranges_are_none(text: str) -> None:
    """Only a whole and possible Content-Range counts."""
    assert read_content_range(text) is None


@pytest.mark.parametrize(
    ("condition", "kept"),
    [
        (None, True),
        (TAG, True),
        ('"b"', False),
        ('W/"a"', False),
        ("a", False),
        ("", False),
        ("Sun, 22 Nov 2026 10:00:00 GMT", False),
    ],
)
def test_if_range_keeps_the_part_for_the_same_strong_tag_only(
    condition: str | None, kept: bool
) -> None:
    """Any other If-Range gets the whole file, and so does each where there is no tag."""
    part = ByteRange.of(0, 5)
    assert Wish(part, if_range=condition).part_of(TAG) == (part if kept else None)
    assert Wish(part, if_range=condition).part_of(None) == (part if condition is None else None)


@pytest.mark.parametrize(
    ("condition", "strongly", "weakly"),
    [
        ("*", True, True),
        ('"a"', True, True),
        ('"b", "a"', True, True),
        ('W/"a"', False, True),
        ('"b"', False, False),
        ("a", False, False),
        ('"b"' * 5000 + '"a"', False, False),
    ],
)
def test_if_match_and_if_none_match(condition: str, strongly: bool, weakly: bool) -> None:
    """If-Match compares strongly, If-None-Match weakly; absent ones hinder nothing."""
    assert Wish(if_match=condition).forbids(TAG) is not strongly
    assert Wish(if_none_match=condition).knows(TAG) is weakly
    assert Wish(if_match=condition).forbids(None) is (condition != "*")
    assert not Wish().forbids(TAG)
    assert not Wish().knows(TAG)
