"""SIP for recording calls: an agent that takes and places them, and the bodies they carry.

`agent` is the asyncio shell; everything it stands on is pure and takes `now` as an argument.
"""

from __future__ import annotations

from .agent import AgentLimits, SipAgent
from .call_events import CallEvent, InfoReceived, Reinvited, Updated
from .calls import IncomingCall, OutgoingCall
from .errors import (
    BodyError,
    CallBusy,
    CallError,
    CallGone,
    CallRefused,
    CallTimeout,
    NoCommonCodec,
    SipError,
    TransportFailed,
)
from .events import Acked, Ended
from .message import SipRequest, SipResponse
from .transaction import Timers
from .transport import SipTls

__all__ = [
    "Acked",
    "AgentLimits",
    "BodyError",
    "CallBusy",
    "CallError",
    "CallEvent",
    "CallGone",
    "CallRefused",
    "CallTimeout",
    "Ended",
    "IncomingCall",
    "InfoReceived",
    "NoCommonCodec",
    "OutgoingCall",
    "Reinvited",
    "SipAgent",
    "SipError",
    "SipRequest",
    "SipResponse",
    "SipTls",
    "Timers",
    "TransportFailed",
    "Updated",
]
