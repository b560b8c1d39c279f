"""Is anybody there? Asked before a run, so that a mistyped port does not cost 32 seconds a call."""

from __future__ import annotations

import asyncio
import socket
import ssl
from typing import Final

from mcp_sim.load.caller import find_route
from mcp_sim.sip.hop import TransportName
from service_shell.settings import SettingsError
from service_shell.trust import certificate_fault

_KEEP_ALIVE: Final = b"\r\n\r\n"
"""What every SIP server ignores before a message (RFC 3261 clause 7.5)."""
_PATIENCE: Final = {"udp": 0.3, "tcp": 3.0, "tls": 5.0}


async def check_listening(
    target: tuple[str, int], transport: TransportName, trust: ssl.SSLContext | None = None
) -> None:
    """Raise `SettingsError` where the target's host says that nothing listens on the port.

    Over "tls" also where nobody speaks it there, or somebody else than the target by what `trust`
    believes. Else a silent host passes: it may be slow, or behind a filter. Raises `ScenarioError`
    for a host that is not found.
    """
    peer, _ = await find_route(target)
    host, port = target
    try:
        async with asyncio.timeout(_PATIENCE[transport]):
            if transport == "udp":
                await _knock(peer)
            else:
                await _connect(peer, trust if transport == "tls" else None, host)
    except TimeoutError:
        if transport == "tls":
            seconds = f"{_PATIENCE[transport]:g} s"
            raise SettingsError(
                f"{host}:{port} did not agree on TLS within {seconds}: is it the port for that?"
            ) from None
    except ConnectionRefusedError:
        kind = "UDP" if transport == "udp" else "TCP"
        raise SettingsError(f"nothing listens at {host}, {kind} port {port}") from None
    except ssl.SSLError as error:
        hint = ""
        if isinstance(error, ssl.SSLCertVerificationError):
            hint = " (--ca names the file of a CA that is to be believed)"
        raise SettingsError(f"{certificate_fault(error, host, port)}{hint}") from None
    except OSError:
        return  # the calls will say it better


async def _knock(peer: tuple[str, int]) -> None:
    family = socket.AF_INET6 if ":" in peer[0] else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as door:
        door.setblocking(False)
        door.connect(peer)
        door.send(_KEEP_ALIVE)
        await asyncio.get_running_loop().sock_recv(door, 1)


async def _connect(peer: tuple[str, int], trust: ssl.SSLContext | None, host: str) -> None:
    if trust is None:
        _, writer = await asyncio.open_connection(*peer)
    else:
        _, writer = await asyncio.open_connection(*peer, ssl=trust, server_hostname=host)
    writer.close()
    await writer.wait_closed()
