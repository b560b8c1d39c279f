"""What all transactions share: their timers, their states, the actions they return.

The machines of RFC 3261 §17 with the Accepted states of RFC 6026 are in `client_transaction` and
`server_transaction`. Pure: each input (a message, a due timer, a transport failure) comes with
`now` in seconds and returns actions; `deadline` says when `fire` wants to be called next.
"""

from __future__ import annotations

import dataclasses
import enum

from .message import SipRequest, SipResponse


@dataclasses.dataclass(frozen=True, slots=True)
class Timers:
    """The base intervals in seconds (RFC 3261 §17.1.1.1); `trying` is the wait before a 100."""

    t1: float = 0.5
    t2: float = 4.0
    t4: float = 5.0
    trying: float = 0.2

    @property
    def give_up(self) -> float:
        """64*T1: timers B, F, H, L and M."""
        return 64 * self.t1


class State(enum.Enum):
    """Where a transaction stands (RFC 3261 figures 5 to 8, RFC 6026 §7)."""

    CALLING = "calling"
    TRYING = "trying"
    PROCEEDING = "proceeding"
    ACCEPTED = "accepted"
    COMPLETED = "completed"
    CONFIRMED = "confirmed"
    TERMINATED = "terminated"


@dataclasses.dataclass(frozen=True, slots=True)
class Send:
    """Hand these bytes to the transport."""

    data: bytes


@dataclasses.dataclass(frozen=True, slots=True)
class PassUp:
    """Give this message to the transaction user."""

    message: SipRequest | SipResponse


@dataclasses.dataclass(frozen=True, slots=True)
class Failed:
    """Tell the transaction user that no answer came: "timeout" or "transport"."""

    why: str


@dataclasses.dataclass(frozen=True, slots=True)
class NeedsTrying:
    """The user has not answered the INVITE for a while: send 100 (RFC 3261 §17.2.1)."""


Action = Send | PassUp | Failed | NeedsTrying
