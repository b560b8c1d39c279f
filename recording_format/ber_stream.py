"""Reading BER as a stream: headers, small values whole, and octet strings piece by piece.

Definite and indefinite lengths, and octet strings in segments (X.690 §8.1.3, §8.7.3), as encoders
write that do not know the length beforehand. Memory is bounded whatever the lengths say, and a
value that reaches beyond the one around it is a `ValueError`, as is a file that ends too early.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import BinaryIO

from . import der

END_OF_CONTENTS = b"\0\0"
_INDEFINITE = 0x80
_CONSTRUCTED = 0x20
_MAX_DEPTH = 32
_READ_SIZE = 1 << 18


class Torn(ValueError):
    """The file ends in the middle of a value; it has `size` bytes."""

    def __init__(self, size: int) -> None:
        super().__init__(f"the file ends after {size} bytes")
        self.size = size


class BerReader:
    """Reads `file` from where it stands. `position` counts the bytes that were taken.

    `enter` and `leave` go into a constructed value and out of it; nothing is taken from beyond
    the value that was entered.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._buffer = b""
        self._at = 0
        self._ends: list[int | None] = []
        self.position = 0

    def enter(self, *tags: int) -> int:
        """Take the header of a value with one of `tags`, go into it, and return the tag."""
        tag, length, _ = self.take_header()
        if tag not in tags:
            wanted = " or ".join(f"{one:02x}" for one in tags)
            raise ValueError(f"tag {tag:02x} stands where {wanted} belongs")
        self._push(length)
        return tag

    def leave(self) -> None:
        """Take the end of the value that was entered; its contents must all have been taken."""
        if not self.at_end():
            raise ValueError("something stands behind the last part that is known")
        if self._ends.pop() is None:
            self.take(len(END_OF_CONTENTS))

    def at_end(self) -> bool:
        """Return whether nothing is left of the value that was entered, or of the file."""
        if not self._ends:
            return not self._peek(1)
        end = self._ends[-1]
        if end is None:
            found = self._peek(len(END_OF_CONTENTS))
            if len(found) < len(END_OF_CONTENTS):
                raise Torn(self.position + len(found))
            return found == END_OF_CONTENTS
        return self.position == end

    def left(self) -> int | None:
        """Return how many bytes are left of the value that was entered; None if it does not say."""
        return None if self._ends[-1] is None else self._ends[-1] - self.position

    def next_tag(self) -> int:
        """Return the tag of the next value; `Torn` where the file ends."""
        found = self._peek(1)
        if not found:
            raise Torn(self.position)
        return found[0]

    def take(self, size: int) -> bytes:
        """Take `size` bytes."""
        self._check_room(size)
        data = self._peek(size)
        if len(data) < size:
            raise Torn(self.position + len(data))
        self._at += size
        self.position += size
        return data

    def take_header(self) -> tuple[int, int | None, bytes]:
        """Take one header: tag, length (None for an indefinite one), and its bytes."""
        raw = self.take(2)
        tag, first = raw
        if tag & 0x1F == 0x1F:
            raise ValueError("the tag is not one of CMS")
        if first == _INDEFINITE:
            if not tag & _CONSTRUCTED:
                raise ValueError("a simple value has an indefinite length")
            return tag, None, raw
        if first > _INDEFINITE:
            raw += self.take(first & 0x7F)
        return tag, der.read_header(raw, 0).length, raw

    def take_value(self, limit: int) -> bytes:
        """Take a whole value of at most `limit` bytes, as it stands."""
        beginning = self.position
        taken = bytearray()
        depth = 0
        while True:
            tag, length, raw = self.take_header()
            taken += raw
            if length is None:
                depth += 1
            elif tag == 0 and depth:
                depth -= 1
                if length:
                    raise ValueError("the end of a value has contents")
            else:
                if self.position - beginning + length > limit:
                    raise ValueError(f"a value has more than {limit} bytes")
                taken += self.take(length)
            if depth > _MAX_DEPTH or len(taken) > limit:
                raise ValueError(f"a value has more than {limit} bytes or is nested too deep")
            if not depth:
                return bytes(taken)

    def octets(self) -> Iterator[bytes]:
        """Yield what is left of the octet string that was entered, in pieces, and leave it.

        Pieces have up to 256 KiB. The value is the primitive one or one in segments; which, says
        the tag that `enter` returned.
        """
        while left := self.left():
            yield self.take(min(left, _READ_SIZE))
        self.leave()

    def segments(self, depth: int = 0) -> Iterator[bytes]:
        """Yield the segments of the constructed octet string that was entered, and leave it."""
        if depth > _MAX_DEPTH:
            raise ValueError("the octet string is nested too deep")
        while not self.at_end():
            tag = self.enter(der.OCTET_STRING, der.OCTET_STRING | _CONSTRUCTED)
            if tag == der.OCTET_STRING:
                yield from self.octets()
            else:
                yield from self.segments(depth + 1)
        self.leave()

    def _push(self, length: int | None) -> None:
        end = None
        if length is not None:
            self._check_room(length)
            end = self.position + length
        self._ends.append(end)

    def _check_room(self, size: int) -> None:
        known = next((end for end in reversed(self._ends) if end is not None), None)
        if known is not None and self.position + size > known:
            raise ValueError("a value reaches beyond the one around it")

    def _peek(self, size: int) -> bytes:
        """Return the next `size` bytes without taking them, fewer at the end of the file."""
        if len(self._buffer) - self._at < size:
            parts = [self._buffer[self._at :]]
            there = len(parts[0])
            while there < size:
                piece = self._file.read(max(size - there, _READ_SIZE))
                if not piece:
                    break
                parts.append(piece)
                there += len(piece)
            self._buffer, self._at = b"".join(parts), 0
        return self._buffer[self._at : self._at + size]
