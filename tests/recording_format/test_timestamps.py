"""Times and durations in all the spellings of the releases."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recording_format.timestamps import (
    DurationUnit,
    format_duration,
    format_time,
    parse_duration,
    parse_time,
)

MOMENT = datetime(2026, 1, 2, 10, 0, 0, 500_000, tzinfo=UTC)


@pytest.mark.parametrize(
    "text",
    [
        "2026-01-02T10:00:00.500Z",
        "2026-01-02T10:00:00.5Z",
        "2026-01-02T10:00:00.500000000Z",
        "2026-01-02T10:00:00.500+0000",
        "2026-01-02T10:00:00.500+00:00",
        "2026-01-02T12:30:00.500+02:30",
        "2026-01-02T02:00:00.500-0800",
    ],
)
def test_every_spelling_is_read(text: str) -> None:
    """Zones as Z, with and without a colon, and any fraction are the same moment."""
    assert parse_time(text) == MOMENT
    assert parse_time(text).tzinfo is UTC


def test_one_spelling_is_written() -> None:
    """Times are written in UTC with milliseconds and Z, whatever zone they came in."""
    assert format_time(MOMENT) == "2026-01-02T10:00:00.500Z"
    assert format_time(MOMENT.astimezone(timezone(timedelta(hours=5)))) == format_time(MOMENT)
    assert format_time(MOMENT.replace(microsecond=999)) == "2026-01-02T10:00:00.000Z"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "now",
        "2026-01-02",
        "2026-01-02T10:00:00",
        "2026-01-02 10:00:00Z",
        "2026-13-02T10:00:00Z",
        "2026-01-02T10:60:00Z",
        "2026-01-02T10:00:00Z ",
        "2026-01-02T10:00:00Z\n",
        "2026-01-02T10:00:00+9999",
        "0001-01-01T00:00:00+23:00",
        "٢٠٢٦-01-02T10:00:00Z",
    ],
)
def test_other_text_is_no_time(text: str) -> None:
    """Text without a zone, out of range or with anything around it is a ValueError."""
    with pytest.raises(ValueError, match="not a time"):
        parse_time(text)


@given(st.datetimes(timezones=st.just(UTC)))
@settings(max_examples=100, deadline=None)
def test_times_come_back(moment: datetime) -> None:
    """A written time is read again, to the millisecond."""
    back = parse_time(format_time(moment))
    assert timedelta() <= moment - back < timedelta(milliseconds=1)


@pytest.mark.parametrize(
    ("milliseconds", "unit", "text"),
    [
        (12500, DurationUnit.MS, "12500"),
        (0, DurationUnit.MS, "0"),
        (12500, DurationUnit.SECONDS, "12.5"),
        (12000, DurationUnit.SECONDS, "12"),
        (10_000_000, DurationUnit.SECONDS, "10000"),
        (7, DurationUnit.SECONDS, "0.007"),
        (0, DurationUnit.SECONDS, "0"),
    ],
)
def test_durations_are_written_in_both_units(
    milliseconds: int, unit: DurationUnit, text: str
) -> None:
    """Milliseconds are whole, seconds decimal; both are read back."""
    assert format_duration(milliseconds, unit) == text
    assert parse_duration(text, unit) == milliseconds


@pytest.mark.parametrize("text", ["", "-1", "1e3", "NaN", "inf", "1.", ".5", "1 ", "1" * 13, "٣"])
def test_other_text_is_no_duration(text: str) -> None:
    """Signs, exponents and other scripts are no duration."""
    with pytest.raises(ValueError, match="not a duration"):
        parse_duration(text, DurationUnit.MS)


def test_units_have_their_setting_names() -> None:
    """A settings file says ``ms`` or ``seconds``."""
    assert [DurationUnit("ms"), DurationUnit("seconds")] == list(DurationUnit)
