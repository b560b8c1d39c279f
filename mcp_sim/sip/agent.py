"""The SIP agent: one endpoint that takes and places calls over UDP, TCP and TLS.

A thin asyncio shell over `UserAgent`: sockets, one timer for all deadlines, a task for each
incoming call; how calls are placed is `dialing`. `open` it on bound sockets, `close` it; both are
bounded in time.
"""

from __future__ import annotations

import asyncio
import dataclasses
import secrets
import socket
import time
from collections.abc import Awaitable, Callable, Coroutine

import structlog

from .addressing import LocalHosts, resolve
from .asking import Outcome
from .call_events import SDP
from .calls import IncomingCall, OutgoingCall, final_response
from .dialing import Dialing, Invitation
from .errors import CallError, CallGone, SipError
from .hop import Hop, Route, TransportName, bracketed
from .identity import AgentIdentity
from .message import HeaderList, MessageLimits, SipResponse
from .promises import Promises
from .reasons import reason_phrase
from .session import Session
from .transaction import Timers
from .transactions import Incoming, Transmit
from .transport import SipTls, TransportCounters, TransportLimits, Transports
from .user_agent import RETRY_LATER, Counters, UserAgent

log = structlog.get_logger()

INVITE_TIMEOUT = 32.0

InviteHandler = Callable[[IncomingCall], Awaitable[None]]


@dataclasses.dataclass(frozen=True, slots=True)
class AgentLimits:
    """What an agent holds at most; above it new calls get 503 with Retry-After."""

    calls: int = 4000
    transactions: int = 20_000
    answer_patience: float = 180.0
    message: MessageLimits = dataclasses.field(default_factory=MessageLimits)
    transport: TransportLimits = dataclasses.field(default_factory=TransportLimits)


