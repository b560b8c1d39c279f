"""Tokens that show that a request was made by who asked for it (CSRF), without keeping any.

A token holds for its account and for half an hour to an hour; a restart ends them all.
"""

from __future__ import annotations

import hmac
import os
import time
from collections.abc import Callable

HEADER = "X-CSRF-TOKEN"
_SECONDS = 1800.0


class ForgeryTokens:
    """Makes and checks them; `clock` is monotonic seconds."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._key = os.urandom(32)
        self._clock = clock

    def current(self, name: str) -> str:
        """Return the token of the account `name`."""
        return self._token(name, self._period())

    def fits(self, name: str, token: str) -> bool:
        """Return whether `token` is the account's, of this half hour or the one before."""
        period = self._period()
        given = token.encode("utf-8", "surrogateescape")  # as aiohttp reads odd bytes
        known = [self._token(name, each).encode() for each in (period, period - 1)]
        return any(hmac.compare_digest(each, given) for each in known)

    def _period(self) -> int:
        return int(self._clock() // _SECONDS)

    def _token(self, name: str, period: int) -> str:
        return hmac.new(self._key, f"{period} {name}".encode(), "sha256").hexdigest()
