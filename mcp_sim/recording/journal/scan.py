"""Finding the frames of a journal that may be cut off or damaged, without decrypting them.

Frames follow each other, so each header tells where the next one is. Where that chain breaks,
the scan looks for the next marker behind which an authentic frame stands, and says what it
stepped over.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from mcp_sim.recording.journal.frames import HEADER_SIZE, MARKER, FrameHeader, parse_header

_CHUNK = 1 << 20


@dataclass(frozen=True, slots=True)
class Damage:
    """Bytes `start` to `end` could not be read; `frames` is how many frames were lost there."""

    start: int
    end: int
    frames: int


@dataclass(frozen=True, slots=True)
class FoundFrame:
    """A frame whose header is plausible and which lies whole in the file."""

    offset: int
    header: FrameHeader

    @property
    def end(self) -> int:
        """Where the next frame begins."""
        return self.offset + HEADER_SIZE + self.header.size


def read_frame(descriptor: int, offset: int) -> bytes:
    """Return the bytes of the frame at `offset`, header included; b"" when there is none."""
    head = os.pread(descriptor, HEADER_SIZE, offset)
    header = parse_header(head) if len(head) == HEADER_SIZE else None
    return b"" if header is None else os.pread(descriptor, HEADER_SIZE + header.size, offset)


def scan_frames(
    descriptor: int, start: int, size: int, authentic: Callable[[int], bool]
) -> Iterator[FoundFrame | Damage]:
    """Go through the frames from `start` up to `size`, the file's length.

    `authentic` proves the frame at an offset; it is asked only behind a break. When the file ends
    in something that is no frame, nothing is said of it: the last frame's `end` is then less than
    `size`.
    """
    offset, counter = start, 0
    while offset < size:
        found = _frame_at(descriptor, offset, size)
        if found is None or found.header.counter != counter:
            found = _next_authentic(descriptor, offset, size, counter, authentic)
            if found is None:
                return
            yield Damage(offset, found.offset, found.header.counter - counter)
        yield found
        offset, counter = found.end, found.header.counter + 1


def _frame_at(descriptor: int, offset: int, size: int) -> FoundFrame | None:
    data = os.pread(descriptor, HEADER_SIZE, offset)
    header = parse_header(data) if len(data) == HEADER_SIZE else None
    if header is None or offset + HEADER_SIZE + header.size > size:
        return None
    return FoundFrame(offset, header)


def _next_authentic(
    descriptor: int, offset: int, size: int, counter: int, authentic: Callable[[int], bool]
) -> FoundFrame | None:
    for candidate in _markers(descriptor, offset):
        found = _frame_at(descriptor, candidate, size)
        if found and found.header.counter >= counter and authentic(candidate):
            return found
    return None


def _markers(descriptor: int, offset: int) -> Iterator[int]:
    """Give each place at or behind `offset` where `MARKER` stands."""
    while True:
        chunk = os.pread(descriptor, _CHUNK, offset)
        at = chunk.find(MARKER)
        while at >= 0:
            yield offset + at
            at = chunk.find(MARKER, at + 1)
        if len(chunk) < _CHUNK:
            return
        offset += len(chunk) - len(MARKER) + 1
