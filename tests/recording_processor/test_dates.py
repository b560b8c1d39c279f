"""Instants on the wire and in the catalogue."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recording_processor.console.page import readable_duration
from recording_processor.dates import parse_instant, vendor_date

INSTANT = 1_767_348_000_250


@pytest.mark.parametrize(
    "text",
    [
        "2026-01-02T10:00:00.250Z",
        "2026-01-02T10:00:00.250+0000",
        "2026-01-02T10:00:00.250 0000",
        "2026-01-02T11:00:00.250+01:00",
        "2026-01-02T09:00:00.250999-0100",
        "2026-01-02 10:00:00,25",
    ],
)
def test_every_form_is_the_same_instant(text: str) -> None:
    """Offsets, fractions and an unescaped plus all read as the instant that is meant."""
    assert parse_instant(text) == INSTANT


def test_a_day_begins_at_midnight() -> None:
    """A date alone is its first instant, a time without seconds its full minute, both UTC."""
    assert vendor_date(parse_instant("2026-01-02")) == "2026-01-02T00:00:00.000+0000"
    assert vendor_date(parse_instant("2026-01-02T10:20")) == "2026-01-02T10:20:00.000+0000"


@pytest.mark.parametrize(
    "text",
    ["", "now", "20260102", "2026-W01-1", "2026-13-01", "2026-01-02T25:00:00Z", "٢٠٢٦-01-02"],
)
def test_anything_else_is_no_date(text: str) -> None:
    """Other texts are refused in a sentence."""
    with pytest.raises(ValueError, match="it "):
        parse_instant(text)


@settings(deadline=None)
@given(instant=st.integers(parse_instant("0001-01-01"), parse_instant("9999-12-31")))
def test_a_written_date_reads_as_itself(instant: int) -> None:
    """The vendor's form keeps every millisecond."""
    assert parse_instant(vendor_date(instant)) == instant


@settings(deadline=None)
@given(text=st.text(max_size=40) | st.from_regex(r"\d{4}-\d\d-\d\dT\d\d:\d\d(Z|[+-]\d{4})"))
def test_no_text_breaks_the_reading(text: str) -> None:
    """A text is an instant or a ValueError."""
    with suppress(ValueError):
        assert isinstance(parse_instant(text), int)


@pytest.mark.parametrize(
    ("milliseconds", "text"),
    [
        (0, "0:00.0"),
        (12_500, "0:12.5"),
        (59_949, "0:59.9"),
        (59_950, "1:00"),
        (180_000, "3:00"),
        (3_723_000, "1:02:03"),
        (3_599_600, "1:00:00"),
    ],
)
def test_durations_are_readable(milliseconds: int, text: str) -> None:
    """Durations are shown as people write them, and no rounding gives sixty seconds."""
    assert readable_duration(milliseconds) == text
