"""Cutting a TCP byte stream into SIP messages by Content-Length (RFC 3261 §18.3), within bounds.

Pure. Once the stream cannot be cut any more the framer is `broken`: it gives out the head that
broke it, so that the parser can refuse it by name, and the connection has to be closed.
"""

from __future__ import annotations

import re

from .message import MessageLimits

_FOLD = re.compile(rb"\r\n[ \t]+")
_LENGTH = re.compile(rb"\r\n(?:content-length|l)[ \t]*:([^\r\n]*)", re.I)
_NUMBER = re.compile(rb"[0-9]{1,10}")


class StreamFramer:
    """Feed bytes as they come; whole messages come out."""

    def __init__(self, limits: MessageLimits | None = None) -> None:
        self.broken = False
        self._limits = limits or MessageLimits()
        self._buffer = bytearray()
        self._searched = 0
        self._wanted = 0

    @property
    def partial(self) -> bool:
        """True while part of a message waits for its rest."""
        return bool(self._buffer)

    def feed(self, data: bytes) -> list[bytes]:
        """Take bytes, return the messages that are complete now; nothing after `broken`."""
        if self.broken:
            return []
        self._buffer += data
        messages: list[bytes] = []
        while not self.broken:
            message = self._next()
            if message is None:
                break
            messages.append(message)
        return messages

    def _next(self) -> bytes | None:
        if not self._wanted and not self._find_end():
            return None
        if self.broken:
            head = bytes(self._buffer[: self._limits.header_bytes + 5])
            self._buffer.clear()
            return head
        if len(self._buffer) < self._wanted:
            return None
        message = bytes(self._buffer[: self._wanted])
        del self._buffer[: self._wanted]
        self._searched = self._wanted = 0
        return message

    def _find_end(self) -> bool:
        """Find how long the next message is; True when that (or that it is broken) is known."""
        if not self._searched:
            skipped = len(self._buffer) - len(self._buffer.lstrip(b"\r\n"))
            del self._buffer[:skipped]  # keep-alives between messages (RFC 3261 §7.5)
        end = self._buffer.find(b"\r\n\r\n", max(0, self._searched - 3))
        self._searched = len(self._buffer)
        if end < 0 or end > self._limits.header_bytes:
            self.broken = end >= 0 or len(self._buffer) > self._limits.header_bytes + 3
            return self.broken
        length = _content_length(bytes(self._buffer[:end]))
        if length is None or length > self._limits.body_bytes:
            self.broken = True
        else:
            self._wanted = end + 4 + length
        return True


def _content_length(head: bytes) -> int | None:
    """The one Content-Length of a head; None when it is missing, doubled or no number."""
    lengths = [value.strip() for value in _LENGTH.findall(_FOLD.sub(b" ", head))]
    if len(lengths) != 1 or _NUMBER.fullmatch(lengths[0]) is None:
        return None
    return int(lengths[0])
