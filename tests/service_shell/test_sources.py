"""Sources and their token buckets: who is who, how much each may do, and how many are kept."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service_shell.sources import SourceCounts, TokenBuckets, source_of


@pytest.mark.parametrize(
    ("host", "source"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::9", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("::1", "::/64"),
        ("", ""),
        ("not an address", "not an address"),
        ("x" * 500, "x" * 64),
    ],
)
def test_a_source_is_an_address_or_a_customers_network(host: str, source: str) -> None:
    """All addresses of one IPv6 /64 are one source, and both ways to write an IPv4 address."""
    assert source_of(host) == source


def test_a_burst_and_then_the_rate() -> None:
    """What was saved up can be taken at once; then the wait that is told is the wait that helps."""
    buckets = TokenBuckets(burst=3, per_second=0.5)
    assert [buckets.take("a", 10.0) for _ in range(4)] == [0, 0, 0, 2.0]
    assert buckets.take("b", 10.0) == 0, "another source has its own"
    assert buckets.take("a", 11.0) == 1.0
    assert buckets.take("a", 12.0) == 0
    assert buckets.take("a", 12.0) == 2.0
    assert [buckets.take("a", 1000.0) for _ in range(4)] == [0, 0, 0, 2.0]


def test_what_is_given_back_can_be_taken_again() -> None:
    """It counts for nothing, and never makes more than the burst."""
    buckets = TokenBuckets(burst=1, per_second=1.0)
    for _ in range(5):
        assert buckets.take("a", 0.0) == 0
        buckets.give_back("a", 0.0)
    buckets.give_back("a", 0.0)
    assert [buckets.take("a", 0.0) for _ in range(2)] == [0, 1.0]


def test_no_rate_is_no_limit() -> None:
    """Switched off, it takes nothing down and refuses nobody."""
    buckets = TokenBuckets(burst=1, per_second=0)
    assert {buckets.take("a", 0.0) for _ in range(100)} == {0.0}
    assert len(buckets) == 0


def test_the_table_is_bounded() -> None:
    """More sources than it holds push out those that were quiet for longest, not the busy one."""
    buckets = TokenBuckets(burst=1, per_second=0.001, most=10)
    buckets.take("busy", 0.0)
    for number in range(1000):
        buckets.take(f"10.0.{number // 256}.{number % 256}", 0.0)
        assert buckets.take("busy", 0.0) > 0
    assert len(buckets) == 10


@given(st.lists(st.tuples(st.sampled_from("ab"), st.floats(0, 5)), max_size=60))
def test_never_more_than_burst_and_rate(steps: list[tuple[str, float]]) -> None:
    """Whenever they come, no source gets more than its burst plus the rate times the time."""
    buckets, now, taken = TokenBuckets(burst=4, per_second=2.0), 0.0, {"a": 0, "b": 0}
    for source, pause in steps:
        now += pause
        taken[source] += buckets.take(source, now) == 0
        assert taken[source] <= 4 + 2.0 * now + 1e-6


def test_counts_are_kept_for_the_newest() -> None:
    """Each source has its count; of too many the one that was heard of longest ago goes."""
    counts = SourceCounts(most=2)
    for source in ("a", "b", "a", "c", "a"):
        counts.count(source)
    assert {source: counts[source] for source in counts} == {"c": 1, "a": 3}
    assert (counts["b"], len(counts)) == (0, 2)
