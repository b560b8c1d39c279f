"""What a render is told and what it answers, also between the pool and its worker processes.

Messages are MessagePack behind a 4-byte length. The first one a worker gets is `WorkerOptions`; it
holds the keyring, so it travels through the pipe only, never on a command line.
"""

from __future__ import annotations

import struct
from typing import BinaryIO, TypeAlias

import msgspec

from mcp_sim.recording.disk_calls import FaultsInForce
from recording_format.timestamps import DurationUnit
from service_shell.log import LogSettings

LENGTH = struct.Struct(">I")


class RenderSettings(msgspec.Struct, frozen=True):
    """Bit rates of MP3 files in kbit/s, and the unit in which durations are written."""

    stereo_kbps: int = 32
    mono_kbps: int = 16
    duration_unit: DurationUnit = DurationUnit.MS


class WorkerOptions(msgspec.Struct, frozen=True):
    """All that a worker needs to know. `keyring` is the keyring's text."""

    spool: str
    keyring: str
    settings: RenderSettings
    log: LogSettings

    def __repr__(self) -> str:
        return f"WorkerOptions(spool={self.spool!r})"


class RenderOrder(msgspec.Struct, frozen=True):
    """Render this item. `crash` in the middle of it, and fail as `faults` say: both on purpose."""

    item: str
    crash: bool = False
    faults: FaultsInForce | None = None


class RenderSummary(msgspec.Struct, frozen=True, tag="rendered"):
    """What became of a recording; `seconds` and `cpu_seconds` are what it cost."""

    recording_id: str
    media_id: str
    duration_ms: int
    size: int
    packets: int
    lost: int
    late: int
    duplicate: int
    recovered: bool
    seconds: float
    cpu_seconds: float


class RenderEmpty(msgspec.Struct, frozen=True, tag="empty"):
    """There is no recording in the journal."""

    reason: str


class RenderRefused(msgspec.Struct, frozen=True, tag="refused"):
    """It cannot be rendered, however often it is tried."""

    reason: str


class RenderPostponed(msgspec.Struct, frozen=True, tag="postponed"):
    """The disk did not do its part; later it may."""

    reason: str


RenderAnswer: TypeAlias = RenderSummary | RenderEmpty | RenderRefused | RenderPostponed

_encoder = msgspec.msgpack.Encoder()
answer_decoder: msgspec.msgpack.Decoder[RenderAnswer] = msgspec.msgpack.Decoder(RenderAnswer)
order_decoder = msgspec.msgpack.Decoder(RenderOrder)
options_decoder = msgspec.msgpack.Decoder(WorkerOptions)


def encode_message(message: msgspec.Struct) -> bytes:
    """Return a message with its length before it."""
    body = _encoder.encode(message)
    return LENGTH.pack(len(body)) + body


def read_message(pipe: BinaryIO) -> bytes | None:
    """Read one message's body from a blocking pipe; None at its end."""
    head = pipe.read(LENGTH.size)
    if len(head) < LENGTH.size:
        return None
    (size,) = LENGTH.unpack(head)
    body = pipe.read(size)
    return body if len(body) == size else None
