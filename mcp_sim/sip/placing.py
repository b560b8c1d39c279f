"""Placing a call: our INVITE until its final response, CANCEL, and answers of several phones.

Pure. One `Placement` per INVITE; its outcome is told once: the established session, the
refusing response, or why none came.
"""

from __future__ import annotations

from collections.abc import Callable

from .context import SessionContext
from .dialog import Dialog
from .hop import Route
from .message import SipResponse
from .outgoing import OutgoingRequest, cancel_request
from .session import Session
from .transactions import Outgoing

PlacementOutcome = tuple[Session, SipResponse] | SipResponse | str


class Placement:
    """The calling side of an INVITE (RFC 3261 §13.2)."""

    def __init__(
        self,
        invite: OutgoingRequest,
        local_tag: str,
        context: SessionContext,
        *,
        contact_parameters: str,
        adopt: Callable[[Session], None],
        done: Callable[[PlacementOutcome, float], None],
    ) -> None:
        self._invite = invite
        self._local_tag = local_tag
        self._context = context
        self._transactions = context.transactions
        self._contact_parameters = contact_parameters
        self._adopt = adopt
        self._done: Callable[[PlacementOutcome, float], None] | None = done
        self._outgoing: Outgoing | None = None
        self._ringing = False
        self._cancelled = False
        self._sessions: dict[str, Session] = {}

    def start(self, route: Route, now: float) -> None:
        """Send the INVITE."""
        self._outgoing = self._transactions.send(
            self._invite, route, self._on_response, self._on_failure, now
        )

    def cancel(self, now: float) -> None:
        """Take the INVITE back; CANCEL waits for a provisional response (RFC 3261 §9.1)."""
        self._cancelled = True
        if self._ringing:
            self._send_cancel(now)

    def _send_cancel(self, now: float) -> None:
        if self._outgoing is None or self._done is None:
            return
        self._transactions.send(
            cancel_request(self._invite),
            self._outgoing.route,
            lambda response, at: None,
            lambda why, at: None,
            now,
        )
        self._transactions.abandon(self._outgoing, now)

    def _on_failure(self, why: str, now: float) -> None:
        self._finish(why, now)

    def _on_response(self, response: SipResponse, now: float) -> None:
        if response.code < 200:
            first, self._ringing = not self._ringing, True
            if first and self._cancelled:
                self._send_cancel(now)
        elif response.code < 300:
            self._accepted(response, now)
        else:
            self._finish(response, now)

    def _accepted(self, response: SipResponse, now: float) -> None:
        """A 2xx: the first makes the call, other phones' are acknowledged and hung up."""
        known = self._sessions.get(response.to_tag)
        if known is not None:
            known.repeated_answer(response)
            return
        session = Session(
            Dialog.as_client(self._invite, response, self._local_tag),
            self._context,
            contact_parameters=self._contact_parameters,
        )
        self._sessions[response.to_tag] = session
        session.establish(response)
        if self._done is None or self._cancelled:
            session.bye(now, lambda outcome, at: None)
            self._finish("cancelled", now)
            return
        self._adopt(session)
        self._finish((session, response), now)

    def _finish(self, outcome: PlacementOutcome, now: float) -> None:
        done, self._done = self._done, None
        if done is not None:
            done(outcome, now)
