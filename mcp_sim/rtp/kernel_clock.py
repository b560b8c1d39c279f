"""How far CLOCK_MONOTONIC is from the wall clock that stamps datagrams, asked of the kernel itself.

A datagram to ourselves is stamped on its way, with CLOCK_MONOTONIC read before and after. Reading
the wall clock as a program would not do: it need not be the one that the kernel stamps with
(libfaketime changes only the program's).
"""

from __future__ import annotations

import socket
import struct
import time
from typing import Self

SO_TIMESTAMPNS = 35
"""Not in the `socket` module. Its control message has the same number."""
JUMP_NS = 1_000_000
_STAMP = struct.Struct("@qq")
_GOOD_NS = 50_000
_TRIES = 5


class KernelClock:
    """Knows `offset_ns` = monotonic minus wall clock, and the one before the last jump."""

    def __init__(self) -> None:
        self._near, self._far = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._far.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
        self._near.settimeout(1.0)
        self._far.settimeout(1.0)
        self.offset_ns = self._ask()
        self.earlier_offset_ns = self.offset_ns
        self.jumps = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close its sockets."""
        self._near.close()
        self._far.close()

    def refresh(self) -> None:
        """Measure again. Slow drift is followed; a step is a jump, and is counted."""
        offset_ns = self._ask()
        if abs(offset_ns - self.offset_ns) > JUMP_NS:
            self.earlier_offset_ns = self.offset_ns
            self.jumps += 1
        self.offset_ns = offset_ns

    def _ask(self) -> int:
        """Return the offset from the try with the least time between both readings."""
        best: tuple[int, int] | None = None
        for _ in range(_TRIES):
            before = time.monotonic_ns()
            self._near.send(b"?")
            after = time.monotonic_ns()
            _, control, _, _ = self._far.recvmsg(1, 64)
            seconds, nanoseconds = _STAMP.unpack(control[0][2])
            offset_ns = (before + after) // 2 - (seconds * 1_000_000_000 + nanoseconds)
            if best is None or after - before < best[0]:
                best = (after - before, offset_ns)
            if best[0] < _GOOD_NS:
                break
        assert best is not None
        return best[1]
