"""What the caller and its media process say to each other: length-prefixed MessagePack.

The caller asks; `Opened`, `Stopped` and `Finished` answer. Legs are named by their place in the
call's offer. Times are CLOCK_MONOTONIC nanoseconds of the machine.
"""

from __future__ import annotations

import asyncio
from typing import Final, TypeAlias

import msgspec

from mcp_sim.load.g711 import Law
from mcp_sim.load.signature import Leg
from mcp_sim.rtp.impairment import Impairment
from mcp_sim.rtp.impairment.account import Account

LARGEST_FRAME: Final = 64 << 20


class Configure(msgspec.Struct, frozen=True, tag="configure"):
    """The first frame: the address to send from, and the backdrop as int16 samples, or nothing."""

    host: str
    backdrop: bytes = b""


class OpenCall(msgspec.Struct, frozen=True, tag="open"):
    """Bind a socket for each of a call's legs."""

    call: int
    legs: int


class LegStart(msgspec.Struct, frozen=True):
    """Send a leg's signature to where the answer says; `seed` decides what an impairment hits."""

    index: int
    leg: Leg
    identity: str
    law: Law
    payload_type: int
    host: str
    port: int
    impairment: Impairment | None = None
    seed: int = 0


class StartLegs(msgspec.Struct, frozen=True, tag="start"):
    """Start these legs of a call together, on the clock of the legs that already send."""

    call: int
    legs: list[LegStart]


class StopCall(msgspec.Struct, frozen=True, tag="stop"):
    """Send nothing more on any leg of a call, and close its sockets."""

    call: int


class Finish(msgspec.Struct, frozen=True, tag="finish"):
    """Say what the process used; it ends when its input does."""


class Opened(msgspec.Struct, frozen=True, tag="opened"):
    """The addresses of a call's legs for the offer, or why there are none."""

    call: int
    addresses: list[tuple[str, int]]
    error: str = ""


class LegSent(msgspec.Struct, frozen=True):
    """What a leg sent: packet `first` of its signature was the first one.

    `packets` counts doubled ones once; the cells in `impaired` are those of the signature.
    """

    index: int
    first: int
    packets: int
    failed: int
    unreachable: int
    ssrc: int
    first_ns: int | None
    last_ns: int | None
    impaired: Account | None = None


class Stopped(msgspec.Struct, frozen=True, tag="stopped"):
    """What the legs of a call sent; legs that never started are not among them."""

    call: int
    legs: list[LegSent]
    error: str = ""


class Finished(msgspec.Struct, frozen=True, tag="finished"):
    """The worst lateness of a packet against its time, and the CPU seconds that were used."""

    worst_lag_ns: int
    cpu_seconds: float


Request: TypeAlias = Configure | OpenCall | StartLegs | StopCall | Finish
Reply: TypeAlias = Opened | Stopped | Finished

_encoder = msgspec.msgpack.Encoder()
_requests = msgspec.msgpack.Decoder(Request)
_replies = msgspec.msgpack.Decoder(Reply)


def encode_frame(message: Request | Reply) -> bytes:
    """Return a message with its length in front."""
    body = _encoder.encode(message)
    return len(body).to_bytes(4, "big") + body


async def read_request(reader: asyncio.StreamReader) -> Request:
    """Read one request. Raises `asyncio.IncompleteReadError` where the caller has gone."""
    request: Request = _requests.decode(await _read_body(reader))
    return request


async def read_reply(reader: asyncio.StreamReader) -> Reply:
    """Read one reply. Raises `asyncio.IncompleteReadError` where the process has gone."""
    reply: Reply = _replies.decode(await _read_body(reader))
    return reply


async def _read_body(reader: asyncio.StreamReader) -> bytes:
    size = int.from_bytes(await reader.readexactly(4), "big")
    if size > LARGEST_FRAME:
        raise asyncio.IncompleteReadError(b"", size)
    return await reader.readexactly(size)
