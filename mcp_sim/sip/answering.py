"""The 2xx answers of a session that wait for their ACK (RFC 3261 §13.3.1.4).

Pure: each is repeated at T1, doubling to T2, over every transport, and given up after 64*T1.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

from .hop import Route
from .transaction import Timers
from .transactions import Transactions, Transmit


@dataclasses.dataclass(slots=True, eq=False)
class _Answer:
    """One 2xx; an owner of alarms."""

    owner: UnackedAnswers
    sequence: int
    transmit: Transmit
    interval: float
    end_at: float

    def fire(self, now: float) -> None:
        """Repeat it, or give up waiting."""
        self.owner.due(self, now)


class UnackedAnswers:
    """The 2xx of one session by CSeq number; `missing` is told when an ACK never came."""

    def __init__(
        self, transactions: Transactions, timers: Timers, missing: Callable[[float], None]
    ) -> None:
        self._transactions = transactions
        self._timers = timers
        self._missing = missing
        self._answers: dict[int, _Answer] = {}

    def __len__(self) -> int:
        return len(self._answers)

    def wait(self, sequence: int, data: bytes, route: Route, now: float) -> None:
        """Begin to repeat a 2xx that has just been sent."""
        timers = self._timers
        answer = _Answer(self, sequence, Transmit(data, route), timers.t1, now + timers.give_up)
        self._answers[sequence] = answer
        self._transactions.alarms.set(answer, now + timers.t1)

    def acknowledge(self, sequence: int) -> bool:
        """The ACK came; False when nothing waited for it (a repeated ACK)."""
        answer = self._answers.pop(sequence, None)
        if answer is None:
            return False
        self._transactions.alarms.set(answer, None)
        return True

    def clear(self) -> None:
        """Stop repeating: the session is over."""
        for answer in self._answers.values():
            self._transactions.alarms.set(answer, None)
        self._answers.clear()

    def due(self, answer: _Answer, now: float) -> None:
        """An answer's alarm rang."""
        if now >= answer.end_at:
            del self._answers[answer.sequence]
            self._missing(now)
            return
        self._transactions.outbox.append(answer.transmit)
        answer.interval = min(2 * answer.interval, self._timers.t2)
        self._transactions.alarms.set(answer, min(now + answer.interval, answer.end_at))
