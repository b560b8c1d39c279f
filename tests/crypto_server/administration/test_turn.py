"""Changes take turns."""

from __future__ import annotations

import asyncio

import pytest

from crypto_server.administration.errors import TooMuchAtOnce
from crypto_server.administration.turn import Turn


async def test_one_at_a_time() -> None:
    """A second change waits for the first, however that ends."""
    turn, seen = Turn(), []

    async def change(name: str) -> None:
        async with turn:
            seen.append(f"{name} begins")
            await asyncio.sleep(0)
            seen.append(f"{name} ends")
            raise ValueError(name)

    results = await asyncio.gather(change("a"), change("b"), return_exceptions=True)
    assert [str(result) for result in results] == ["a", "b"]
    assert seen == ["a begins", "a ends", "b begins", "b ends"]


async def test_waiting_ends() -> None:
    """Who waits for too long is told so, and the turn is free afterwards."""
    turn = Turn(seconds=0.01)
    async with turn:
        with pytest.raises(TooMuchAtOnce, match="another change is still going on"):
            await turn.__aenter__()
    async with turn:
        pass
