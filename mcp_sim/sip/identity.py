"""How this endpoint names itself: Via with fresh branches, Contact, tags, its headers.

Pure but for the two callables it is given: one draws random tokens, one tells which local
address leads to a peer.
"""

from __future__ import annotations

from collections.abc import Callable

from .hop import Route, bracketed
from .message import HeaderList
from .transactions import COOKIE

ALLOW = "INVITE, ACK, CANCEL, BYE, OPTIONS, INFO, UPDATE"
SUPPORTED = ("siprec",)


class AgentIdentity:
    """The names under which one agent sends.

    `port` is where it listens by UDP and TCP, `tls_port` by TLS (0: nowhere, `port` stands there).
    """

    def __init__(
        self,
        *,
        user_agent: str,
        port: int,
        local_host: Callable[[str], str],
        token: Callable[[], str],
        tls_port: int = 0,
    ) -> None:
        self.token = token
        self._port = port
        self._tls_port = tls_port or port
        self._local_host = local_host
        self._own = (
            ("Allow", ALLOW),
            ("Supported", ", ".join(SUPPORTED)),
            ("User-Agent", user_agent),
        )

    @property
    def own_headers(self) -> HeaderList:
        """Allow, Supported and User-Agent."""
        return self._own

    def via(self, route: Route) -> str:
        """A Via with a branch nobody has used (RFC 3261 §8.1.1.7) and rport (RFC 3581)."""
        transport = route.hop.transport.upper()
        return f"SIP/2.0/{transport} {self.sent_by(route)};rport;branch={COOKIE}{self.token()}"

    def contact(self, route: Route, parameters: str = "", *, sips: bool = False) -> str:
        """A Contact that is reached as the peer reached us; `parameters` as in ";+sip.srs".

        A SIPS URI answers a SIPS URI (RFC 3261 §12.1.1), and says TLS by itself (RFC 5630).
        """
        if sips:
            host = bracketed(self._local_host(route.hop.host))
            return f"<sips:{host}:{self._tls_port}>{parameters}"
        name = route.hop.transport
        transport = "" if name == "udp" else f";transport={name}"
        return f"<sip:{self.sent_by(route)}{transport}>{parameters}"

    def sent_by(self, route: Route) -> str:
        """`host:port` of this endpoint as the peer at the end of `route` sees it."""
        port = self._tls_port if route.hop.transport == "tls" else self._port
        return f"{bracketed(self._local_host(route.hop.host))}:{port}"
