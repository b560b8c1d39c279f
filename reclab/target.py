"""Is anybody there? Asked before a run, so that a mistyped port does not cost 32 seconds a call."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from typing import Final, Literal

from mcp_sim.load.caller import find_route
from service_shell.settings import SettingsError

_KEEP_ALIVE: Final = b"\r\n\r\n"
"""What every SIP server ignores before a message (RFC 3261 clause 7.5)."""
_PATIENCE: Final = {"udp": 0.3, "tcp": 3.0}


async def check_listening(target: tuple[str, int], transport: Literal["udp", "tcp"]) -> None:
    """Raise `SettingsError` where the target's host says that nothing listens on the port.

    A silent host passes: it may be slow, or behind a filter. Raises `ScenarioError` for a host that
    is not found.
    """
    peer, _ = await find_route(target)
    try:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_PATIENCE[transport]):
                await (_knock if transport == "udp" else _connect)(peer)
    except ConnectionRefusedError:
        host, port = target
        raise SettingsError(f"nothing listens at {host}, {transport.upper()} port {port}") from None
    except OSError:
        return  # the calls will say it better


async def _knock(peer: tuple[str, int]) -> None:
    family = socket.AF_INET6 if ":" in peer[0] else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as door:
        door.setblocking(False)
        door.connect(peer)
        door.send(_KEEP_ALIVE)
        await asyncio.get_running_loop().sock_recv(door, 1)


async def _connect(peer: tuple[str, int]) -> None:
    _, writer = await asyncio.open_connection(*peer)
    writer.close()
    await writer.wait_closed()
