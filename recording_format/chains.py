"""Looking for chains from a certificate up to a root of a CA file.

OpenSSL takes the first certificate of an issuer's name and does not come back to try the next. In
a CA file that holds a renewed CA beside the old one, that can be the wrong one. Here every chain
of good signatures is found, the likeliest first; the work is bounded by counts.
"""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from .bundle import FAR, Bundle, Link
from .signatures import signed_by

#: Certificates of one chain, as many as OpenSSL takes by default.
MAX_LENGTH = 100
#: Signature checks of one search, those of OpenSSL for the chains found included. The unit is a
#: check with an RSA key of 2048 bits; other keys weigh more.
MAX_SIGNATURES = 3000
#: Paths of one search, whether their signatures were checked or not.
MAX_PATHS = 20_000
# How often one certificate may be climbed from: by other ways it seldom leads to another verdict.
_MAX_CLIMBS = 3


@dataclass(frozen=True, slots=True)
class _Path:
    """A chain on its way up: its top, and the path below. `cost` counts what speaks against it."""

    top: Link
    below: _Path | None
    length: int
    cost: int
    weight: int = 0

    def links(self) -> tuple[Link, ...]:
        """Return its certificates, the leaf first."""
        found = [self.top]
        path = self
        while path.below is not None:
            path = path.below
            found.append(path.top)
        return tuple(reversed(found))


@dataclass(slots=True)
class DeadEnd:
    """Where the search came to its highest: `top`, and those of its issuer's name, wrongly so.

    `length` counts the certificates from the leaf to `top`.
    """

    top: Link
    length: int
    refuted: list[Link] = field(default_factory=list)


class ChainSearch:
    """The search above one leaf. `cost` says what speaks against a link; the least goes first."""

    def __init__(self, leaf: Link, bundle: Bundle, cost: Callable[[Link], int]) -> None:
        self._bundle = bundle
        self._cost = cost
        self._leaf = leaf
        self._left = MAX_SIGNATURES
        self._checked: dict[tuple[Link, bytes], bool | None] = {}
        self._climbs: Counter[Link] = Counter()
        self._costs: dict[Link, int] = {}
        self._waiting: list[tuple[int, int, int, int, _Path]] = []
        self._paths = 0
        self.dead_end = DeadEnd(leaf, 1)

    @property
    def exhausted(self) -> bool:
        """Whether the search was given up for its size."""
        return self._left < 0 or self._paths >= MAX_PATHS

    def chains(self) -> Iterator[tuple[Link, ...]]:
        """Yield chains from the leaf up to a self-signed root of the bundle."""
        self._add(self._leaf, None)
        while self._waiting and self._left >= 0:
            path = heapq.heappop(self._waiting)[-1]
            if not self._stands(path):
                continue
            if path.length > self.dead_end.length:
                self.dead_end = DeadEnd(path.top, path.length)
            if self._is_root(path.top):
                # OpenSSL will check them again, perhaps twice; that counts, too.
                self._left -= 2 * path.weight + 1
                if self._left >= 0:
                    yield path.links()
            if path.length < MAX_LENGTH:
                self._climb(path)

    def _climb(self, path: _Path) -> None:
        self._climbs[path.top] += 1
        if self._climbs[path.top] > _MAX_CLIMBS:
            return
        known = set(path.links())
        for issuer in self._bundle.issuers(path.top):
            if self._paths >= MAX_PATHS:
                return
            if issuer not in known:
                self._add(issuer, path)

    def _add(self, link: Link, below: _Path | None) -> None:
        if link not in self._costs:
            self._costs[link] = self._cost(link)
        cost = self._costs[link]
        length = 1
        weight = 0
        if below is not None:
            cost += below.cost
            length += below.length
            weight = below.weight + link.weight
        steps = self._bundle.steps(link)
        expected = FAR if steps >= FAR else length + steps
        path = _Path(link, below, length, cost, weight)
        self._paths += 1
        heapq.heappush(self._waiting, (cost, expected, -length, self._paths, path))

    def _stands(self, path: _Path) -> bool:
        """Return whether the top of `path` has signed what is below it, or might have."""
        if path.below is None:
            return True
        below = path.below.top
        if self._signed(below, path.top) is not False:
            return True
        if below == self.dead_end.top and path.top not in self.dead_end.refuted:
            self.dead_end.refuted.append(path.top)
        return False

    def _is_root(self, link: Link) -> bool:
        if not link.self_issued or link not in self._bundle:
            return False
        if self._signed(link, link) is not False:
            return True
        if link == self.dead_end.top and link not in self.dead_end.refuted:
            self.dead_end.refuted.append(link)
        return False

    def _signed(self, link: Link, issuer: Link) -> bool | None:
        pair = (link, issuer.identity.key)
        if pair not in self._checked:
            self._left -= issuer.weight
            if self._left < 0:
                return False
            self._checked[pair] = signed_by(link.certificate, issuer.certificate)
        return self._checked[pair]
