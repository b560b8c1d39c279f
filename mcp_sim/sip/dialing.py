"""How the agent's own calls come about: the INVITE goes out, somebody waits, or takes it back.

The asyncio side of `placing`: whoever waits gets the call or the reason why there is none, and a
wait that ends early leaves no ringing phone behind.
"""

from __future__ import annotations

import asyncio
import dataclasses
import secrets
from collections.abc import Callable, Coroutine
from typing import Protocol

from .call_events import Driver
from .calls import IncomingCall, OutgoingCall
from .errors import CallGone, CallRefused, CallTimeout, TransportFailed
from .hop import Route
from .message import HeaderList, SipResponse
from .placing import Placement, PlacementOutcome
from .promises import Promises
from .session import Session
from .user_agent import UserAgent


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Invitation:
    """What an INVITE says; empty `caller`, `callee` and `call_id` are filled in."""

    route: Route
    uri: str
    caller: str
    callee: str
    call_id: str
    headers: HeaderList
    body: bytes
    contact_parameters: str


class Endpoint(Driver, Protocol):
    """The agent, as far as placing a call needs it."""

    @property
    def core(self) -> UserAgent:
        """The pure core."""

    @property
    def is_open(self) -> bool:
        """False before its sockets are open, and once they are closed."""


class Dialing:
    """Places calls of `endpoint`; those that are answered are entered into `calls`."""

    def __init__(
        self, endpoint: Endpoint, calls: dict[Session, IncomingCall | OutgoingCall]
    ) -> None:
        self._endpoint = endpoint
        self._calls = calls
        self._placings: Promises[PlacementOutcome] = Promises()
        self._taken_back: set[asyncio.Event] = set()

    async def dial(self, invitation: Invitation, seconds: float) -> OutgoingCall:
        """Place a call and wait for its final response, so many seconds at most.

        Raises CallRefused, CallTimeout, TransportFailed. A wait that is cut short sends CANCEL.
        """
        answered, told = self._placings.make()
        placed: list[Placement] = []
        over = asyncio.Event()

        def done(outcome: PlacementOutcome, now: float) -> None:
            # The call has to be known before the peer's next message is looked at.
            if isinstance(outcome, tuple):
                self._calls[outcome[0]] = OutgoingCall(self._endpoint, *outcome)
            told(outcome, now)
            over.set()
            self._taken_back.discard(over)

        self._endpoint.act(lambda now: placed.append(self._place(invitation, now, done)))
        try:
            async with asyncio.timeout(seconds):
                outcome = await answered
        except TimeoutError:
            self._give_up(placed[0], answered, over)
            raise CallTimeout(f"the call was not answered within {seconds:g} s") from None
        except asyncio.CancelledError:
            self._give_up(placed[0], answered, over)
            raise
        return self._placed(outcome)

    def taken_back(self) -> list[Coroutine[None, None, object]]:
        """Waits for the ends of calls that were taken back and are not over yet."""
        return [over.wait() for over in self._taken_back]

    def close(self) -> None:
        """Tell everybody who still waits that the agent is closed."""
        self._placings.close()

    def _place(
        self, invitation: Invitation, now: float, done: Callable[[PlacementOutcome, float], None]
    ) -> Placement:
        core, route = self._endpoint.core, invitation.route
        host = core.sent_by(route)
        return core.place(
            route,
            now,
            done,
            uri=invitation.uri,
            caller=invitation.caller or f"<sip:{host}>",
            callee=invitation.callee or f"<{invitation.uri}>",
            call_id=invitation.call_id or f"{secrets.token_hex(12)}@{host.rpartition(':')[0]}",
            headers=invitation.headers,
            body=invitation.body,
            contact_parameters=invitation.contact_parameters,
        )

    def _placed(self, outcome: PlacementOutcome) -> OutgoingCall:
        if isinstance(outcome, tuple):
            call = self._calls.get(outcome[0])
            if isinstance(call, OutgoingCall):
                return call
            raise CallGone("the call has ended at once")
        if isinstance(outcome, SipResponse):
            headers = tuple(
                (name, value)
                for name in outcome.headers.keys()  # noqa: SIM118  # no mapping, a header list
                for value in outcome.headers.getlist(name)
            )
            raise CallRefused(outcome.code, outcome.phrase, headers)
        if outcome == "transport":
            raise TransportFailed("the INVITE could not be sent")
        raise CallTimeout("the peer did not answer the INVITE")

    def _give_up(
        self,
        placement: Placement,
        answered: asyncio.Future[PlacementOutcome],
        over: asyncio.Event,
    ) -> None:
        """Nobody waits for this call any more: take it back, or hang up what just came."""
        endpoint = self._endpoint
        if not endpoint.is_open:
            return
        if not over.is_set():
            self._taken_back.add(over)
        if not answered.cancel() and not answered.cancelled() and not answered.exception():
            outcome = answered.result()
            if isinstance(outcome, tuple) and outcome[0].open:
                session = outcome[0]
                endpoint.act(lambda now: session.bye(now, lambda late, at: None))
        endpoint.act(placement.cancel)
