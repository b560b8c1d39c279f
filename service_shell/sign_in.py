"""What guessing passwords costs: so many failed sign-ins of one address, then 429.

A right password that was seen before from the address is never held up by them, so that nobody
there is locked out by somebody who guesses. One that was right elsewhere waits for its turn: else
whoever guesses would learn at any pace which password is in use.
"""

from __future__ import annotations

import hmac
import math
import os
import time
from collections.abc import Callable
from typing import Annotated

import msgspec
from prometheus_client import CollectorRegistry, Counter

from service_shell.sources import TokenBuckets, source_of

_MOST_KNOWN = 4096


class SignInSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``[sign_in]``: `failures` at once, and as many again in each `seconds`; 0: no limit."""

    failures: Annotated[int, msgspec.Meta(ge=0)] = 60
    seconds: Annotated[float, msgspec.Meta(gt=0)] = 60.0


def sign_ins_refused(registry: CollectorRegistry, service: str) -> Counter:
    """Return the counter of 429 in the registry of a service (`mcp`, `store`, …)."""
    text = "Sign-ins refused because too many of their address had failed"
    return Counter(f"reclab_{service}_sign_ins_refused", text, registry=registry)


class TooManyGuesses(Exception):
    """This address has failed too often; `seconds` until it may try again."""

    def __init__(self, seconds: int) -> None:
        super().__init__("too many sign-ins from this address have failed")
        self.seconds = seconds


class Guesses:
    """Counts per address. `clock` is monotonic seconds."""

    def __init__(
        self, settings: SignInSettings, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._buckets = TokenBuckets(
            burst=settings.failures, per_second=settings.failures / settings.seconds
        )
        self._clock = clock
        self._key = os.urandom(32)
        self._known: dict[bytes, None] = {}

    def knows(self, host: str, authorization: str) -> bool:
        """Return whether this sign-in was right before from that address (of the newest)."""
        return self._mark(host, authorization) in self._known

    def begin(self, host: str) -> None:
        """A password is about to be checked. Raises `TooManyGuesses`."""
        wait = self._buckets.take(source_of(host), self._clock())
        if wait > 0:
            raise TooManyGuesses(math.ceil(wait))

    def was_right(self, host: str, authorization: str) -> None:
        """What began was no guess: it counts for nothing, and is known from now on."""
        self._buckets.give_back(source_of(host), self._clock())
        self._known[self._mark(host, authorization)] = None
        if len(self._known) > _MOST_KNOWN:
            del self._known[next(iter(self._known))]

    def _mark(self, host: str, authorization: str) -> bytes:
        text = f"{source_of(host)} {authorization}"
        return hmac.digest(self._key, text.encode("utf-8", "surrogatepass"), "sha256")
