"""The server transactions: a request of a peer until its final response is at rest.

Pure state machines of RFC 3261 §17.2 and RFC 6026 §7.1.
"""

from __future__ import annotations

from .message import SipRequest
from .transaction import Action, Failed, NeedsTrying, PassUp, Send, State, Timers


class ServerTransaction:
    """A non-INVITE server transaction (RFC 3261 §17.2.2)."""

    def __init__(self, *, reliable: bool, timers: Timers, now: float) -> None:
        self.state = State.TRYING
        self._reliable = reliable
        self._timers = timers
        self._last = b""
        # A user that never answers must not hold the transaction for ever: by then timer F
        # has ended it at the peer's side too.
        self._end_at: float | None = now + timers.give_up
        self._resend_at: float | None = None
        self.deadline: float | None = self._end_at

    @property
    def answered(self) -> bool:
        """True once a final response was given (or never will be)."""
        return self.state not in (State.TRYING, State.PROCEEDING)

    def receive(self, request: SipRequest, now: float) -> list[Action]:
        """Take a repeated request: the last response goes out again."""
        return [Send(self._last)] if self._last and self.state is not State.TERMINATED else []

    def respond(self, code: int, data: bytes, now: float) -> list[Action]:
        """Send the user's response; a second final response is swallowed."""
        if self.answered:
            return []
        self._last = data
        if code < 200:
            self.state = State.PROCEEDING
        else:
            self.state = State.COMPLETED
            self._end_at = now + (0.0 if self._reliable else self._timers.give_up)  # timer J
            self.deadline = self._end_at
        return [Send(data)]

    def fire(self, now: float) -> list[Action]:
        """Do what is due at `now`."""
        if self._end_at is not None and now >= self._end_at:
            self._terminate()
        return []

    def _terminate(self) -> None:
        self.state = State.TERMINATED
        self._end_at = self._resend_at = self.deadline = None


class InviteServerTransaction(ServerTransaction):
    """An INVITE server transaction (RFC 3261 §17.2.1, RFC 6026 §7.1).

    2xx responses are repeated by the user, not here; each `respond` with a 2xx sends it.
    """

    def __init__(self, *, reliable: bool, timers: Timers, now: float) -> None:
        super().__init__(reliable=reliable, timers=timers, now=now)
        self.state = State.PROCEEDING
        self._interval = timers.t1
        self._end_at = None  # the user's own patience bounds an INVITE
        self._resend_at = now + timers.trying
        self._schedule()

    def receive(self, request: SipRequest, now: float) -> list[Action]:
        """Take a repeated INVITE, or an ACK that matches this transaction."""
        if request.method == "ACK":
            return self._receive_ack(request, now)
        if self.state in (State.PROCEEDING, State.COMPLETED) and self._last:
            return [Send(self._last)]
        return []  # Accepted absorbs them: the user repeats its 2xx

    def _receive_ack(self, request: SipRequest, now: float) -> list[Action]:
        if self.state is State.ACCEPTED:
            return [PassUp(request)]
        if self.state is State.COMPLETED:
            self.state = State.CONFIRMED
            self._resend_at = None
            self._end_at = now + (0.0 if self._reliable else self._timers.t4)  # timer I
            self._schedule()
        return []

    def respond(self, code: int, data: bytes, now: float) -> list[Action]:
        """Send the user's response; in Accepted only further 2xx pass."""
        if self.state is State.ACCEPTED and 200 <= code < 300:
            return [Send(data)]
        if self.state is not State.PROCEEDING:
            return []
        self._resend_at = None
        if code < 200:
            self._last = data
        elif code < 300:
            self.state = State.ACCEPTED
            self._end_at = now + self._timers.give_up  # timer L
        else:
            self._last = data
            self.state = State.COMPLETED
            self._resend_at = None if self._reliable else now + self._interval  # timer G
            self._end_at = now + self._timers.give_up  # timer H
        self._schedule()
        return [Send(data)]

    def fire(self, now: float) -> list[Action]:
        """Do what is due at `now`."""
        if self._end_at is not None and now >= self._end_at:
            unconfirmed = self.state is State.COMPLETED
            self._terminate()
            return [Failed("timeout")] if unconfirmed else []
        if self._resend_at is None or now < self._resend_at:
            return []
        if self.state is State.PROCEEDING:
            self._resend_at = None
            self._schedule()
            return [NeedsTrying()]
        self._interval = min(2 * self._interval, self._timers.t2)
        self._resend_at = now + self._interval
        self._schedule()
        return [Send(self._last)]

    def _schedule(self) -> None:
        self.deadline = min(
            (at for at in (self._resend_at, self._end_at) if at is not None), default=None
        )
