"""The form of a call's journal, as bytes: a preamble in clear, then sealed frames.

The preamble carries what recovery needs (the session key sealed under the spool keyring, the
recipient infos) and a salt. Each frame is AES-256-GCM under a key derived from the session key and
that salt, with the frame's counter as nonce and the preamble's digest as associated data: a frame
can be neither moved, nor repeated, nor taken into another journal. A reader hops over frames by
their headers without decrypting them. `journal_writer` and `journal_reader` put this on disk.
"""

from __future__ import annotations

import hashlib
import os
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from mcp_sim.recording.keyring import SpoolKeyring
from mcp_sim.recording.plan import SealedBox
from recording_format.session_key import SessionKey

MAGIC = b"RECLABJ1"
MARKER = b"\xa7FRM"
MAX_PAYLOAD = 8 << 20
"""The most bytes of one frame's payload."""
TAG_SIZE = 16
ROW_SIZE = 11
"""Bytes of one packet's columns in a PACKETS frame."""
PREAMBLE_LIMIT = 1 << 20
HEADER_ONLY = 0x8000
"""In a packet's length: its payload was left out, because the call was paused."""

_KEY_PURPOSE = "session key"
_length = struct.Struct("<I")
_header = struct.Struct("<4sB3xIQ")
_packets_head = struct.Struct("<II")
HEADER_SIZE = _header.size


class JournalError(Exception):
    """A journal cannot be read or written; the text is one sentence that names it."""


class EmptyJournalError(JournalError):
    """The writer was killed before the plan was on disk: no call was answered for this journal."""


class BrokenFrameError(JournalError):
    """A frame is damaged, or does not belong into this journal at this place."""


class FrameKind(IntEnum):
    """What a frame carries: a plan and events as MessagePack, packets as columns."""

    PLAN = 1
    EVENT = 2
    PACKETS = 3


class Preamble(msgspec.Struct, frozen=True):
    """The part in clear. `recipients` is the DER SET OF RecipientInfo, empty if unencrypted."""

    key_box: SealedBox
    recipients: bytes
    salt: bytes


class FrameHeader(msgspec.Struct, frozen=True):
    """`size` counts the sealed payload, its tag included."""

    kind: FrameKind
    counter: int
    size: int


@dataclass(frozen=True, slots=True, eq=False)
class PacketBatch:
    """N datagrams. Those of one leg are in the order in which the kernel gave them.

    `arrival_ns` int64[N]: CLOCK_MONOTONIC. `leg` uint8[N]. Packet i is
    ``data[offset[i] : offset[i] + length[i]]`` (int64[N] both). `header_only` bool[N]: the payload
    was left out because the call was paused, the RTP header is all that is there.
    """

    arrival_ns: npt.NDArray[np.int64]
    leg: npt.NDArray[np.uint8]
    offset: npt.NDArray[np.int64]
    length: npt.NDArray[np.int64]
    header_only: npt.NDArray[np.bool_]
    data: bytes

    def __len__(self) -> int:
        return len(self.leg)

    def packet(self, index: int) -> bytes:
        """Return one datagram."""
        start = int(self.offset[index])
        return self.data[start : start + int(self.length[index])]


def seal_session_key(keyring: SpoolKeyring, key: SessionKey) -> SealedBox:
    """Return the box in which a session key waits in a preamble."""
    return keyring.seal(key.secret, purpose=_KEY_PURPOSE)


def open_session_key(keyring: SpoolKeyring, box: SealedBox) -> SessionKey:
    """Raise `KeyringError` when this keyring cannot open the box."""
    return SessionKey(keyring.open(box, purpose=_KEY_PURPOSE))


def new_preamble(key_box: SealedBox, recipients: bytes) -> Preamble:
    """Return a preamble with its own random salt, so that no two journals share a frame key."""
    return Preamble(key_box, recipients, os.urandom(32))


def encode_preamble(preamble: Preamble) -> bytes:
    """Return magic, length and content."""
    body = msgspec.msgpack.encode(preamble)
    if len(MAGIC) + _length.size + len(body) > PREAMBLE_LIMIT:
        raise JournalError(f"a journal's preamble of {len(body)} bytes is too long")
    return MAGIC + _length.pack(len(body)) + body


def decode_preamble(data: bytes) -> tuple[Preamble, int]:
    """Return the preamble and its size, from a journal's first `PREAMBLE_LIMIT` bytes.

    Raises `EmptyJournalError` when it is cut off, `JournalError` when it is damaged.
    """
    start = len(MAGIC) + _length.size
    if data[: len(MAGIC)] != MAGIC[: len(data)]:
        raise JournalError("it does not begin as a journal does")
    if len(data) < start:
        raise EmptyJournalError("it ends within its preamble")
    size = _length.unpack_from(data, len(MAGIC))[0]
    if start + size > PREAMBLE_LIMIT:
        raise JournalError("its preamble is damaged")
    if start + size > len(data):
        raise EmptyJournalError("it ends within its preamble")
    try:
        return msgspec.msgpack.decode(data[start : start + size], type=Preamble), start + size
    except (msgspec.MsgspecError, RecursionError, ValueError):
        raise JournalError("its preamble is damaged") from None


