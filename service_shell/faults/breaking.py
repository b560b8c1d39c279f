"""How a connection breaks, and how long something is held up: real resets, and waits that heal."""

from __future__ import annotations

import asyncio
import fcntl
import socket
import struct
import termios
from collections.abc import Callable
from contextlib import suppress

_NO_LINGER = struct.pack("ii", 1, 0)
_SENT_SECONDS = 5.0
_LOOK_SECONDS = 0.005
_CLIENT_SECONDS = 1.0
"""How soon it is noticed that a client went away."""


class Broken(ConnectionResetError):
    """We reset the connection ourselves."""


def reset(transport: asyncio.WriteTransport | None) -> Broken:
    """Reset the connection (TCP RST, not FIN) and return what to raise.

    What the client did not take yet is lost.
    """
    if transport is not None:
        sock = transport.get_extra_info("socket")
        if sock is not None:
            with suppress(OSError):
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
        transport.abort()
    return Broken("the connection was reset on purpose")


async def sent(transport: asyncio.WriteTransport | None) -> None:
    """Wait until the client's side has everything that was written, at most five seconds."""
    with suppress(TimeoutError, OSError):
        async with asyncio.timeout(_SENT_SECONDS):
            # No event tells when the kernel's queue is empty.
            while transport is not None and _unsent(transport):  # noqa: ASYNC110 - see above
                await asyncio.sleep(_LOOK_SECONDS)


def _unsent(transport: asyncio.WriteTransport) -> int:
    """Return the bytes that wait here and in the kernel, or were not acknowledged."""
    waiting = transport.get_write_buffer_size()
    sock = transport.get_extra_info("socket")
    if waiting or sock is None or transport.is_closing():
        return 0 if transport.is_closing() else waiting
    (queued,) = struct.unpack("i", fcntl.ioctl(sock.fileno(), termios.TIOCOUTQ, b"\0" * 4))
    return int(queued)


async def hold(seconds: float, healed: asyncio.Event, connected: Callable[[], bool]) -> bool:
    """Wait `seconds`, or until `healed`; return whether it was healed.

    Raises `Broken` when the client goes away meanwhile, so that nothing is kept for it.
    """
    end = asyncio.get_running_loop().time() + seconds
    while (left := end - asyncio.get_running_loop().time()) > 0:
        if await pause(min(left, _CLIENT_SECONDS), healed):
            return True
        if not connected():
            raise Broken("the client went away")
    return healed.is_set()


async def pause(seconds: float, healed: asyncio.Event) -> bool:
    """Wait `seconds`, or until `healed`; return whether it was healed."""
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await healed.wait()
    return healed.is_set()
