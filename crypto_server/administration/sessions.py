"""The sessions of administrators, in memory only: a restart forgets them all.

A session ends after some idle time. There are at most `MOST_SESSIONS`, of one account at most
`MOST_OF_ONE`; one more takes the place of the one that was used longest ago, of the same account
first. Pure: the clock is given, in monotonic seconds.
"""

from __future__ import annotations

import hmac
import os
import secrets
from collections.abc import Callable
from dataclasses import dataclass

from service_shell.accounts import Account

MOST_SESSIONS = 1000
MOST_OF_ONE = 100
_TOKEN_BYTES = 32
_LONGEST_TOKEN = 64


@dataclass
class _Session:
    account: Account
    mark: bytes
    used: float


class Sessions:
    """Who is signed in. Only a keyed digest of each token is kept, never the token."""

    def __init__(self, idle_seconds: float, clock: Callable[[], float]) -> None:
        self._idle_seconds = idle_seconds
        self._clock = clock
        self._key = os.urandom(32)
        self._sessions: dict[bytes, _Session] = {}

    def __len__(self) -> int:
        self._forget_idle()
        return len(self._sessions)

    def open(self, account: Account) -> str:
        """Return the token of a new session: 256 random bits, in URL-safe characters."""
        self._forget_idle()
        self._make_room(account)
        token = secrets.token_urlsafe(_TOKEN_BYTES)
        mark = self._mark(token)
        self._sessions[mark] = _Session(account, mark, self._clock())
        return token

    def account(self, token: str) -> Account | None:
        """Return whose session it is, and let it begin to idle anew; None when there is none."""
        session = self._find(token)
        if session is None:
            return None
        session.used = self._clock()
        self._sessions[session.mark] = self._sessions.pop(session.mark)
        return session.account

    def close(self, token: str) -> bool:
        """End a session; return whether there was one."""
        session = self._find(token)
        if session is None:
            return False
        del self._sessions[session.mark]
        return True

    def _find(self, token: str) -> _Session | None:
        if len(token) > _LONGEST_TOKEN:
            return None
        mark = self._mark(token)
        session = self._sessions.get(mark)
        # The look-up goes by a digest under a key that nobody knows: its time tells nothing.
        if session is None or not hmac.compare_digest(session.mark, mark):
            return None
        if self._clock() - session.used > self._idle_seconds:
            del self._sessions[mark]
            return None
        return session

    def _forget_idle(self) -> None:
        oldest = self._clock() - self._idle_seconds
        for mark in [m for m, session in self._sessions.items() if session.used < oldest]:
            del self._sessions[mark]

    def _make_room(self, account: Account) -> None:
        """Drop what was used longest ago where there are too many; they are in that order."""
        own = [m for m, session in self._sessions.items() if session.account.name == account.name]
        if len(own) >= MOST_OF_ONE:
            del self._sessions[own[0]]
        elif len(self._sessions) >= MOST_SESSIONS:
            del self._sessions[next(iter(self._sessions))]

    def _mark(self, token: str) -> bytes:
        return hmac.digest(self._key, token.encode("utf-8", "surrogateescape"), "sha256")
