"""Making one item ahead: in order, never more than one, and nothing left behind."""

from __future__ import annotations

import asyncio
from typing import NamedTuple

import pytest

from crypto_server.playing.ahead import Ahead


class Number(NamedTuple):
    """An item."""

    value: int
    last: bool


class Source:
    """Gives the numbers below `count`; the number `fails` is an error, `gate` holds them back."""

    def __init__(self, count: int, fails: int | None = None) -> None:
        self.begun = 0
        self.gate = asyncio.Event()
        self.gate.set()
        self._count = count
        self._fails = fails

    async def make(self) -> Number:
        """Make the next number."""
        value = self.begun
        self.begun += 1
        await self.gate.wait()
        if value == self._fails:
            raise ValueError(f"number {value}")
        return Number(value, value == self._count - 1)


async def test_items_come_in_order_and_end() -> None:
    """Every item comes once, and nothing is made behind the last one."""
    source = Source(3)
    ahead = Ahead(source.make)
    assert [await ahead.next() for _ in range(3)] == [(0, False), (1, False), (2, True)]
    await ahead.close()
    assert source.begun == 3


async def test_only_one_is_made_ahead() -> None:
    """However long an item is used, only the one after it is made meanwhile."""
    source = Source(10)
    ahead = Ahead(source.make)
    await ahead.next()
    for _ in range(20):
        await asyncio.sleep(0)
    assert source.begun == 2
    await ahead.close()


async def test_an_error_comes_in_its_place() -> None:
    """What cannot be made is told when it is asked for, not before."""
    ahead = Ahead(Source(3, fails=1).make)
    assert (await ahead.next()).value == 0
    with pytest.raises(ValueError, match="number 1"):
        await ahead.next()
    await ahead.close()


@pytest.mark.parametrize("fails", [None, 1])
async def test_close_leaves_nothing_behind(fails: int | None) -> None:
    """An item under way is stopped, its error is nobody's, and no task remains."""
    source = Source(3, fails=fails)
    ahead = Ahead(source.make)
    await ahead.next()
    if fails is None:
        source.gate.clear()
    await asyncio.sleep(0)
    await ahead.close()
    await ahead.close()
    assert asyncio.all_tasks() == {asyncio.current_task()}
