"""What every session needs of its endpoint: transactions, names, timers and who is told.

Values only; the sessions themselves are in `session`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

from .events import Event
from .hop import Route
from .message import HeaderList
from .transaction import Timers
from .transactions import Transactions

if TYPE_CHECKING:
    from .session import Session


class Identity(Protocol):
    """How this endpoint names itself in the messages of a session."""

    def via(self, route: Route) -> str:
        """A Via value with a new branch."""

    def contact(self, route: Route, parameters: str, *, sips: bool) -> str:
        """A Contact value that leads back here, with a SIPS URI or a SIP URI."""

    @property
    def own_headers(self) -> HeaderList:
        """Headers for every request and 2xx: Allow, Supported, User-Agent."""


@dataclasses.dataclass(frozen=True, slots=True)
class SessionContext:
    """What all sessions of one endpoint share.

    `emit` takes what happened; `forget` is called once, when a session has ended. `patience` is
    how long in seconds the application may leave the first INVITE without a final response.
    """

    transactions: Transactions
    identity: Identity
    timers: Timers
    emit: Callable[[Session, Event], None]
    forget: Callable[[Session], None]
    patience: float = 180.0
