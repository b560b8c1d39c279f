"""One place on the network that SIP messages come from and go to, and how hosts are written.

For TCP and TLS the hop names a connection by the peer's address, so an answer finds the connection
that the request came on.
"""

from __future__ import annotations

import dataclasses
import ipaddress
from typing import Literal

TransportName = Literal["udp", "tcp", "tls"]


@dataclasses.dataclass(frozen=True, slots=True)
class Hop:
    """A peer's transport address; `host` is a bare address (IPv6 without brackets).

    `server_name` is whom its certificate has to name where we connect by TLS, empty: `host`.
    """

    transport: TransportName
    host: str
    port: int
    server_name: str = dataclasses.field(default="", compare=False)

    @property
    def reliable(self) -> bool:
        """True when the transport repeats lost bytes itself (RFC 3261 §17)."""
        return self.transport != "udp"

    def __str__(self) -> str:
        return f"{self.transport}:{bracketed(self.host)}:{self.port}"


@dataclasses.dataclass(frozen=True, slots=True)
class Route:
    """Where to send: `hop`, and for a stream a second hop to try when that connection is gone."""

    hop: Hop
    fallback: Hop | None = None


def default_port(transport: TransportName) -> int:
    """The port where none is named (RFC 3261 §19.1.2)."""
    return 5061 if transport == "tls" else 5060


def is_sips(uri: str) -> bool:
    """True for a SIPS URI: each hop to it has to be TLS (RFC 3261 §26.2.2)."""
    return uri[:5].lower() == "sips:"


def bracketed(host: str) -> str:
    """`host` as it is written in a URI or a Via: an IPv6 address gets its brackets."""
    return f"[{host}]" if ":" in host and not host.startswith("[") else host


def bare(host: str) -> str:
    """`host` without the brackets of an IPv6 reference."""
    return host[1:-1] if host.startswith("[") and host.endswith("]") else host


def is_numeric(host: str) -> bool:
    """True when `host` is an IPv4 or IPv6 address and needs no name look-up."""
    try:
        ipaddress.ip_address(bare(host))
    except ValueError:
        return False
    return True
