"""How a scenario ended: its judgements, and where its lab lies when it did not pass."""

from __future__ import annotations

import msgspec

from reclab.faults.outcome import Judgement


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """One scenario. `problem` is why it could not be played to its end, empty when it was.

    `lab` is the folder of the lab, where that was kept.
    """

    scenario: str
    title: str
    seed: int
    seconds: float
    during: tuple[Judgement, ...] = ()
    expect: tuple[Judgement, ...] = ()
    problem: str = ""
    lab: str = ""

    @property
    def passed(self) -> bool:
        """Whether it was played to its end, and everything was as expected."""
        judgements = (*self.during, *self.expect)
        return not self.problem and bool(judgements) and all(one.good for one in judgements)
