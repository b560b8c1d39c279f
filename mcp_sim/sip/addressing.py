"""Addresses that need the system: names of targets, and which of ours leads to a peer."""

from __future__ import annotations

import asyncio
import socket

from .errors import TransportFailed
from .hop import Hop, TransportName, is_numeric

LOOKUP_TIMEOUT = 10.0  # seconds
REMEMBERED = 1000

_WILDCARDS = ("0.0.0.0", "::")  # noqa: S104  # compared, nothing is bound


async def resolve(
    target: tuple[str, int], transport: TransportName, *, ipv6: bool, server_name: str = ""
) -> Hop:
    """The hop of a host (name or address) and port; raises TransportFailed.

    `server_name` is whom a certificate has to name where that is not the host.
    """
    host, port = target
    server_name = server_name or host
    if is_numeric(host):
        return Hop(transport, host, port, server_name)
    family = socket.AF_INET6 if ipv6 else socket.AF_INET
    try:
        async with asyncio.timeout(LOOKUP_TIMEOUT):
            found = await asyncio.get_running_loop().getaddrinfo(host, port, family=family)
    except (OSError, TimeoutError):
        raise TransportFailed(f"the host name {host} was not found") from None
    return Hop(transport, str(found[0][4][0]), port, server_name)


class LocalHosts:
    """Which local address a peer knows us by; `advertise` overrules, `bound` is the socket's."""

    def __init__(self, bound: str, advertise: str) -> None:
        self._fixed = advertise or ("" if bound in _WILDCARDS else bound)
        self._known: dict[str, str] = {}

    def towards(self, peer: str) -> str:
        """The address under which `peer` reaches us."""
        if self._fixed:
            return self._fixed
        if peer not in self._known:
            if len(self._known) >= REMEMBERED:
                self._known.clear()
            self._known[peer] = _local_address(peer)
        return self._known[peer]


def _local_address(peer: str) -> str:
    """Ask the routing table which of our addresses leads to `peer`; sends nothing."""
    family = socket.AF_INET6 if ":" in peer else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect((peer, 9))
        except OSError:
            return "127.0.0.1"
        return str(probe.getsockname()[0])
