"""Our own requests within a dialog: sent in order, acknowledged, each with its one outcome.

Pure. Knows whether an offer of ours is open, so that offers do not cross (RFC 3261 §14.1).
"""

from __future__ import annotations

from collections.abc import Callable

from .context import SessionContext
from .dialog import Dialog
from .hop import Route
from .message import HeaderList, SipResponse
from .transactions import Transmit

OFFERING = ("INVITE", "UPDATE")

Outcome = SipResponse | str  # the final response, or why none came: "timeout", "transport"
Done = Callable[[Outcome, float], None]


class OwnRequests:
    """The requests of one side of a dialog."""

    def __init__(
        self,
        dialog: Dialog,
        context: SessionContext,
        *,
        contact: Callable[[Route], HeaderList],
        finished: Callable[[str, Outcome, float], None],
    ) -> None:
        self._dialog = dialog
        self._transactions = context.transactions
        self._identity = context.identity
        self._contact = contact
        self._finished = finished
        self._open_offers = 0
        self._acks: dict[int, Transmit] = {}

    @property
    def offering(self) -> bool:
        """True while an offer of ours waits for its answer."""
        return self._open_offers > 0

    def send(
        self, method: str, now: float, done: Done, headers: HeaderList = (), body: bytes = b""
    ) -> None:
        """Send a request; `done` gets the final outcome, once."""
        route = self._dialog.route()
        if method in OFFERING:
            headers = [*self._contact(route), *self._identity.own_headers, *headers]
        request = self._dialog.request(method, self._identity.via(route), headers, body)
        offers = method == "INVITE" or (method == "UPDATE" and bool(body))
        self._open_offers += offers

        def finish(outcome: Outcome, at: float) -> None:
            self._open_offers -= offers
            self._finished(method, outcome, at)
            done(outcome, at)

        def respond(response: SipResponse, at: float) -> None:
            if response.code >= 200 and not self._repeated(response):
                finish(response, at)

        self._transactions.send(request, route, respond, finish, now)

    def _repeated(self, response: SipResponse) -> bool:
        """Acknowledge a 2xx to an INVITE; True when it came before already."""
        if response.method != "INVITE" or response.code >= 300:
            return False
        if self.repeat_ack(response):
            return True
        self._dialog.refresh_target(response)
        self.acknowledge(response)
        return False

    def acknowledge(self, response: SipResponse) -> None:
        """Send the ACK of a 2xx to an INVITE (RFC 3261 §13.2.2.4)."""
        route = self._dialog.route()
        request = self._dialog.ack(response.cseq, self._identity.via(route))
        transmit = Transmit(request.encode(), route)
        self._acks = {response.cseq: transmit}  # only the newest INVITE can still repeat its 2xx
        self._transactions.outbox.append(transmit)

    def repeat_ack(self, response: SipResponse) -> bool:
        """A 2xx may have come again: then so does its ACK. False when it is a new one."""
        ack = self._acks.get(response.cseq)
        if ack is None:
            return False
        self._transactions.outbox.append(ack)
        return True
