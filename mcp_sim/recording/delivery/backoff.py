"""How long to wait before trying again: longer after each try, never alike, never over a bound."""

from __future__ import annotations

import random
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Backoff:
    """Exponential, in seconds; `jitter` is the part of each delay that is left to chance."""

    first: float = 1.0
    longest: float = 300.0
    factor: float = 2.0
    jitter: float = 0.3
    chance: random.Random = field(default_factory=random.SystemRandom)

    def delay(self, tries: int) -> float:
        """Return how long to wait after so many failed tries (one at least)."""
        exponent = min(tries - 1, 64)
        whole = min(self.longest, self.first * self.factor**exponent)
        return whole * (1 - self.jitter * self.chance.random())
