"""RTP packets of one stream, made in blocks of two seconds from frames of payload.

Headers are filled in by numpy for a whole block.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Final, TypeAlias

import msgspec
import numpy as np
import numpy.typing as npt

Frames: TypeAlias = npt.NDArray[np.uint8]
FrameSource: TypeAlias = Frames | Callable[[int, int], Frames]
"""uint8[frames, bytes per frame], or a function of (first frame, count) that returns such rows,
fewer than `count` when the stream ends there."""

BLOCK_FRAMES: Final = 100
HEADER_SIZE: Final = 12
MARKER: Final = 0x80
"""In the second byte: the begin of a talk spurt (RFC 3551 §4.1)."""


class StreamFormat(msgspec.Struct, frozen=True):
    """How payload frames become RTP packets. Random start values are drawn where None stands."""

    payload_type: int
    samples_per_frame: int = 160
    ssrc: int | None = None
    first_sequence: int | None = None
    first_timestamp: int | None = None


class PacketBlock:
    """Makes the packets of one stream, `BLOCK_FRAMES` at a time."""

    def __init__(self, source: FrameSource, form: StreamFormat) -> None:
        self.ssrc = chosen(form.ssrc, 4)
        self._ssrc = np.frombuffer(self.ssrc.to_bytes(4, "big"), np.uint8)
        self._source = source
        self._form = form
        self._sequence = chosen(form.first_sequence, 2)
        self._timestamp = chosen(form.first_timestamp, 4)
        self._frame = 0
        self.packet_size = 0

    def next(self) -> memoryview:
        """Return the next packets, one behind the other; empty when the source has ended."""
        rows = frame_rows(self._source, self._frame, BLOCK_FRAMES)
        count, size = rows.shape
        if not count:
            return memoryview(b"")
        packets = np.empty((count, HEADER_SIZE + size), np.uint8)
        frame = np.arange(self._frame, self._frame + count)
        sequence = self._sequence + frame
        timestamp = self._timestamp + frame * self._form.samples_per_frame
        fill_headers(packets, self._form.payload_type, sequence, timestamp, self._ssrc)
        if self._frame == 0:
            packets[0, 1] |= MARKER
        packets[:, HEADER_SIZE:] = rows
        self._frame += count
        self.packet_size = HEADER_SIZE + size
        return packets.reshape(-1).data


def frame_rows(source: FrameSource, first: int, count: int) -> Frames:
    """Return the frames `first` … `first + count - 1` of a source, fewer where it ends."""
    return source(first, count) if callable(source) else source[first : first + count]


def fill_headers(
    packets: Frames,
    payload_type: int,
    sequence: npt.NDArray[np.int64],
    timestamp: npt.NDArray[np.int64],
    ssrc: Frames,
) -> None:
    """Write the header (RFC 3550 §5.1) of each row of uint8[N, 12 and more], without markers.

    The numbers are cut to their size; `ssrc` is uint8[4] for all of them, or uint8[N, 4].
    """
    packets[:, 0] = 0x80
    packets[:, 1] = payload_type
    packets[:, 2:4] = big_endian(sequence, ">u2")
    packets[:, 4:8] = big_endian(timestamp, ">u4")
    packets[:, 8:12] = ssrc


def chosen(value: int | None, size: int) -> int:
    """Return a start value of `size` bytes: the one given, or a random one."""
    return int.from_bytes(os.urandom(size), "big") if value is None else value


def big_endian(values: npt.NDArray[np.int64], form: str) -> Frames:
    """Return uint8[N, size]: the numbers in the byte order of the wire, `form` being a dtype."""
    return values.astype(form).view(np.uint8).reshape(-1, int(form[-1]))
