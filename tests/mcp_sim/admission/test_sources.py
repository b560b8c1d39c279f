"""Limits per source: calls at a time, new calls per second, and what is told of each."""

from __future__ import annotations

import pytest

from mcp_sim.admission.room import SourceLimitError
from mcp_sim.admission.sources import SourceLimits, SourceView, told_sources
from service_shell.sources import SourceCounts


def test_calls_at_a_time() -> None:
    """A source gets as many as it may have, again when one ends; others are not concerned."""
    limits = SourceLimits(calls=2)
    for _ in range(2):
        limits.check("192.0.2.1")
        limits.began("192.0.2.1")
    with pytest.raises(SourceLimitError, match=r"192\.0\.2\.1 has 2 calls") as refused:
        limits.check("192.0.2.1")
    assert (refused.value.status, refused.value.retry_after) == (486, 5)
    limits.check("192.0.2.2")
    limits.ended("192.0.2.1")
    limits.check("192.0.2.1")
    limits.ended("192.0.2.1")
    assert limits.running == {}


def test_new_calls_per_second() -> None:
    """Above the rate a call is refused, with the seconds until the next would be taken."""
    now = 50.0
    limits = SourceLimits(rate=0.25, clock=lambda: now)
    limits.check("192.0.2.1")
    with pytest.raises(SourceLimitError, match=r"more than 0\.25 calls per second") as refused:
        limits.check("192.0.2.1")
    assert refused.value.retry_after == 4
    limits.check("192.0.2.2")
    now += 4.0
    limits.check("192.0.2.1")


def test_no_limits_are_the_default() -> None:
    """Without settings nobody is refused, and everybody is counted."""
    limits = SourceLimits()
    for _ in range(1000):
        limits.check("192.0.2.1")
        limits.began("192.0.2.1")
    assert limits.running == {"192.0.2.1": 1000}


def test_what_is_told() -> None:
    """First who has most calls, then who is oddest; a bounded number."""
    limits, malformed = SourceLimits(calls=1), SourceCounts()
    for host in ("192.0.2.1", "192.0.2.2"):
        limits.check(host)
        limits.began(host)
    with pytest.raises(SourceLimitError):
        limits.check("192.0.2.2")
    for number in range(300):
        malformed.count(f"10.0.{number // 256}.{number % 256}")
    malformed.count("10.0.0.7")
    told = told_sources(limits, malformed)
    assert told[:3] == [
        SourceView("192.0.2.2", 1, 1, 0),
        SourceView("192.0.2.1", 1, 0, 0),
        SourceView("10.0.0.7", 0, 0, 2),
    ]
    assert len(told) == 200
