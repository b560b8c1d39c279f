"""Messages that we write: requests with their ACK and CANCEL, and responses to a request.

Pure text building on `compose`; which branch, tag and sequence number to use is the caller's.
"""

from __future__ import annotations

import dataclasses

from .message import HeaderList, SipRequest, SipResponse
from .reasons import reason_phrase
from .writing import compose, stamped_vias


@dataclasses.dataclass(frozen=True, slots=True)
class OutgoingRequest:
    """A request of ours; the topmost Via is the first header."""

    method: str
    uri: str
    headers: tuple[tuple[str, str], ...]
    body: bytes = b""

    def encode(self) -> bytes:
        """The message as it goes on the wire."""
        return compose(f"{self.method} {self.uri} SIP/2.0", self.headers, self.body)

    def header(self, name: str) -> str:
        """The first value of a header, empty when it is missing."""
        wanted = name.lower()
        return next((value for key, value in self.headers if key.lower() == wanted), "")

    def values(self, name: str) -> list[str]:
        """All lines of a header."""
        wanted = name.lower()
        return [value for key, value in self.headers if key.lower() == wanted]


def refusal_ack(request: OutgoingRequest, response: SipResponse) -> bytes:
    """The ACK to a final response of 300 or above, of the INVITE's own transaction.

    RFC 3261 §17.1.1.3: same Request-URI, Call-ID, From, topmost Via and Route; the response's To.
    """
    to = response.header("To") or request.header("To")
    return _hop_by_hop(request, "ACK", to).encode()


def cancel_request(request: OutgoingRequest) -> OutgoingRequest:
    """The CANCEL of a pending INVITE (RFC 3261 §9.1)."""
    return _hop_by_hop(request, "CANCEL", request.header("To"))


def _hop_by_hop(request: OutgoingRequest, method: str, to: str) -> OutgoingRequest:
    number = request.header("CSeq").partition(" ")[0]
    headers = [
        ("Via", request.header("Via")),
        *(("Route", value) for value in request.values("Route")),
        ("Max-Forwards", "70"),
        ("From", request.header("From")),
        ("To", to),
        ("Call-ID", request.header("Call-ID")),
        ("CSeq", f"{number} {method}"),
    ]
    return OutgoingRequest(method, request.uri, tuple(headers))


def build_response(
    request: SipRequest,
    code: int,
    *,
    reason: str = "",
    to_tag: str = "",
    headers: HeaderList = (),
    body: bytes = b"",
) -> bytes:
    """Answer a request (RFC 3261 §8.2.6): its Via, From, To, Call-ID and CSeq come back as sent.

    `to_tag` is added where To has none. A line break in `reason` becomes a space.
    """
    to = request.headers["To"]
    if to_tag and not request.to_tag:
        to = f"{to};tag={to_tag}"
    phrase = " ".join(reason.split()) or reason_phrase(code)
    lines = [
        *(("Via", value) for value in stamped_vias(request.vias, request.source)),
        ("From", request.headers["From"]),
        ("To", to),
        ("Call-ID", request.call_id),
        ("CSeq", request.headers["CSeq"]),
        *headers,
    ]
    return compose(f"SIP/2.0 {code} {phrase}", lines, body)
