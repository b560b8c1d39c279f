"""One measured figure that new calls depend on: it shuts the door and opens it, without flapping.

Pure: `now` is monotonic seconds.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Threshold:
    """`limit` is what the figure may reach; 0 limits nothing.

    The door shuts when the figure was above it for `patience` seconds, and opens when it was at
    most `limit * release` for `calm` seconds.
    """

    limit: float
    release: float = 0.5
    patience: float = 2.0
    calm: float = 5.0


class Gauge:
    """A figure as it was noted last. `name` is its word in metrics and refusals.

    `sentence` says what is wrong, with ``{value}`` and ``{limit}`` in it, formatted as it wants.
    """

    def __init__(self, name: str, sentence: str, threshold: Threshold) -> None:
        self.name = name
        self.value = 0.0
        self.limit = threshold.limit
        self.shut = False
        self._sentence = sentence
        self._threshold = threshold
        self._against_since: float | None = None

    @property
    def reason(self) -> str:
        """Why no call may begin, empty while one may."""
        if not self.shut:
            return ""
        return self._sentence.format(value=self.value, limit=self.limit)

    def note(self, value: float, now: float) -> bool:
        """Take a new reading; return whether the door has shut or opened by it."""
        self.value = value
        if self.limit <= 0:
            return False
        rule = self._threshold
        against = value <= self.limit * rule.release if self.shut else value > self.limit
        if not against:
            self._against_since = None
            return False
        since = self._against_since = now if self._against_since is None else self._against_since
        if now - since < (rule.calm if self.shut else rule.patience):
            return False
        self.shut = not self.shut
        self._against_since = None
        return True
