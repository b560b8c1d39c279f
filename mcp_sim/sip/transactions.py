"""All transactions of one endpoint: which message belongs to which, and what is due when.

Pure: messages and `now` go in, `Transmit` orders pile up in `outbox`, the users are called back.
Matching follows RFC 3261 §17.1.3 and §17.2.3, with a fallback for peers without a branch cookie.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Protocol

from .alarms import Alarms
from .client_transaction import ClientTransaction, InviteClientTransaction
from .hop import Hop, Route, default_port
from .message import HeaderList, SipRequest, SipResponse
from .outgoing import OutgoingRequest, build_response, refusal_ack
from .server_transaction import InviteServerTransaction, ServerTransaction
from .transaction import Action, Failed, NeedsTrying, PassUp, Send, State, Timers

COOKIE = "z9hG4bK"
DEFAULT_PORT = 5060

TransactionKey = tuple[str, ...]


@dataclasses.dataclass(frozen=True, slots=True)
class Transmit:
    """Send `data` along `route`; `key` names the transaction to tell when that fails."""

    data: bytes
    route: Route
    key: TransactionKey | None = None


class Alarmed(Protocol):
    """Somebody else whose deadline stands on the same heap."""

    def fire(self, now: float) -> None:
        """Do what is due."""


@dataclasses.dataclass(slots=True, eq=False)
class Incoming:
    """A request of a peer with its server transaction.

    Whoever may be interrupted by a CANCEL sets `on_cancel`, and `local_tag` for its answer.
    """

    request: SipRequest
    machine: ServerTransaction
    route: Route
    key: TransactionKey
    merge_key: TransactionKey | None
    local_tag: str = ""
    on_cancel: Callable[[float], None] | None = None

    @property
    def answered(self) -> bool:
        """True once it has its final response."""
        return self.machine.answered


@dataclasses.dataclass(slots=True, eq=False)
class Outgoing:
    """A request of ours with its client transaction and who waits for the answer."""

    request: OutgoingRequest
    machine: ClientTransaction
    route: Route
    key: TransactionKey
    on_response: Callable[[SipResponse, float], None]
    on_failure: Callable[[str, float], None]


class RequestUser(Protocol):
    """Whoever takes the requests of peers."""

    def on_request(self, incoming: Incoming, now: float) -> None:
        """Take a new request."""

    def on_ack(self, request: SipRequest, now: float) -> None:
        """Take an ACK that belongs to a 2xx (or to nothing)."""

    def on_unconfirmed(self, incoming: Incoming, now: float) -> None:
        """An INVITE refused with 300 or above never got its ACK."""


class Transactions:
    """The table of transactions; `outbox` holds what has to be sent, in order."""

    def __init__(self, user: RequestUser, timers: Timers, limit: int = 20_000) -> None:
        self.outbox: list[Transmit] = []
        self.alarms: Alarms[Incoming | Outgoing | Alarmed] = Alarms()
        self.overflows = 0
        self._user = user
        self._timers = timers
        self._limit = limit
        self._incoming: dict[TransactionKey, Incoming] = {}
        self._outgoing: dict[TransactionKey, Outgoing] = {}
        self._merges: dict[TransactionKey, Incoming] = {}

    def __len__(self) -> int:
        return len(self._incoming) + len(self._outgoing)

    def receive_request(self, request: SipRequest, now: float) -> None:
        """Match a request; a new one goes to the user, a repeated one to its transaction."""
        key = server_key(request, request.method)
        known = self._incoming.get(key)
        if known is not None:
            self._run_incoming(known, known.machine.receive(request, now), now)
        elif request.method == "ACK":
            self._user.on_ack(request, now)
        elif len(self) >= self._limit:
            self.overflows += 1
            self.answer_stateless(request, 503, headers=[("Retry-After", "5")])
        else:
            self._user.on_request(self._open(request, key, now), now)

    def receive_response(self, response: SipResponse, now: float) -> None:
        """Match a response; a stray one is dropped (RFC 3261 §18.1.2)."""
        known = self._outgoing.get((response.branch, response.method))
        if known is not None:
            self._run_outgoing(known, known.machine.receive(response, now), now)

    def respond(self, incoming: Incoming, code: int, data: bytes, now: float) -> None:
        """Answer through the server transaction."""
        self._run_incoming(incoming, incoming.machine.respond(code, data, now), now)

    def answer_stateless(
        self, request: SipRequest, code: int, *, to_tag: str = "", headers: HeaderList = ()
    ) -> None:
        """Answer without keeping anything (RFC 3261 §8.2.7)."""
        data = build_response(request, code, to_tag=to_tag, headers=headers)
        self.outbox.append(Transmit(data, response_route(request)))

    def send(
        self,
        request: OutgoingRequest,
        route: Route,
        on_response: Callable[[SipResponse, float], None],
        on_failure: Callable[[str, float], None],
        now: float,
    ) -> Outgoing:
        """Start a client transaction; the branch is read from the request's topmost Via."""
        data = request.encode()
        reliable = route.hop.reliable
        machine: ClientTransaction
        if request.method == "INVITE":
            machine = InviteClientTransaction(
                data,
                lambda response: refusal_ack(request, response),
                reliable=reliable,
                timers=self._timers,
            )
        else:
            machine = ClientTransaction(data, reliable=reliable, timers=self._timers)
        branch = request.header("Via").partition(";branch=")[2].partition(";")[0]
        key = (branch, request.method)
        outgoing = Outgoing(request, machine, route, key, on_response, on_failure)
        self._outgoing[key] = outgoing
        self._run_outgoing(outgoing, machine.start(now), now)
        return outgoing

    def abandon(self, outgoing: Outgoing, now: float) -> None:
        """Bound the wait for the final response of a cancelled INVITE."""
        if isinstance(outgoing.machine, InviteClientTransaction):
            outgoing.machine.abandon(now)
            self._settle(outgoing)

    def transmit_failed(self, key: TransactionKey, now: float) -> None:
        """The transport could not send for this transaction."""
        outgoing = self._outgoing.get(key)
        if outgoing is not None:
            self._run_outgoing(outgoing, outgoing.machine.fail(), now)

    def pending_invite(self, cancel: SipRequest) -> Incoming | None:
        """The INVITE transaction that a CANCEL names (RFC 3261 §9.2)."""
        return self._incoming.get(server_key(cancel, "INVITE"))

    def merged(self, incoming: Incoming) -> bool:
        """True when the same request came already by another way (RFC 3261 §8.2.2.2)."""
        if incoming.merge_key is None:
            return False
        return self._merges.get(incoming.merge_key) is not incoming

    def fire(self, now: float) -> None:
        """Do everything that is due at `now`."""
        while (owner := self.alarms.pop_due(now)) is not None:
            if isinstance(owner, Incoming):
                self._run_incoming(owner, owner.machine.fire(now), now)
            elif isinstance(owner, Outgoing):
                self._run_outgoing(owner, owner.machine.fire(now), now)
            else:
                owner.fire(now)

    def _open(self, request: SipRequest, key: TransactionKey, now: float) -> Incoming:
        reliable = request.source.reliable
        machine = (
            InviteServerTransaction(reliable=reliable, timers=self._timers, now=now)
            if request.method == "INVITE"
            else ServerTransaction(reliable=reliable, timers=self._timers, now=now)
        )
        merge_key = None
        if not request.to_tag:
            merge_key = (request.call_id, request.from_tag, str(request.cseq), request.method)
        incoming = Incoming(request, machine, response_route(request), key, merge_key)
        self._incoming[key] = incoming
        if merge_key is not None:
            self._merges.setdefault(merge_key, incoming)
        self.alarms.set(incoming, machine.deadline)
        return incoming

    def _run_incoming(self, incoming: Incoming, actions: list[Action], now: float) -> None:
        for action in actions:
            if isinstance(action, Send):
                self.outbox.append(Transmit(action.data, incoming.route, incoming.key))
            elif isinstance(action, NeedsTrying):
                trying = build_response(incoming.request, 100)
                self.respond(incoming, 100, trying, now)
            elif isinstance(action, PassUp) and isinstance(action.message, SipRequest):
                self._user.on_ack(action.message, now)
            elif isinstance(action, Failed):
                self._user.on_unconfirmed(incoming, now)
        self._settle(incoming)

    def _run_outgoing(self, outgoing: Outgoing, actions: list[Action], now: float) -> None:
        for action in actions:
            if isinstance(action, Send):
                self.outbox.append(Transmit(action.data, outgoing.route, outgoing.key))
            elif isinstance(action, PassUp) and isinstance(action.message, SipResponse):
                outgoing.on_response(action.message, now)
            elif isinstance(action, Failed):
                outgoing.on_failure(action.why, now)
        self._settle(outgoing)

    def _settle(self, owner: Incoming | Outgoing) -> None:
        """Move the owner's alarm; forget it when its transaction has ended."""
        self.alarms.set(owner, owner.machine.deadline)
        if owner.machine.state is not State.TERMINATED:
            return
        if isinstance(owner, Outgoing):
            self._outgoing.pop(owner.key, None)
            return
        self._incoming.pop(owner.key, None)
        if owner.merge_key is not None and self._merges.get(owner.merge_key) is owner:
            del self._merges[owner.merge_key]


def server_key(request: SipRequest, method: str) -> TransactionKey:
    """What makes a request belong to a server transaction (RFC 3261 §17.2.3)."""
    method = "INVITE" if method == "ACK" else method
    branch = request.via.parameters.get("branch") or ""
    sent_by = f"{request.via.host.lower()}:{request.via.port or DEFAULT_PORT}"
    if branch.startswith(COOKIE) and len(branch) > len(COOKIE):
        return (branch, sent_by, method)
    # RFC 2543: the ACK carries the INVITE's Request-URI, From, Call-ID, CSeq number and Via.
    return (request.raw_uri, request.from_tag, request.call_id, str(request.cseq), sent_by, method)


def response_route(request: SipRequest) -> Route:
    """Where responses go (RFC 3261 §18.2.2, RFC 3581 §4)."""
    source = request.source
    port = request.via.port or default_port(source.transport)
    if source.transport == "udp":
        symmetric = "rport" in request.via.parameters
        return Route(Hop("udp", source.host, source.port if symmetric else port))
    return Route(source, fallback=Hop(source.transport, source.host, port))
