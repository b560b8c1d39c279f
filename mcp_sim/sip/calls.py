"""Calls as an application holds them: answer, refuse, hang up, and what happens meanwhile.

Thin async handles over a pure `Session`. Each call has `events`, an async iterator that ends
after `Ended`. Bodies are bytes with their content type; nothing here reads SDP.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Callable

from .asking import Outcome
from .call_events import ARRIVED, SDP, CallEvents, Driver, with_type
from .errors import CallGone, CallTimeout, TransportFailed
from .events import Ended, Event, RequestArrived
from .hop import Hop
from .message import HeaderList, SipRequest, SipResponse
from .session import Session
from .transactions import Incoming


class Call:
    """What both directions of a call can do once it is established.

    `ended` and `ended_ns` (CLOCK_MONOTONIC) say at once that and when it was over, however many
    events still wait to be taken.
    """

    def __init__(self, driver: Driver, session: Session) -> None:
        self.events = CallEvents()
        self.ended: Ended | None = None
        self.ended_ns = 0
        self._driver = driver
        self._session = session
        self._over = asyncio.Event()

    @property
    def call_id(self) -> str:
        """The Call-ID."""
        return self._session.dialog.call_id

    @property
    def remote(self) -> Hop:
        """Where the peer was last heard from."""
        return self._session.dialog.flow

    def happened(self, event: Event) -> None:
        """Take an event of the session (the agent does)."""
        if isinstance(event, RequestArrived):
            kind = ARRIVED[event.incoming.request.method]
            self.events.put(kind(self._driver, self._session, event.incoming))
            return
        if isinstance(event, Ended):
            self.ended, self.ended_ns = event, time.monotonic_ns()
            self._over.set()
        self.events.put(event)

    async def wait_ended(self) -> Ended:
        """Wait until the call is over, whoever ends it."""
        await self._over.wait()
        assert self.ended is not None
        return self.ended

    async def bye(self, headers: HeaderList = ()) -> bool:
        """Hang up and wait for the answer; does nothing when the call is over already.

        `headers` go with the BYE: a Reason (RFC 3326).

        Before our 2xx is acknowledged the BYE waits for the ACK (RFC 3261 §15). Returns False when
        the peer was silent: for us the call is over all the same.
        """
        if self.ended is not None:
            return True
        try:
            await self._ask(lambda now, done: self._session.bye(now, done, headers))
        except (CallTimeout, TransportFailed):
            return False
        return True

    async def reinvite(
        self,
        body: bytes = b"",
        content_type: str = SDP,
        headers: HeaderList = (),
    ) -> SipResponse:
        """Change the call by re-INVITE; returns the final response, refusals too.

        When both sides tried at once (491) it tries once more after the pause of RFC 3261
        §14.1. Raises CallGone, CallBusy, CallTimeout, TransportFailed.
        """
        response = await self._request("INVITE", body, content_type, headers)
        if response.code == 491:
            await asyncio.sleep(self._session.glare_pause(secrets.randbelow(1000) / 1000))
            response = await self._request("INVITE", body, content_type, headers)
        return response

    async def update(
        self,
        body: bytes = b"",
        content_type: str = SDP,
        headers: HeaderList = (),
    ) -> SipResponse:
        """Change the call by UPDATE (RFC 3311); as `reinvite`."""
        return await self._request("UPDATE", body, content_type, headers)

    async def info(
        self,
        content_type: str,
        body: bytes,
        headers: HeaderList = (),
    ) -> SipResponse:
        """Send an INFO (RFC 6086 legacy usage); returns the final response; as `reinvite`."""
        return await self._request("INFO", body, content_type, headers)

    async def _request(
        self, method: str, body: bytes, content_type: str, headers: HeaderList
    ) -> SipResponse:
        lines = with_type(headers, body, content_type)

        def start(now: float, done: Callable[[Outcome, float], None]) -> None:
            self._session.request(method, now, done, headers=lines, body=body)

        return await self._ask(start)

    async def _ask(
        self, start: Callable[[float, Callable[[Outcome, float], None]], None]
    ) -> SipResponse:
        asked, done = self._driver.promises.make()
        self._driver.act(lambda now: start(now, done))
        return await final_response(asked)


class IncomingCall(Call):
    """A call that a peer placed to us."""

    def __init__(self, driver: Driver, session: Session, incoming: Incoming) -> None:
        super().__init__(driver, session)
        self._incoming = incoming

    @property
    def request(self) -> SipRequest:
        """The INVITE: URI, headers, body, content type, source."""
        return self._incoming.request

    @property
    def answered(self) -> bool:
        """True once the INVITE has its final response."""
        return self._incoming.answered

    async def provisional(self, code: int = 180, headers: HeaderList = ()) -> None:
        """Send a provisional response (101 to 199). Raises CallGone."""
        self._driver.act(lambda now: self._session.provisional(code, now, headers=headers))

    async def answer(
        self,
        body: bytes | None = None,
        content_type: str = SDP,
        headers: HeaderList = (),
        *,
        contact_parameters: str = "",
    ) -> int:
        """Accept the call; returns CLOCK_MONOTONIC ns at which the 200 was handed to the socket.

        `contact_parameters` stand behind our Contact in all messages, as in ";+sip.srs".
        Raises CallGone when the peer has cancelled meanwhile.
        """
        if contact_parameters:
            self._session.contact_parameters = contact_parameters
        lines = with_type(headers, body or b"", content_type)
        return self._driver.act(
            lambda now: self._session.answer(
                self._incoming, 200, now, headers=lines, body=body or b""
            )
        )

    async def reject(self, code: int, reason: str = "", headers: HeaderList = ()) -> None:
        """Refuse the call with a final response of 300 or above. Raises CallGone."""
        self._driver.act(
            lambda now: self._session.answer(
                self._incoming, code, now, reason=reason, headers=headers
            )
        )


class OutgoingCall(Call):
    """A call that we placed and the peer accepted."""

    def __init__(self, driver: Driver, session: Session, response: SipResponse) -> None:
        super().__init__(driver, session)
        self.response = response

    @property
    def status(self) -> int:
        """The code of the accepting response."""
        return self.response.code

    @property
    def body(self) -> bytes:
        """The body of the accepting response: the peer's SDP answer."""
        return self.response.body

    @property
    def content_type(self) -> str:
        """The Content-Type of the accepting response."""
        return self.response.content_type


async def final_response(asked: asyncio.Future[Outcome]) -> SipResponse:
    """Wait for the outcome of a request, which its transaction's timers bound.

    Raises CallTimeout, TransportFailed or CallGone.
    """
    outcome = await asked
    if isinstance(outcome, SipResponse):
        return outcome
    if outcome == "timeout":
        raise CallTimeout("the peer did not answer")
    if outcome == "transport":
        raise TransportFailed("the request could not be sent")
    raise CallGone("the call has ended")
