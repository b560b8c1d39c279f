"""The client transactions: a request of ours until its final response.

Pure state machines of RFC 3261 §17.1 and RFC 6026 §7.2.
"""

from __future__ import annotations

from collections.abc import Callable

from .message import SipResponse
from .transaction import Action, Failed, PassUp, Send, State, Timers

RINGING = 185.0  # seconds from one provisional response to the next (as timer C, §16.6)


class ClientTransaction:
    """A non-INVITE client transaction (RFC 3261 §17.1.2)."""

    def __init__(self, request: bytes, *, reliable: bool, timers: Timers) -> None:
        self.state = State.TRYING
        self.request = request
        self.deadline: float | None = None
        self._reliable = reliable
        self._timers = timers
        self._interval = timers.t1
        self._resend_at: float | None = None
        self._end_at: float | None = None

    def start(self, now: float) -> list[Action]:
        """Send the request and start the timers (E and F, or A and B)."""
        self._resend_at = None if self._reliable else now + self._interval
        self._end_at = now + self._timers.give_up
        self._schedule()
        return [Send(self.request)]

    def receive(self, response: SipResponse, now: float) -> list[Action]:
        """Take a response that matches this transaction."""
        if self.state not in (State.TRYING, State.PROCEEDING):
            return []
        if response.code < 200:
            self.state = State.PROCEEDING
        else:
            self._complete(now)
        return [PassUp(response)]

    def fail(self) -> list[Action]:
        """The transport could not send the request (RFC 3261 §17.1.4)."""
        if self.state in (State.COMPLETED, State.TERMINATED):
            return []
        self._terminate()
        return [Failed("transport")]

    def fire(self, now: float) -> list[Action]:
        """Do what is due at `now`."""
        if self._end_at is not None and now >= self._end_at:
            completed = self.state is State.COMPLETED
            self._terminate()
            return [] if completed else [Failed("timeout")]
        if self._resend_at is None or now < self._resend_at:
            return []
        doubled = min(2 * self._interval, self._timers.t2)
        self._interval = self._timers.t2 if self.state is State.PROCEEDING else doubled
        self._resend_at = now + self._interval
        self._schedule()
        return [Send(self.request)]

    def _complete(self, now: float) -> None:
        self.state = State.COMPLETED
        self._resend_at = None
        self._end_at = now + (0.0 if self._reliable else self._timers.t4)  # timer K
        self._schedule()

    def _terminate(self) -> None:
        self.state = State.TERMINATED
        self._resend_at = self._end_at = None
        self._schedule()

    def _schedule(self) -> None:
        self.deadline = min(
            (at for at in (self._resend_at, self._end_at) if at is not None), default=None
        )


class InviteClientTransaction(ClientTransaction):
    """An INVITE client transaction (RFC 3261 §17.1.1, RFC 6026 §7.2).

    `build_ack` makes the ACK to a final response of 300 or above (RFC 3261 §17.1.1.3).
    """

    def __init__(
        self,
        request: bytes,
        build_ack: Callable[[SipResponse], bytes],
        *,
        reliable: bool,
        timers: Timers,
    ) -> None:
        super().__init__(request, reliable=reliable, timers=timers)
        self.state = State.CALLING
        self._build_ack = build_ack
        self._ack = b""

    def receive(self, response: SipResponse, now: float) -> list[Action]:
        """Take a response that matches this transaction."""
        if self.state in (State.CALLING, State.PROCEEDING):
            return self._receive_first(response, now)
        if self.state is State.ACCEPTED and 200 <= response.code < 300:
            return [PassUp(response)]  # the user repeats its ACK, or ends a forked dialog
        if self.state is State.COMPLETED and response.code >= 300:
            return [Send(self._ack)]
        return []

    def _receive_first(self, response: SipResponse, now: float) -> list[Action]:
        self._resend_at = None
        if response.code < 200:
            self.state = State.PROCEEDING
            self._end_at = now + max(RINGING, self._timers.give_up)
            self._schedule()
            return [PassUp(response)]
        if response.code < 300:
            self.state = State.ACCEPTED
            self._end_at = now + self._timers.give_up  # timer M
            self._schedule()
            return [PassUp(response)]
        self.state = State.COMPLETED
        self._ack = self._build_ack(response)
        self._end_at = now + (0.0 if self._reliable else max(32.0, self._timers.give_up))
        self._schedule()
        return [Send(self._ack), PassUp(response)]

    def fail(self) -> list[Action]:
        """The transport could not send: before a final response the call has failed."""
        if self.state is State.ACCEPTED:
            return []
        return super().fail()

    def fire(self, now: float) -> list[Action]:
        """Do what is due at `now`: timer A doubles without the bound of T2."""
        if self._end_at is not None and now >= self._end_at:
            answered = self.state in (State.ACCEPTED, State.COMPLETED)
            self._terminate()
            return [] if answered else [Failed("timeout")]
        if self._resend_at is None or now < self._resend_at:
            return []
        self._interval *= 2
        self._resend_at = now + self._interval
        self._schedule()
        return [Send(self.request)]

    def abandon(self, now: float) -> None:
        """After CANCEL wait 64*T1 for the final response, not longer (RFC 3261 §9.1)."""
        if self.state in (State.CALLING, State.PROCEEDING):
            self._end_at = now + self._timers.give_up
            self._schedule()