class SipAgent:
    """UAS and UAC on one address.

    `on_invite` runs in a task of its own for each new call; it must answer or reject it, and may
    stay as long as the call (a handler that returns or fails without a final response makes it
    500). `advertise` is the host for Via and Contact where the socket is bound to all addresses.
    Without `tls` nothing goes by it.
    """

    def __init__(
        self,
        *,
        user_agent: str,
        on_invite: InviteHandler | None = None,
        limits: AgentLimits | None = None,
        timers: Timers | None = None,
        advertise: str = "",
        tls: SipTls | None = None,
    ) -> None:
        self.limits = limits or AgentLimits()
        self.promises: Promises[Outcome] = Promises()
        self._user_agent = user_agent
        self._on_invite = on_invite
        self._timers = timers or Timers()
        self._advertise = advertise
        self._address = ("", 0)
        self._transports = Transports(
            self._receive,
            self._send_failed,
            self.limits.message,
            self.limits.transport,
            tls or SipTls(),
        )
        self._core: UserAgent | None = None
        self._calls: dict[Session, IncomingCall | OutgoingCall] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._dialing = Dialing(self, self._calls)
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = 0.0

    @property
    def address(self) -> tuple[str, int]:
        """Host and port of the UDP socket."""
        return self._address

    @property
    def is_open(self) -> bool:
        """False before `open`, and once it is closed."""
        return self._core is not None

    @property
    def core(self) -> UserAgent:
        """The pure core; raises RuntimeError before `open`."""
        if self._core is None:
            raise RuntimeError("the SIP agent is not open")
        return self._core

    @property
    def counters(self) -> Counters:
        """What was received and refused since `open`."""
        return self.core.counters

    @property
    def transport_counters(self) -> TransportCounters:
        """What the sockets did since `open`."""
        return self._transports.counters

    @property
    def open_calls(self) -> int:
        """How many calls are open now."""
        return self.core.open_calls

    @property
    def open_connections(self) -> int:
        """How many TCP and TLS connections are open now."""
        return self._transports.open_connections

    async def open(
        self,
        udp: socket.socket,
        tcp: socket.socket | None = None,
        tls: socket.socket | None = None,
    ) -> None:
        """Take over the bound sockets (`tcp` and `tls` already listen) and begin to serve."""
        name = udp.getsockname()
        self._address = (name[0], name[1])
        identity = AgentIdentity(
            user_agent=self._user_agent,
            port=name[1],
            local_host=LocalHosts(name[0], self._advertise).towards,
            token=lambda: secrets.token_hex(8),
            tls_port=tls.getsockname()[1] if tls else 0,
        )
        self._core = UserAgent(
            identity,
            timers=self._timers,
            message_limits=self.limits.message,
            max_calls=self.limits.calls,
            max_transactions=self.limits.transactions,
            patience=self.limits.answer_patience,
        )
        await self._transports.open(udp, tcp, tls)

    async def close(self, grace: float = 1.0) -> None:
        """Refuse new calls, hang up the open ones, wait at most `grace` seconds, close.

        Calls that were taken back are waited for too, so that their CANCEL still goes out.
        Handlers that still run are cancelled first; one that does not end is logged.
        """
        if self._core is None:
            return
        self._core.accepting = False
        for task in self._tasks:
            task.cancel()
        ends: list[Coroutine[None, None, object]] = [self._hang_up(c) for c in self._calls.values()]
        # A CANCEL may still wait for the peer's provisional response.
        ends += self._dialing.taken_back()
        hanging = [asyncio.create_task(end) for end in ends]
        ending: list[asyncio.Task[object]] = [*hanging, *self._tasks]
        stuck = (await asyncio.wait(ending, timeout=grace))[1] if ending else set()
        handlers = stuck.difference(hanging)
        if handlers:
            log.warning("Handlers of calls did not end", count=len(handlers))
        for late in hanging:
            late.cancel()
        await asyncio.gather(*hanging, return_exceptions=True)
        if self._timer is not None:
            self._timer.cancel()
        await self._transports.close()
        self._core = None
        self.promises.close()
        self._dialing.close()

    def refuse_new_calls(self) -> None:
        """From now on new INVITEs get 503 with Retry-After; open calls go on."""
        self.core.accepting = False

    async def invite(
        self,
        target: tuple[str, int],
        *,
        uri: str,
        headers: HeaderList = (),
        content_type: str = SDP,
        body: bytes = b"",
        transport: TransportName = "udp",
        timeout: float = INVITE_TIMEOUT,  # noqa: ASYNC109  # when it is over, CANCEL has to be sent
        caller: str = "",
        callee: str = "",
        call_id: str = "",
        contact_parameters: str = "",
        server_name: str = "",
    ) -> OutgoingCall:
        """Place a call to `target` and wait for the final response; the ACK has been sent.

        `caller` and `callee` are From and To values (default: our address, `<uri>`). A request
        above 1300 bytes goes out over UDP all the same when "udp" was asked for (against
        RFC 3261 §18.1.1): the lab's paths carry it, and the choice stays the caller's. Over "tls"
        the peer's certificate has to name `server_name` (default: the target's host).
        Raises CallRefused, CallTimeout, TransportFailed. A cancelled or timed-out wait sends
        CANCEL.
        """
        ipv6 = ":" in self._address[0]
        route = Route(await resolve(target, transport, ipv6=ipv6, server_name=server_name))
        invitation = Invitation(
            route=route,
            uri=uri,
            caller=caller,
            callee=callee,
            call_id=call_id,
            headers=[*headers, ("Content-Type", content_type)] if body else headers,
            body=body,
            contact_parameters=contact_parameters,
        )
        return await self._dialing.dial(invitation, timeout)

    async def options(
        self,
        target: tuple[str, int],
        *,
        transport: TransportName = "udp",
    ) -> SipResponse:
        """Ask a peer for its abilities; any final response shows that it lives."""
        route = Route(await resolve(target, transport, ipv6=":" in self._address[0]))
        asked, done = self.promises.make()
        uri = f"sip:{bracketed(target[0])}:{target[1]}"
        self.act(lambda now: self.core.ask_options(route, now, done, uri=uri))
        return await final_response(asked)

    def act(self, step: Callable[[float], None]) -> int:
        """Run a step of the core with `now`, then send what it wants sent.

        Returns CLOCK_MONOTONIC ns right after the bytes were handed to the sockets.
        """
        now = asyncio.get_running_loop().time()
        if self._core is None:
            raise CallGone("the SIP agent is closed")
        try:
            step(now)
        finally:
            sent_at = self._flush()
        return sent_at

    # The shell's inside

    def _receive(self, data: bytes, source: Hop) -> None:
        if self._core is not None:
            self._core.receive(data, source, asyncio.get_running_loop().time())
            self._flush()

    def _send_failed(self, transmit: Transmit) -> None:
        if self._core is not None:
            self._core.transmit_failed(transmit, asyncio.get_running_loop().time())
            self._flush()

    def _on_timer(self) -> None:
        self._timer = None
        if self._core is not None:
            self._core.fire(asyncio.get_running_loop().time())
            self._flush()

    def _flush(self) -> int:
        """Send, then tell; arm the timer for the next deadline."""
        core = self.core
        for transmit in core.take_transmits():
            self._transports.send(transmit)
        sent_at = time.monotonic_ns()
        for session, incoming in core.take_calls():
            self._begin(session, incoming)
        for session, event in core.take_events():
            call = self._calls.get(session)
            if call is not None:
                call.happened(event)
        for session in core.take_ended():
            self._calls.pop(session, None)
        self._arm(core.next_deadline())
        return sent_at

    def _arm(self, deadline: float | None) -> None:
        if self._timer is not None:
            if deadline is not None and self._timer_at <= deadline:
                return  # an early wake-up is harmless and arms again
            self._timer.cancel()
            self._timer = None
        if deadline is not None:
            self._timer_at = deadline
            self._timer = asyncio.get_running_loop().call_at(deadline, self._on_timer)

    def _begin(self, session: Session, incoming: Incoming) -> None:
        call = IncomingCall(self, session, incoming)
        self._calls[session] = call
        task = asyncio.create_task(self._handle(call), name=f"call {call.call_id}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _handle(self, call: IncomingCall) -> None:
        """Run the application's handler; whatever becomes of it, the INVITE gets an answer."""
        code = 500
        try:
            if self._on_invite is None:
                code = 480
            else:
                await self._on_invite(call)
        except asyncio.CancelledError:
            code = 503
            raise
        except SipError as error:
            log.warning("A call could not be handled", call_id=call.call_id, error=str(error))
        except Exception:  # the handler's bug must not cost the other calls
            log.exception("A call's handler failed", call_id=call.call_id)
        finally:
            if not call.answered and self._core is not None:
                headers = [RETRY_LATER] if code == 503 else []
                await call.reject(code, reason_phrase(code), headers)

    async def _hang_up(self, call: IncomingCall | OutgoingCall) -> None:
        try:
            if isinstance(call, IncomingCall) and not call.answered:
                await call.reject(503, headers=[RETRY_LATER])
            else:
                await call.bye()
        except CallError:
            return
