"""Places that requests hold while they last; when all are taken, the next request is refused."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from recording_processor.errors import Busy


class Slots:
    """At most `limit` at a time of `what` (plural, for the message)."""

    def __init__(self, limit: int, what: str) -> None:
        self._limit = limit
        self._what = what
        self._taken = 0

    @property
    def taken(self) -> int:
        """How many places are held now."""
        return self._taken

    @contextmanager
    def hold(self) -> Iterator[None]:
        """Hold a place for the block. Raises `Busy` at once when there is none."""
        if self._taken >= self._limit:
            raise Busy(f"there are too many {self._what} at the moment")
        self._taken += 1
        try:
            yield
        finally:
            self._taken -= 1
