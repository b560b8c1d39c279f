"""Waiting ends with the state, or with a sentence about what was missing."""

from __future__ import annotations

import pytest

from reclab.faults.waiting import NotInTime, wait_until


async def test_waiting_ends_with_the_state() -> None:
    """What is missing is told until nothing is."""
    answers, told = ["2 wait", "1 waits", ""], list[str]()

    async def missing() -> str:
        return answers.pop(0)

    await wait_until(missing, within=60, tell=told.append, what="everything arrives")
    assert told == ["everything arrives: 2 wait", "everything arrives: 1 waits"]


async def test_waiting_gives_up_with_the_reason() -> None:
    """A state that is never reached is a sentence with the limit and what was missing last."""

    async def missing() -> str:
        return "1 waits"

    with pytest.raises(NotInTime, match="everything arrives: not within 0 s, 1 waits"):
        await wait_until(missing, within=0, tell=print, what="everything arrives")
