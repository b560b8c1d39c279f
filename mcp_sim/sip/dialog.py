"""One dialog (RFC 3261 §12): its identifiers, sequence numbers, route set and remote target.

Pure. Addresses, routes and targets are kept as the text that was received, because they must be
sent back unchanged.
"""

from __future__ import annotations

import dataclasses

from . import fields, grammar
from .hop import Hop, Route, TransportName, bare, default_port, is_numeric, is_sips
from .message import MAX_URI_CHARS, HeaderList, SipRequest, SipResponse
from .outgoing import OutgoingRequest

DialogKey = tuple[str, str, str]  # Call-ID, local tag, remote tag

MAX_FORWARDS = "70"
_NOWHERE = ("0.0.0.0", "::")  # noqa: S104  # addresses that a peer wrote, nothing is bound to them


@dataclasses.dataclass(slots=True, eq=False)
class Dialog:
    """The state two user agents share; `local` and `remote` are whole From/To values.

    `sips`: it began with a SIPS URI, and so our Contact has to be one too (RFC 3261 §12.1).
    """

    call_id: str
    local: str
    remote: str
    local_tag: str
    remote_tag: str
    remote_target: str
    routes: list[str]
    flow: Hop
    local_sequence: int
    remote_sequence: int | None = None
    sips: bool = False

    @classmethod
    def as_server(cls, request: SipRequest, local_tag: str) -> Dialog:
        """The dialog that an INVITE makes at the called side (RFC 3261 §12.1.1).

        Raises ValueError when a Record-Route is not valid.
        """
        routes = _checked(request.header_values("Record-Route"))
        target = contact_uri(request) or _from_uri(request)
        first = fields.addr_spec(routes[0]) if routes else target
        return cls(
            call_id=request.call_id,
            local=f"{request.headers['To']};tag={local_tag}",
            remote=request.headers["From"],
            local_tag=local_tag,
            remote_tag=request.from_tag,
            remote_target=target,
            routes=routes,
            flow=request.source,
            local_sequence=0,
            remote_sequence=request.cseq,
            sips=is_sips(request.raw_uri) or is_sips(first),
        )

    @classmethod
    def as_client(cls, request: OutgoingRequest, response: SipResponse, local_tag: str) -> Dialog:
        """The dialog that a 2xx makes at the calling side (RFC 3261 §12.1.2).

        A Record-Route that cannot be read is as good as none.
        """
        try:
            routes = _checked(response.header_values("Record-Route")[::-1])
        except ValueError:
            routes = []
        return cls(
            call_id=response.call_id,
            local=request.header("From"),
            remote=response.headers["To"],
            local_tag=local_tag,
            remote_tag=response.to_tag,
            remote_target=contact_uri(response) or request.uri,
            routes=routes,
            flow=response.source,
            local_sequence=response.cseq,
            sips=is_sips(request.uri),
        )

    @property
    def key(self) -> DialogKey:
        """The dialog ID."""
        return (self.call_id, self.local_tag, self.remote_tag)

    def in_order(self, request: SipRequest) -> bool:
        """Take the request's CSeq; False when it is not above the last one (RFC 3261 §12.2.2)."""
        if self.remote_sequence is not None and request.cseq <= self.remote_sequence:
            return False
        self.remote_sequence = request.cseq
        return True

    def refresh_target(self, message: SipRequest | SipResponse) -> None:
        """Take the Contact of a target refresh (re-INVITE, UPDATE) as the new remote target."""
        self.remote_target = contact_uri(message) or self.remote_target

    def request(
        self, method: str, via: str, headers: HeaderList = (), body: bytes = b""
    ) -> OutgoingRequest:
        """The next request of ours within the dialog (RFC 3261 §12.2.1.1)."""
        self.local_sequence += 1
        return self._compose(method, self.local_sequence, via, headers, body)

    def ack(self, sequence: int, via: str, headers: HeaderList = ()) -> OutgoingRequest:
        """The ACK to a 2xx of the INVITE with that CSeq number (RFC 3261 §13.2.2.4)."""
        return self._compose("ACK", sequence, via, headers, b"")

    def _compose(
        self, method: str, sequence: int, via: str, headers: HeaderList, body: bytes
    ) -> OutgoingRequest:
        uri, routes = self._uri_and_routes()
        lines = [
            ("Via", via),
            *(("Route", route) for route in routes),
            ("Max-Forwards", MAX_FORWARDS),
            ("From", self.local),
            ("To", self.remote),
            ("Call-ID", self.call_id),
            ("CSeq", f"{sequence} {method}"),
            *headers,
        ]
        return OutgoingRequest(method, uri, tuple(lines), body)

    def _uri_and_routes(self) -> tuple[str, list[str]]:
        """Loose routing, or strict when the first route has no `lr` (RFC 3261 §12.2.1.1)."""
        if not self.routes:
            return self.remote_target, []
        first = fields.addr_spec(self.routes[0])
        if fields.has_parameter(f"<x>;{first.partition(';')[2]}", "lr"):
            return self.remote_target, self.routes
        return first, [*self.routes[1:], f"<{self.remote_target}>"]

    def route(self) -> Route:
        """Where the next request goes: the first route, else the remote target.

        Host names are not looked up: a peer that names itself is reached where it was heard
        from. The connection that carries the dialog is used again where it leads to the same
        host. What came by TLS never goes on by less.
        """
        uri = fields.addr_spec(self.routes[0]) if self.routes else self.remote_target
        target = hop_of(uri, self.flow.transport)
        if target is None:
            return Route(self.flow)
        same = self.flow.reliable and self.flow.transport == target.transport
        if same and self.flow.host == target.host:
            # Where the connection is gone, the same peer has to prove itself again.
            name = self.flow.server_name
            return Route(self.flow, fallback=dataclasses.replace(target, server_name=name))
        return Route(target)


def hop_of(uri: str, default: TransportName) -> Hop | None:
    """The address a URI leads to; None for names and for URIs without a usable host.

    `default` is the transport of the dialog; from TLS nothing leads away.
    """
    if len(uri) > MAX_URI_CHARS:
        return None
    try:
        parsed = grammar.parse_uri(uri)
    except ValueError:
        return None
    host = bare(parsed.host)
    if not is_numeric(host) or host in _NOWHERE:
        return None
    named = (parsed.parameters.get("transport") or default).lower()
    transport: TransportName = "tcp" if named == "tcp" else "udp"
    if "tls" in (default, named) or is_sips(uri):
        transport = "tls"
    port = parsed.port or default_port(transport)
    return Hop(transport, host, port) if port < 65536 else None


def contact_uri(message: SipRequest | SipResponse) -> str:
    """The URI of the first Contact, empty when there is none that can be read."""
    contacts = message.header_values("Contact")
    try:
        return fields.addr_spec(contacts[0]) if contacts else ""
    except ValueError:
        return ""


def _checked(routes: list[str]) -> list[str]:
    for route in routes:
        fields.addr_spec(route)
    return routes


def _from_uri(request: SipRequest) -> str:
    return fields.addr_spec(request.headers["From"])
