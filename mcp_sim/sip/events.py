"""What happens to a call, as values: the pure sessions emit them, the agent hands them out."""

from __future__ import annotations

import dataclasses
from typing import Literal

from .transactions import Incoming

EndedBy = Literal["bye", "cancel", "timeout", "ack-missing", "transport", "local"]


@dataclasses.dataclass(frozen=True, slots=True)
class Acked:
    """The peer acknowledged our 2xx; `body` is its answer when the 2xx carried the offer."""

    body: bytes
    content_type: str


@dataclasses.dataclass(frozen=True, slots=True)
class RequestArrived:
    """The peer sent a request that the application has to answer."""

    incoming: Incoming


@dataclasses.dataclass(frozen=True, slots=True)
class Ended:
    """The call is over; nothing comes after it.

    `by`: "bye" (the peer), "cancel" (the peer, before our answer), "timeout" (the peer was
    silent), "ack-missing" (our 2xx was never acknowledged), "transport", "local" (we hung up).
    """

    by: EndedBy


Event = Acked | RequestArrived | Ended
