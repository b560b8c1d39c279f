"""The pure heart of the endpoint: bytes and `now` in, bytes to send and call events out.

It makes the checks every request meets (RFC 3261 §8.2), finds the dialog a message belongs to,
begins and places calls, and answers OPTIONS. The asyncio shell around it is `agent`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

from service_shell.sources import SourceCounts, source_of

from .admission import ACCEPT, refusal
from .asking import Outcome
from .context import SessionContext
from .dialog import Dialog, DialogKey
from .events import Event
from .hop import Hop, Route, is_sips
from .identity import AgentIdentity
from .message import HeaderList, Malformed, MessageLimits, SipRequest, parse_message
from .outgoing import OutgoingRequest, build_response
from .placing import Placement, PlacementOutcome
from .session import Session
from .transaction import Timers
from .transactions import Incoming, Transactions, Transmit

RETRY_LATER = ("Retry-After", "5")


@dataclasses.dataclass(slots=True)
class Counters:
    """What was received and refused, for metrics; only ever grows."""

    requests: int = 0
    responses: int = 0
    malformed: int = 0
    refused: int = 0
    calls_in: int = 0
    calls_out: int = 0


class UserAgent:
    """Requests and responses of one endpoint; drain `take_transmits` and `take_calls`."""

    def __init__(
        self,
        identity: AgentIdentity,
        *,
        timers: Timers | None = None,
        message_limits: MessageLimits | None = None,
        max_calls: int = 4000,
        max_transactions: int = 20_000,
        patience: float = 180.0,
    ) -> None:
        self.counters = Counters()
        self.malformed_from = SourceCounts()
        self.accepting = True
        self._identity = identity
        self._message_limits = message_limits or MessageLimits()
        self._max_calls = max_calls
        timers = timers or Timers()
        self._transactions = Transactions(self, timers, max_transactions)
        self._dialogs: dict[DialogKey, Session] = {}
        self._begun: list[tuple[Session, Incoming]] = []
        self._events: list[tuple[Session, Event]] = []
        self._ended: list[Session] = []
        self._context = SessionContext(
            self._transactions, identity, timers, self._emit, self._forget, patience
        )

    # What the shell drains

    def take_transmits(self) -> list[Transmit]:
        """What has to be sent now, in order."""
        outbox = self._transactions.outbox
        if not outbox:
            return []
        taken = outbox[:]
        outbox.clear()
        return taken

    def take_calls(self) -> list[tuple[Session, Incoming]]:
        """The calls that came in since the last time."""
        begun, self._begun = self._begun, []
        return begun

    def take_events(self) -> list[tuple[Session, Event]]:
        """What happened to calls since the last time, in order for each call."""
        taken, self._events = self._events, []
        return taken

    def take_ended(self) -> list[Session]:
        """The calls that are over since the last time."""
        taken, self._ended = self._ended, []
        return taken

    def next_deadline(self) -> float | None:
        """When `fire` wants to be called, in seconds; None when nothing waits."""
        return self._transactions.alarms.next_deadline()

    @property
    def calls(self) -> list[Session]:
        """The sessions that are open now."""
        return list(self._dialogs.values())

    @property
    def open_calls(self) -> int:
        """How many sessions are open now."""
        return len(self._dialogs)

    @property
    def open_transactions(self) -> int:
        """How many transactions are kept now."""
        return len(self._transactions)

    # Inputs

    def receive(self, data: bytes, source: Hop, now: float) -> None:
        """Take one whole message; bad input is answered or dropped, never raised."""
        if not data.strip(b"\r\n\0 "):
            return  # a keep-alive (RFC 5626 §3.5.1)
        try:
            message = parse_message(
                data, source, self._message_limits, to_tag=self._identity.token()
            )
        except Malformed as problem:
            self.counters.malformed += 1
            self.malformed_from.count(source_of(source.host))
            if problem.reply is not None:
                self._transactions.outbox.append(Transmit(problem.reply, Route(source)))
            return
        if isinstance(message, SipRequest):
            self.counters.requests += 1
            self._transactions.receive_request(message, now)
        else:
            self.counters.responses += 1
            self._transactions.receive_response(message, now)

    def fire(self, now: float) -> None:
        """Do everything that is due at `now`."""
        self._transactions.fire(now)

    def transmit_failed(self, transmit: Transmit, now: float) -> None:
        """The transport could not send this."""
        if transmit.key is not None:
            self._transactions.transmit_failed(transmit.key, now)

    # Requests of peers (the `RequestUser` of the transactions)

    def on_request(self, incoming: Incoming, now: float) -> None:
        """Check a new request (RFC 3261 §8.2) and give it to its call."""
        request = incoming.request
        if request.method == "CANCEL":
            self._on_cancel(incoming, now)
            return
        refused = refusal(request, merged=self._transactions.merged(incoming))
        if refused is not None:
            self.counters.refused += 1
            self._answer(incoming, refused[0], now, refused[1])
            return
        session = self._dialogs.get((request.call_id, request.to_tag, request.from_tag))
        if session is not None:
            session.receive(incoming, now)
        elif request.to_tag or request.method not in ("INVITE", "OPTIONS"):
            self._answer(incoming, 481, now)
        elif request.method == "OPTIONS":
            self._answer(incoming, 200, now, self._abilities(incoming))
        else:
            self._begin(incoming, now)

    def on_ack(self, request: SipRequest, now: float) -> None:
        """Give the ACK of a 2xx to its call; a stray one is dropped."""
        session = self._dialogs.get((request.call_id, request.to_tag, request.from_tag))
        if session is not None:
            session.receive_ack(request, now)

    def on_unconfirmed(self, incoming: Incoming, now: float) -> None:
        """A refusal that was never acknowledged changes nothing: the call is over already."""

    def _on_cancel(self, incoming: Incoming, now: float) -> None:
        invite = self._transactions.pending_invite(incoming.request)
        if invite is None:
            self._answer(incoming, 481, now)
            return
        tag = invite.local_tag or self._identity.token()
        data = build_response(incoming.request, 200, to_tag=tag)
        self._transactions.respond(incoming, 200, data, now)
        if invite.on_cancel is not None:
            invite.on_cancel(now)

    def _begin(self, incoming: Incoming, now: float) -> None:
        if not self.accepting or len(self._dialogs) >= self._max_calls:
            self.counters.refused += 1
            self._answer(incoming, 503, now, [RETRY_LATER])
            return
        try:
            dialog = Dialog.as_server(incoming.request, self._identity.token())
        except ValueError:
            self.counters.refused += 1
            self._answer(incoming, 400, now)
            return
        session = Session(dialog, self._context)
        session.begin(incoming, now)
        self._adopt(session)
        self._begun.append((session, incoming))
        self.counters.calls_in += 1

    def _adopt(self, session: Session) -> None:
        self._dialogs[session.dialog.key] = session

    def _forget(self, session: Session) -> None:
        self._dialogs.pop(session.dialog.key, None)
        self._ended.append(session)

    def _emit(self, session: Session, event: Event) -> None:
        self._events.append((session, event))

    def _answer(self, incoming: Incoming, code: int, now: float, headers: HeaderList = ()) -> None:
        data = build_response(
            incoming.request, code, to_tag=self._identity.token(), headers=headers
        )
        self._transactions.respond(incoming, code, data, now)

    def _abilities(self, incoming: Incoming) -> HeaderList:
        """What an OPTIONS asks for (RFC 3261 §11.2)."""
        asked_by_sips = is_sips(incoming.request.raw_uri)
        return [
            ("Contact", self._identity.contact(incoming.route, sips=asked_by_sips)),
            ("Accept", ", ".join(ACCEPT)),
            ("Accept-Encoding", "identity"),
            *self._identity.own_headers,
        ]

    # Requests of ours

    def sent_by(self, route: Route) -> str:
        """`host:port` of this endpoint for the peer at the end of `route`."""
        return self._identity.sent_by(route)

    def place(
        self,
        route: Route,
        now: float,
        done: Callable[[PlacementOutcome, float], None],
        *,
        uri: str,
        caller: str,
        callee: str,
        call_id: str,
        headers: HeaderList = (),
        body: bytes = b"",
        contact_parameters: str = "",
    ) -> Placement:
        """Send an INVITE; `caller` and `callee` are From and To values without tags."""
        tag = self._identity.token()
        lines = [
            ("Via", self._identity.via(route)),
            ("Max-Forwards", "70"),
            ("From", f"{caller};tag={tag}"),
            ("To", callee),
            ("Call-ID", call_id),
            ("CSeq", "1 INVITE"),
            ("Contact", self._identity.contact(route, contact_parameters, sips=is_sips(uri))),
            *self._identity.own_headers,
            *headers,
        ]
        placement = Placement(
            OutgoingRequest("INVITE", uri, tuple(lines), body),
            tag,
            self._context,
            contact_parameters=contact_parameters,
            adopt=self._adopt,
            done=done,
        )
        self.counters.calls_out += 1
        placement.start(route, now)
        return placement

    def ask_options(
        self, route: Route, now: float, done: Callable[[Outcome, float], None], *, uri: str
    ) -> None:
        """Send an OPTIONS outside any dialog; `done` gets the final outcome, once."""
        host = self._identity.sent_by(route)
        lines = [
            ("Via", self._identity.via(route)),
            ("Max-Forwards", "70"),
            ("From", f"<sip:{host}>;tag={self._identity.token()}"),
            ("To", f"<{uri}>"),
            ("Call-ID", self._identity.token()),
            ("CSeq", "1 OPTIONS"),
            *self._identity.own_headers,
        ]
        request = OutgoingRequest("OPTIONS", uri, tuple(lines))
        self._transactions.send(
            request,
            route,
            lambda response, at: done(response, at) if response.code >= 200 else None,
            done,
            now,
        )
