"""What the SIP front and a capture process say to each other over their socket pair.

Each message is a MessagePack of a tagged struct behind its length (uint32, big-endian). The front
asks with a reference number, the answer carries the same number. `Stats` comes unasked.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Generic, Literal, TypeAlias, TypeVar

import msgspec

from mcp_sim.recording.capture.options import CaptureOptions
from mcp_sim.recording.disk_calls import FaultsInForce
from mcp_sim.recording.plan import Ended, Event, LegOpened, RecordingPlan, SealedBox
from service_shell.log import LogSettings

MAX_MESSAGE = 16 << 20


class MessageError(Exception):
    """The other side sent something that is no message."""


class Configure(msgspec.Struct, frozen=True, tag=True):
    """The first message. Answer: `Ready`."""

    ref: int
    options: CaptureOptions
    log: LogSettings


class OpenCall(msgspec.Struct, frozen=True, tag=True):
    """Create the journal in `folder`. Answer: `Done` when the plan is on disk."""

    ref: int
    folder: str
    session_key: bytes
    recipients: bytes
    key_box: SealedBox
    plan: RecordingPlan

    def __repr__(self) -> str:
        return f"OpenCall(ref={self.ref}, recording_id={self.plan.recording_id!r})"


class OpenLeg(msgspec.Struct, frozen=True, tag=True):
    """Bind a socket for a leg. Answer: `LegBound`."""

    ref: int
    recording_id: str
    leg: LegOpened


class AddEvent(msgspec.Struct, frozen=True, tag=True):
    """Write an event. Answer: `Done`."""

    ref: int
    recording_id: str
    event: Event


class CloseLeg(msgspec.Struct, frozen=True, tag=True):
    """Take what still waits on a leg's socket, and close it. Answer: `Done`."""

    ref: int
    recording_id: str
    leg: int


class CloseCall(msgspec.Struct, frozen=True, tag=True):
    """Close the legs, write everything and `ended`. Answer: `Done` when the journal is closed."""

    ref: int
    recording_id: str
    ended: Ended


class SetFaults(msgspec.Struct, frozen=True, tag=True):
    """Put faults on purpose in force, or none. Answer: `Done`, or `Failed` where not allowed."""

    ref: int
    faults: FaultsInForce | None


Request: TypeAlias = Configure | OpenCall | OpenLeg | AddEvent | CloseLeg | CloseCall | SetFaults


class Ready(msgspec.Struct, frozen=True, tag=True):
    """The process can take calls: up to `legs` legs at a time."""

    ref: int
    legs: int
    pid: int


class Done(msgspec.Struct, frozen=True, tag=True):
    """It was done."""

    ref: int


class LegBound(msgspec.Struct, frozen=True, tag=True):
    """The leg's address."""

    ref: int
    host: str
    port: int


class Failed(msgspec.Struct, frozen=True, tag=True):
    """It was not done. `reason` says what the front can do about it."""

    ref: int
    reason: Literal["full", "disk", "refused"]
    message: str


class LegCounts(msgspec.Struct, frozen=True, array_like=True):
    """One leg until now: datagrams received, given up for a slow disk, dropped by the kernel."""

    received: int
    overflowed: int
    dropped: int
    oversized: int


class CaptureStats(msgspec.Struct, frozen=True, tag="Stats"):
    """What a capture process has done since it started, and how it is now.

    Counters (`packets` to `journal_errors`) only grow. `worst_tick_lag` (how late a tick began),
    `worst_tick` (how long one took), `worst_flush` (from due to on disk) and `worst_sync` (how long
    stable storage took) are seconds, the worst since the stats before. `per_call` holds the legs of
    the calls of now, by recording id and leg.
    """

    packets: int = 0
    octets: int = 0
    dropped: int = 0
    overflowed: int = 0
    oversized: int = 0
    ports_avoided: int = 0
    journal_bytes: int = 0
    journal_errors: int = 0
    clock_jumps: int = 0
    cpu_seconds: float = 0.0
    calls: int = 0
    legs: int = 0
    buffered_bytes: int = 0
    worst_tick_lag: float = 0.0
    worst_tick: float = 0.0
    worst_flush: float = 0.0
    worst_sync: float = 0.0
    per_call: dict[str, dict[int, LegCounts]] = {}


Answer: TypeAlias = Ready | Done | LegBound | Failed | CaptureStats

M = TypeVar("M")
_encoder = msgspec.msgpack.Encoder()
_length = struct.Struct("!I")


def encode_message(message: Request | Answer) -> bytes:
    """Return the message behind its length."""
    body = _encoder.encode(message)
    return _length.pack(len(body)) + body


class MessageReader(Generic[M]):
    """Takes bytes as they come and gives whole messages of one kind."""

    def __init__(self, kind: type[M]) -> None:
        self._decoder = msgspec.msgpack.Decoder(kind)
        self._buffer = bytearray()

    def feed(self, data: bytes) -> Iterator[M]:
        """Give the messages that are whole now. Raises `MessageError`."""
        self._buffer += data
        while len(self._buffer) >= _length.size:
            size = _length.unpack_from(self._buffer)[0]
            if size > MAX_MESSAGE:
                raise MessageError(f"a message of {size} bytes is too long")
            end = _length.size + size
            if len(self._buffer) < end:
                return
            body = bytes(self._buffer[_length.size : end])
            del self._buffer[:end]
            try:
                yield self._decoder.decode(body)
            except (msgspec.MsgspecError, ValueError) as error:
                raise MessageError(f"a message cannot be read: {error}") from None


def request_reader() -> MessageReader[Request]:
    """Return a reader for the capture side."""
    return MessageReader(Request)  # type: ignore[arg-type]  # a union is no `type` to mypy


def answer_reader() -> MessageReader[Answer]:
    """Return a reader for the front's side."""
    return MessageReader(Answer)  # type: ignore[arg-type]  # a union is no `type` to mypy