def parse_header(data: bytes) -> FrameHeader | None:
    """Return the frame header that `data` (`HEADER_SIZE` bytes) is; None when it is none."""
    marker, kind, size, counter = _header.unpack(data)
    if marker != MARKER or kind not in FrameKind.__members__.values():
        return None
    if not TAG_SIZE <= size <= MAX_PAYLOAD + TAG_SIZE:
        return None
    return FrameHeader(FrameKind(kind), counter, size)


class _FrameKey:
    def __init__(self, key: SessionKey, preamble: Preamble) -> None:
        derived = HKDF(SHA256(), 32, salt=preamble.salt, info=b"reclab journal frames 1")
        self.cipher = AESGCM(derived.derive(key.secret))
        self.digest = hashlib.sha256(encode_preamble(preamble)).digest()


class FrameSealer:
    """Seals one journal's frames. It counts them itself: no counter is ever used twice."""

    def __init__(self, key: SessionKey, preamble: Preamble) -> None:
        self._key = _FrameKey(key, preamble)
        self._counter = 0

    def seal(self, kind: FrameKind, payload: bytes) -> bytes:
        """Return the next frame, header included. Raises `JournalError` over `MAX_PAYLOAD`."""
        if len(payload) > MAX_PAYLOAD:
            raise JournalError(f"a journal frame of {len(payload)} bytes is too long")
        header = _header.pack(MARKER, kind, len(payload) + TAG_SIZE, self._counter)
        nonce = self._counter.to_bytes(12, "little")
        self._counter += 1
        return header + self._key.cipher.encrypt(nonce, payload, self._key.digest + header)


class FrameOpener:
    """Opens one journal's frames."""

    def __init__(self, key: SessionKey, preamble: Preamble) -> None:
        self._key = _FrameKey(key, preamble)

    def open(self, frame: bytes) -> bytes:
        """Return the payload of a whole frame (header included). Raises `BrokenFrameError`."""
        header = frame[:HEADER_SIZE]
        parsed = parse_header(header) if len(header) == HEADER_SIZE else None
        if parsed is None or len(frame) != HEADER_SIZE + parsed.size:
            raise BrokenFrameError("a journal frame is cut off or damaged")
        nonce = parsed.counter.to_bytes(12, "little")
        try:
            return self._key.cipher.decrypt(nonce, frame[HEADER_SIZE:], self._key.digest + header)
        except InvalidTag:
            raise BrokenFrameError(f"journal frame {parsed.counter} is damaged") from None


class PacketColumns(NamedTuple):
    """Some packets as the bytes of their columns, ready to be joined.

    `arrival_ns` little-endian int64, `length` little-endian uint16 (with `HEADER_ONLY` where the
    payload was left out), `leg` uint8; `data` holds the packets without gaps.
    """

    arrival_ns: bytes
    length: bytes
    leg: bytes
    data: bytes


def encode_packets(chunks: Sequence[PacketColumns]) -> bytes:
    """Return the payload of a PACKETS frame: each column of all chunks, one after the other."""
    count = sum(len(chunk.leg) for chunk in chunks)
    size = sum(len(chunk.data) for chunk in chunks)
    parts = [_packets_head.pack(count, size)]
    parts += [chunk.arrival_ns for chunk in chunks]
    parts += [chunk.length for chunk in chunks]
    parts += [chunk.leg for chunk in chunks]
    parts += [chunk.data for chunk in chunks]
    return b"".join(parts)


def decode_packets(payload: bytes) -> PacketBatch:
    """Read a PACKETS frame's payload. Raises `BrokenFrameError` when it is not consistent."""
    if len(payload) < _packets_head.size:
        raise BrokenFrameError("a frame of packets is too short")
    count, size = _packets_head.unpack_from(payload)
    at = _packets_head.size
    start = at + count * ROW_SIZE
    if len(payload) != start + size:
        raise BrokenFrameError("a frame of packets has a wrong length")
    arrival = np.frombuffer(payload, "<i8", count, at).astype(np.int64)
    marked = np.frombuffer(payload, "<u2", count, at + 8 * count)
    leg = np.frombuffer(payload, np.uint8, count, at + 10 * count)
    length = (marked & (HEADER_ONLY - 1)).astype(np.int64)
    ends = np.cumsum(length)
    if (int(ends[-1]) if count else 0) != size:
        raise BrokenFrameError("a frame of packets has wrong lengths")
    return PacketBatch(arrival, leg, ends - length, length, marked >= HEADER_ONLY, payload[start:])
