"""Calls made of numbers: datagrams with exact arrival times, and what becomes of them."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import numpy.typing as npt

from mcp_sim.recording.journal.frames import PacketBatch
from mcp_sim.recording.timeline.codec import decode
from mcp_sim.recording.timeline.outline import Leg, Outline
from mcp_sim.recording.timeline.timeline import Timeline
from recording_format.lab import LegReport

T0 = 50_000_000_000_000
WALL = 1_767_348_000_000_000_000
MS = 1_000_000
SECOND = 1_000_000_000
TYPES = {0: "pcmu", 8: "pcma", 101: "telephone-event"}
Samples = npt.NDArray[np.int16]


@dataclass(frozen=True)
class Datagram:
    """One datagram; `at` is nanoseconds behind t0."""

    at: int
    leg: int
    data: bytes
    header_only: bool = False


def rtp(
    sequence: int, timestamp: int, payload: bytes, *, payload_type: int = 8, ssrc: int = 0x1234
) -> bytes:
    """Return one RTP packet."""
    numbers = (0x80, payload_type, sequence & 0xFFFF, timestamp & 0xFFFFFFFF, ssrc)
    return struct.pack(">BBHII", *numbers) + payload


def speech(count: int, size: int = 160, *, seed: int = 1) -> list[bytes]:
    """Return `count` payloads of random bytes, none of which decodes to silence."""
    noise = np.random.default_rng(seed).integers(0, 100, (count, size), dtype=np.uint8)
    return [row.tobytes() for row in noise]


def stream(
    payloads: Sequence[bytes],
    *,
    leg: int = 0,
    start: int = 0,
    sequence: int = 7000,
    timestamp: int = 123_456,
    ssrc: int = 0x1234,
    payload_type: int = 8,
    delay: Callable[[int], int] = lambda _: 0,
) -> list[Datagram]:
    """Return the packets of one source, the first sent at `start`, each `delay(i)` ns under way."""
    packets = []
    at = start
    for index, payload in enumerate(payloads):
        data = rtp(sequence + index, timestamp, payload, payload_type=payload_type, ssrc=ssrc)
        packets.append(Datagram(at + delay(index), leg, data))
        timestamp += len(payload)
        at += len(payload) * 125_000
    return packets


def heard(payloads: Iterable[bytes], codec: str = "pcma") -> Samples:
    """Return what the payloads say, one behind the other."""
    return decode(codec, np.frombuffer(b"".join(payloads), np.uint8))


def call(
    milliseconds: int,
    *,
    legs: int = 1,
    pauses: Sequence[tuple[int, int]] = (),
    channels: Sequence[Literal["left", "right"]] = ("left", "right"),
) -> Outline:
    """Return the outline of a call; `pauses` are nanoseconds behind t0."""
    return Outline(
        start_ns=T0,
        end_ns=T0 + milliseconds * MS,
        wall_ns=WALL,
        legs={n: Leg(n, f"leg-{n}", dict(TYPES), channels[n], T0) for n in range(legs)},
        pauses=tuple((T0 + begin, T0 + end) for begin, end in pauses),
        parameters={"id": "call"},
        reason="bye",
        recovered=False,
    )


def batch(datagrams: Sequence[Datagram]) -> PacketBatch:
    """Return the datagrams as the journal's reader gives them, in the order given."""
    length = np.array([len(datagram.data) for datagram in datagrams], np.int64)
    return PacketBatch(
        np.array([T0 + datagram.at for datagram in datagrams], np.int64),
        np.array([datagram.leg for datagram in datagrams], np.uint8),
        np.cumsum(length) - length,
        length,
        np.array([datagram.header_only for datagram in datagrams], np.bool_),
        b"".join(datagram.data for datagram in datagrams),
    )


def without_payload(datagram: Datagram) -> Datagram:
    """Return what the journal keeps of a packet that came in a pause."""
    return replace(datagram, data=datagram.data[:12], header_only=True)


def play(
    outline: Outline,
    datagrams: Sequence[Datagram],
    *,
    channels: int = 2,
    batch_size: int = 1000,
) -> tuple[Samples, list[LegReport]]:
    """Return int16[channels, samples], the whole call, and what became of the legs."""
    timeline = Timeline(outline, channels=channels)
    arrived = sorted(datagrams, key=lambda datagram: datagram.at)
    blocks = []
    for begin in range(0, len(arrived), batch_size):
        blocks += list(timeline.write(batch(arrived[begin : begin + batch_size])))
    blocks += list(timeline.finish())
    empty = np.zeros((channels, 0), np.int16)
    return np.concatenate([empty, *blocks], axis=1), timeline.reports()
