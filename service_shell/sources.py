"""Who something came from, and how much of it in a time: token buckets in a bounded table.

Pure: `now` is monotonic seconds. A source is an address, or the /64 of an IPv6 one, which a single
customer has whole.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator

MOST_SOURCES = 4096


def source_of(host: str) -> str:
    """Return the source that an address belongs to; what is no address is its own source."""
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return host[:64]
    if isinstance(address, ipaddress.IPv4Address):
        return str(address)
    if address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return str(ipaddress.ip_network((int(address), 64), strict=False))


class TokenBuckets:
    """Each source may take `burst` at once, and `per_second` in the long run; 0 limits nothing.

    At most `most` sources are remembered: who was quiet for longest is forgotten first.
    """

    def __init__(self, *, burst: float, per_second: float, most: int = MOST_SOURCES) -> None:
        self._burst = burst
        self._per_second = per_second
        self._most = most
        self._levels: dict[str, tuple[float, float]] = {}

    def __len__(self) -> int:
        return len(self._levels)

    def take(self, source: str, now: float) -> float:
        """Take one; return 0, or in how many seconds there will be one to take."""
        if self._per_second <= 0:
            return 0.0
        level = self._level(source, now)
        taken = level >= 1.0
        self._levels[source] = (level - taken, now)
        if len(self._levels) > self._most:
            del self._levels[next(iter(self._levels))]
        return 0.0 if taken else (1.0 - level) / self._per_second

    def give_back(self, source: str, now: float) -> None:
        """What was taken is not counted after all."""
        if source in self._levels:
            level = min(self._burst, self._level(source, now) + 1.0)
            if level < self._burst:
                self._levels[source] = (level, now)

    def _level(self, source: str, now: float) -> float:
        """Take the source out of the table; it is put in again as the newest."""
        level, since = self._levels.pop(source, (self._burst, now))
        return min(self._burst, level + max(0.0, now - since) * self._per_second)


class SourceCounts:
    """How often something happened, per source; at most `most` are kept, the newest."""

    def __init__(self, *, most: int = MOST_SOURCES) -> None:
        self._most = most
        self._counts: dict[str, int] = {}

    def __getitem__(self, source: str) -> int:
        return self._counts.get(source, 0)

    def __iter__(self) -> Iterator[str]:
        return iter(self._counts)

    def __len__(self) -> int:
        return len(self._counts)

    def count(self, source: str) -> None:
        """It happened once more."""
        self._counts[source] = self._counts.pop(source, 0) + 1
        if len(self._counts) > self._most:
            del self._counts[next(iter(self._counts))]
