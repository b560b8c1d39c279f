"""The capture process's end of the socket pair. It never blocks: a slow front costs no packet."""

from __future__ import annotations

import socket
from collections.abc import Iterator

from mcp_sim.recording.capture.messages import (
    Answer,
    CaptureStats,
    Request,
    encode_message,
    request_reader,
)

_READ_SIZE = 1 << 18


class CapturePipe:
    """Reads requests, writes answers. `ended` once the front has closed its end."""

    def __init__(self, end: socket.socket) -> None:
        end.setblocking(False)
        self._socket = end
        self._reader = request_reader()
        self._unsent = bytearray()
        self.ended = False

    def fileno(self) -> int:
        """For selectors."""
        return self._socket.fileno()

    @property
    def stalled(self) -> bool:
        """Whether answers wait for the front to read."""
        return bool(self._unsent)

    def requests(self) -> Iterator[Request]:
        """Give what has come. Raises `MessageError`."""
        while not self.ended:
            try:
                data = self._socket.recv(_READ_SIZE)
            except BlockingIOError:
                return
            except OSError:
                data = b""
            if not data:
                self.ended = True
                return
            yield from self._reader.feed(data)

    def send(self, answer: Answer) -> None:
        """Send an answer, now or when the front reads. Stats are left out while it does not."""
        if self.ended or (self._unsent and isinstance(answer, CaptureStats)):
            return
        self._unsent += encode_message(answer)
        self.send_rest()

    def send_rest(self) -> None:
        """Send what waits, as far as it goes."""
        try:
            while self._unsent:
                del self._unsent[: self._socket.send(self._unsent)]
        except BlockingIOError:
            pass
        except OSError:
            self.ended = True
