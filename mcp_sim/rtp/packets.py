"""RTP headers (RFC 3550 §5.1) of many datagrams at once, as numpy columns, and counters unwrapped.

Nothing here loops over packets. Whatever is no RTP (RTCP on the same port, STUN, noise, lengths
that do not fit) is left out of the result and never raises.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Int64s = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

HEADER_SIZE = 12
_CSRC_COUNT = 0x0F
_EXTENSION = 0x10
_PADDING = 0x20
_VERSION_2 = 0x80


@dataclass(frozen=True, slots=True, eq=False)
class RtpPackets:
    """M RTP packets out of N datagrams, in the datagrams' order.

    `index` int64[M] is each one's place among the datagrams; `sequence`, `timestamp` and `ssrc` are
    int64[M] without unwrapping. The payload, padding removed, is
    ``data[payload_offset : payload_offset + payload_length]`` (int64[M] both).
    """

    index: Int64s
    payload_type: npt.NDArray[np.uint8]
    marker: Bools
    sequence: Int64s
    timestamp: Int64s
    ssrc: Int64s
    payload_offset: Int64s
    payload_length: Int64s

    def __len__(self) -> int:
        return len(self.index)


def parse_packets(
    data: bytes | npt.NDArray[np.uint8],
    offset: Int64s,
    length: Int64s,
    header_only: Bools | None = None,
) -> RtpPackets:
    """Parse the datagrams ``data[offset[i] : offset[i] + length[i]]``.

    `header_only` marks datagrams whose payload was cut away: their padding bit says nothing, and
    their `payload_length` is 0.
    """
    raw = _as_array(data)
    header = header_sizes(raw, offset, length)
    index = np.flatnonzero(header)
    start = offset[index]
    payload_length = length[index] - header[index]
    first = raw[start]
    padded = (first & _PADDING) != 0
    if header_only is not None:
        padded &= ~header_only[index]
    if padded.any():
        # The last byte counts the padding, itself included: 0 and more than there is are malformed.
        padding = np.where(padded, raw[start + length[index] - 1], 0).astype(np.int64)
        good = (padding <= payload_length) & (~padded | ((padding > 0) & (payload_length > 0)))
        payload_length = (payload_length - padding)[good]
        index, start = index[good], start[good]
    second = raw[start + 1]
    return RtpPackets(
        index=index,
        payload_type=second & np.uint8(0x7F),
        marker=second >= 0x80,
        sequence=_big_endian(raw, start + 2, 2),
        timestamp=_big_endian(raw, start + 4, 4),
        ssrc=_big_endian(raw, start + 8, 4),
        payload_offset=start + header[index],
        payload_length=payload_length,
    )


def header_sizes(data: bytes | npt.NDArray[np.uint8], offset: Int64s, length: Int64s) -> Int64s:
    """Return each datagram's RTP header size in bytes, CSRCs and extension included; 0 if no RTP.

    A second byte of 192..223 is RTCP (RFC 5761 §4).
    """
    raw = _as_array(data)
    sizes = np.zeros(len(offset), np.int64)
    index = np.flatnonzero(length >= HEADER_SIZE)
    start = offset[index]
    first, second = raw[start], raw[start + 1]
    known = ((first & 0xC0) == _VERSION_2) & ((second < 192) | (second > 223))
    index, start, first = index[known], start[known], first[known]
    size = HEADER_SIZE + 4 * (first & _CSRC_COUNT).astype(np.int64)
    extended = np.flatnonzero(((first & _EXTENSION) != 0) & (size + 4 <= length[index]))
    if len(extended):
        words = _big_endian(raw, start[extended] + size[extended] + 2, 2)
        size[extended] += 4 + 4 * words
    cut = ((first & _EXTENSION) != 0) & (size == HEADER_SIZE + 4 * (first & _CSRC_COUNT))
    fits = (size <= length[index]) & ~cut
    sizes[index[fits]] = size[fits]
    return sizes


def unwrap(values: Int64s, bits: int, previous: int | None = None) -> Int64s:
    """Return a wrapping counter of `bits` bits as one that does not wrap.

    Each value is taken to be nearer than half the range to the one before it, so reordered packets
    come out right. `previous` is the last result of the batch before; without it the first value
    stays as it is.
    """
    if not len(values):
        return values.astype(np.int64)
    half = 1 << (bits - 1)
    start = int(values[0]) if previous is None else previous
    steps = np.diff(values, prepend=start)
    steps = ((steps + half) & ((1 << bits) - 1)) - half
    return start + np.cumsum(steps)


def _as_array(data: bytes | npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    return data if isinstance(data, np.ndarray) else np.frombuffer(data, np.uint8)


def _big_endian(raw: npt.NDArray[np.uint8], start: Int64s, size: int) -> Int64s:
    value = raw[start].astype(np.int64)
    for place in range(1, size):
        value = (value << 8) | raw[start + place]
    return value
