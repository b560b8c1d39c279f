"""One call's signalling: a dialog with its INVITEs, answers, in-dialog requests and its end.

Pure: `now` in seconds goes in; what is to be sent goes to the transactions, what happened goes
to `events`. It repeats each 2xx until its ACK comes (RFC 3261 §13.3.1.4), keeps offers from
crossing (§14, RFC 3311 §5.2) and ends the dialog in order (§15).
"""

from __future__ import annotations

import enum

from .answering import UnackedAnswers
from .asking import OFFERING, Done, Outcome, OwnRequests
from .context import SessionContext
from .dialog import Dialog
from .errors import CallBusy, CallGone
from .events import Acked, Ended, EndedBy, RequestArrived
from .hop import Route
from .message import HeaderList, SipRequest, SipResponse
from .outgoing import build_response
from .transactions import Incoming

MAX_PENDING = 16
RETRY_SOON = ("Retry-After", "2")


class Stage(enum.Enum):
    """How far a session has come."""

    EARLY = "early"
    ESTABLISHED = "established"
    ENDED = "ended"


class Session:
    """A call as either side of the INVITE sees it; `dialog.key` names it."""

    def __init__(
        self, dialog: Dialog, context: SessionContext, *, contact_parameters: str = ""
    ) -> None:
        self.dialog = dialog
        self.stage = Stage.EARLY
        self.contact_parameters = contact_parameters
        self._context = context
        self._transactions = context.transactions
        self._identity = context.identity
        self._initial: Incoming | None = None
        self._pending: list[Incoming] = []
        self._unacked = UnackedAnswers(context.transactions, context.timers, self._ack_missing)
        self._own = OwnRequests(
            dialog, context, contact=self._contact, finished=self._after_request
        )
        self._bye_after_ack: Done | None = None
        self._bye_headers: HeaderList = ()

    @property
    def open(self) -> bool:
        """True until the session has ended."""
        return self.stage is not Stage.ENDED

    # The called side of the first INVITE

    def begin(self, incoming: Incoming, now: float) -> None:
        """Take the INVITE that made this session."""
        self._initial = incoming
        self._hold(incoming)
        self._transactions.alarms.set(self, now + self._context.patience)

    def fire(self, now: float) -> None:
        """The application never answered the first INVITE."""
        if self._initial is not None and self._initial in self._pending:
            self._refuse(self._initial, 500, now)
            self._end("timeout", now)

    def _hold(self, incoming: Incoming) -> None:
        """Keep a request until the application answers it or the peer takes it back."""
        self._pending.append(incoming)
        incoming.local_tag = self.dialog.local_tag
        if incoming.request.method == "INVITE":
            incoming.on_cancel = lambda now: self.cancel(incoming, now)

    def cancel(self, incoming: Incoming, now: float) -> None:
        """The peer took its INVITE back (RFC 3261 §9.2)."""
        if incoming not in self._pending:
            return
        self._refuse(incoming, 487, now)
        if incoming is self._initial:
            self._end("cancel", now)

    # Requests of the peer

    def receive(self, incoming: Incoming, now: float) -> None:
        """Take a request within the dialog (ACK and CANCEL come by their own ways)."""
        request = incoming.request
        if not self.dialog.in_order(request):
            self._reply(incoming, 500, now)
        elif request.method == "BYE":
            self._reply(incoming, 200, now)
            self._end("bye", now)
        elif request.method == "OPTIONS" or (request.method == "UPDATE" and not request.body):
            self._reply(incoming, 200, now, self._refreshing(incoming))
        elif (refusal := self._crossing(request)) is not None:
            code, headers = refusal
            self._reply(incoming, code, now, headers)
        else:
            self._hold(incoming)
            self._context.emit(self, RequestArrived(incoming))

    def _crossing(self, request: SipRequest) -> tuple[int, HeaderList] | None:
        """Why an offer cannot be taken now (RFC 3261 §14.2, RFC 3311 §5.2)."""
        if len(self._pending) >= MAX_PENDING:
            return 500, [RETRY_SOON]
        if request.method == "INFO":
            return None
        if self._own.offering:
            return 491, ()
        return (500, [RETRY_SOON]) if self._offered else None

    @property
    def _offered(self) -> bool:
        """True while an offer of the peer waits for its answer."""
        return any(incoming.request.method in OFFERING for incoming in self._pending)

    def receive_ack(self, request: SipRequest, now: float) -> None:
        """Take the ACK of a 2xx; a repeated one is dropped."""
        if not self._unacked.acknowledge(request.cseq) or not self.open:
            return
        self._context.emit(self, Acked(request.body, request.content_type))
        if self._bye_after_ack is not None and not self._unacked:
            waiting, self._bye_after_ack = self._bye_after_ack, None
            self._send_bye(waiting, now)

    # Our responses

    def provisional(
        self, code: int, now: float, *, headers: HeaderList = (), body: bytes = b""
    ) -> None:
        """Send 101 to 199 to the first INVITE, with our tag and Contact."""
        incoming = self._initial
        if incoming is None or incoming not in self._pending:
            raise CallGone("the call is no longer waiting for an answer")
        self._reply(incoming, code, now, [*self._contact(incoming.route), *headers], body)

    def answer(
        self,
        incoming: Incoming,
        code: int,
        now: float,
        *,
        reason: str = "",
        headers: HeaderList = (),
        body: bytes = b"",
    ) -> None:
        """Give the final response to a request that was handed out.

        Raises CallGone when it was taken back or the call has ended meanwhile.
        """
        if incoming not in self._pending:
            raise CallGone("the request is no longer waiting for an answer")
        accepted = 200 <= code < 300
        if accepted and incoming.request.method in OFFERING:
            headers = [*self._refreshing(incoming), *headers]
        data = self._reply(incoming, code, now, headers, body, reason)
        self._pending.remove(incoming)
        if incoming.request.method != "INVITE":
            return
        if accepted:
            self._unacked.wait(incoming.request.cseq, data, incoming.route, now)
        if incoming is self._initial:
            self._transactions.alarms.set(self, None)
            if accepted:
                self.stage = Stage.ESTABLISHED
            else:
                self._close()

    def _refreshing(self, incoming: Incoming) -> HeaderList:
        """The headers of a 2xx to a target refresh; takes the peer's new Contact."""
        if incoming.request.method in OFFERING:
            self.dialog.refresh_target(incoming.request)
            self.dialog.flow = incoming.request.source
        return [*self._contact(incoming.route), *self._identity.own_headers]

    def _reply(
        self,
        incoming: Incoming,
        code: int,
        now: float,
        headers: HeaderList = (),
        body: bytes = b"",
        reason: str = "",
    ) -> bytes:
        request = incoming.request
        if incoming is self._initial and 100 < code < 300:
            routes = request.headers.getlist("Record-Route")
            headers = [*(("Record-Route", value) for value in routes), *headers]
        data = build_response(
            request,
            code,
            reason=reason,
            to_tag=self.dialog.local_tag,
            headers=headers,
            body=body,
        )
        self._transactions.respond(incoming, code, data, now)
        return data

    def _refuse(self, incoming: Incoming, code: int, now: float) -> None:
        self._pending.remove(incoming)
        self._reply(incoming, code, now)

    def _ack_missing(self, now: float) -> None:
        """No ACK in 64*T1: the dialog is confirmed, so it is ended by BYE (§13.3.1.4)."""
        if self.open:
            waiting, self._bye_after_ack = self._bye_after_ack, None
            self._send_bye(waiting or _ignore, now, by="ack-missing")

    def _contact(self, route: Route) -> HeaderList:
        sips = self.dialog.sips
        return [("Contact", self._identity.contact(route, self.contact_parameters, sips=sips))]

    # Our requests

    def establish(self, response: SipResponse) -> None:
        """The first 2xx to our INVITE came: acknowledge it."""
        self.stage = Stage.ESTABLISHED
        self._own.acknowledge(response)

    def repeated_answer(self, response: SipResponse) -> None:
        """A 2xx came again: so does its ACK (RFC 3261 §13.2.2.4)."""
        self._own.repeat_ack(response)

    def request(
        self,
        method: str,
        now: float,
        done: Done,
        *,
        headers: HeaderList = (),
        body: bytes = b"",
    ) -> None:
        """Send a request within the dialog; `done` gets the final outcome, once.

        Raises CallGone when the call is not established, CallBusy when an offer of ours or the
        peer's is still open (re-INVITE and UPDATE).
        """
        if self.stage is not Stage.ESTABLISHED:
            raise CallGone("the call is not established")
        if method in OFFERING and (self._own.offering or self._offered or self._unacked):
            raise CallBusy("an offer of this call is still open")
        self._own.send(method, now, done, headers, body)

    def _after_request(self, method: str, outcome: Outcome, now: float) -> None:
        """A peer that does not know the dialog, or says nothing, has lost it (§12.2.1.2)."""
        if method == "BYE" or not self.open:
            return
        if isinstance(outcome, str):
            self._end("timeout" if outcome == "timeout" else "transport", now)
        elif outcome.code in (408, 481):
            self._end("timeout" if outcome.code == 408 else "bye", now)

    def glare_pause(self, chance: float) -> float:
        """Seconds to wait after a 491 (RFC 3261 §14.1); `chance` is drawn from 0 to 1."""
        return 2.1 + 1.9 * chance if self._initial is None else 2.0 * chance

    # The end

    def bye(self, now: float, done: Done, headers: HeaderList = ()) -> None:
        """Hang up. Before our 2xx is acknowledged the BYE waits for the ACK (RFC 3261 §15).

        `headers` go with it: a Reason (RFC 3326).

        Raises CallGone when the call is not established.
        """
        if self.stage is not Stage.ESTABLISHED or self._bye_after_ack is not None:
            raise CallGone("the call is not established")
        self._bye_headers = headers
        if self._unacked:
            self._bye_after_ack = done
            return
        self._send_bye(done, now)

    def _send_bye(self, done: Done, now: float, by: EndedBy = "local") -> None:
        self._end(by, now)
        self._own.send("BYE", now, done, self._bye_headers)

    def _end(self, by: EndedBy, now: float) -> None:
        for incoming in list(self._pending):
            self._refuse(incoming, 487, now)
        if not self.open:
            return
        self._context.emit(self, Ended(by))
        self._close()
        waiting, self._bye_after_ack = self._bye_after_ack, None
        if waiting is not None:
            waiting(by, now)  # the other side hung up first

    def _close(self) -> None:
        self.stage = Stage.ENDED
        self._transactions.alarms.set(self, None)
        self._unacked.clear()
        self._context.forget(self)


def _ignore(outcome: Outcome, now: float) -> None:
    """Nobody waits for this outcome."""
