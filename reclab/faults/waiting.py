"""Waiting for a state of the lab, never for a time; what is missing is told, a limit ends it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final, TypeAlias

Tell: TypeAlias = Callable[[str], None]
_LOOK_EVERY: Final = 0.1


class NotInTime(Exception):
    """The state was not reached; one sentence says what was missing."""


async def wait_until(
    missing: Callable[[], Awaitable[str]], *, within: float, tell: Tell, what: str
) -> None:
    """Return when `missing` answers nothing. Raises `NotInTime` after `within` seconds.

    `what` is being waited for; both are told meanwhile.
    """
    still = "nobody has looked yet"
    try:
        async with asyncio.timeout(within):
            while still := await missing():
                tell(f"{what}: {still}")
                await asyncio.sleep(_LOOK_EVERY)
    except TimeoutError:
        raise NotInTime(f"{what}: not within {within:g} s, {still}") from None
