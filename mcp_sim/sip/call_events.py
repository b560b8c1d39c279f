"""What happens to a call, as its application sees it: requests to answer, ACKs, the end.

Thin async handles over a pure `Session`; `CallEvents` is the bounded queue of one call.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Protocol

from .asking import Outcome
from .errors import CallGone
from .events import Acked, Ended
from .message import HeaderList, SipRequest
from .promises import Promises
from .session import Session
from .transactions import Incoming

SDP = "application/sdp"


class Driver(Protocol):
    """What a call needs of its agent."""

    def act(self, step: Callable[[float], None]) -> int:
        """Run a step with `now`, send what it wants sent; CLOCK_MONOTONIC ns after sending."""

    @property
    def promises(self) -> Promises[Outcome]:
        """Where outcomes are waited for; the agent's end settles them too."""


class PendingRequest:
    """A request of the peer that waits for an answer."""

    def __init__(self, driver: Driver, session: Session, incoming: Incoming) -> None:
        self._driver = driver
        self._session = session
        self._incoming = incoming

    @property
    def request(self) -> SipRequest:
        """The request itself."""
        return self._incoming.request

    @property
    def body(self) -> bytes:
        """Its body; empty for a re-INVITE that asks for an offer."""
        return self.request.body

    @property
    def content_type(self) -> str:
        """Its Content-Type, empty when there is none."""
        return self.request.content_type

    async def answer(
        self,
        body: bytes = b"",
        content_type: str = SDP,
        headers: HeaderList = (),
        *,
        code: int = 200,
    ) -> int:
        """Accept; returns when it was sent (CLOCK_MONOTONIC ns). Raises CallGone."""
        return self._give(code, "", with_type(headers, body, content_type), body)

    async def reject(self, code: int, reason: str = "", headers: HeaderList = ()) -> None:
        """Refuse with a final response of 300 or above. Raises CallGone."""
        self._give(code, reason, headers, b"")

    def _give(self, code: int, reason: str, headers: HeaderList, body: bytes) -> int:
        return self._driver.act(
            lambda now: self._session.answer(
                self._incoming, code, now, reason=reason, headers=headers, body=body
            )
        )


class Reinvited(PendingRequest):
    """The peer changes the call by re-INVITE; an empty body asks for our offer."""


class Updated(PendingRequest):
    """The peer changes the call by UPDATE with an offer."""


class InfoReceived(PendingRequest):
    """The peer sent an INFO, for example with an MSML body."""


CallEvent = Reinvited | Updated | InfoReceived | Acked | Ended

ARRIVED: dict[str, type[Reinvited | Updated | InfoReceived]] = {
    "INVITE": Reinvited,
    "UPDATE": Updated,
    "INFO": InfoReceived,
}


class CallEvents:
    """What happens to one call, in order; iteration ends after `Ended`.

    Bounded: a session lets few requests wait unanswered, and refuses the peer's further ones.
    """

    def __init__(self) -> None:
        self._queue: asyncio.Queue[CallEvent] = asyncio.Queue()
        self._finished = False

    def put(self, event: CallEvent) -> None:
        """Add an event (the agent does)."""
        self._queue.put_nowait(event)

    async def get(self) -> CallEvent:
        """Wait for the next event; raises CallGone after `Ended` was handed out."""
        if self._finished:
            raise CallGone("the call has ended")
        event = await self._queue.get()
        self._finished = isinstance(event, Ended)
        return event

    def __aiter__(self) -> AsyncIterator[CallEvent]:
        return self

    async def __anext__(self) -> CallEvent:
        try:
            return await self.get()
        except CallGone:
            raise StopAsyncIteration from None


def with_type(headers: HeaderList, body: bytes, content_type: str) -> HeaderList:
    """The headers with a Content-Type, where there is a body."""
    return [*headers, ("Content-Type", content_type)] if body else headers
