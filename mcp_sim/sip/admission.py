"""The checks that every request meets before it reaches a call (RFC 3261 §8.2). Pure."""

from __future__ import annotations

from .identity import ALLOW, SUPPORTED
from .message import HeaderList, SipRequest

METHODS = frozenset(ALLOW.split(", "))
OTHER_METHODS = frozenset(
    ("REGISTER", "SUBSCRIBE", "NOTIFY", "PUBLISH", "MESSAGE", "REFER", "PRACK")
)
ACCEPT = (
    "application/sdp",
    "multipart/mixed",
    "application/rs-metadata+xml",
    "application/rs-metadata",
    "application/msml+xml",
)


def refusal(request: SipRequest, *, merged: bool) -> tuple[int, HeaderList] | None:
    """Why a request cannot be served: code and explaining headers; None when it can.

    `merged`: the same request came already by another way (§8.2.2.2). This endpoint stands for a
    proxy and its recorder in one, so a request without hops left is refused as by the proxy;
    OPTIONS is not (§11).
    """
    if request.max_forwards == 0 and request.method != "OPTIONS":
        return 483, ()
    if request.method not in METHODS:
        return (405 if request.method in OTHER_METHODS else 501), [("Allow", ALLOW)]
    if merged:
        return 482, ()
    unknown = [
        option for option in request.header_values("Require") if option.lower() not in SUPPORTED
    ]
    if unknown:
        return 420, [("Unsupported", ", ".join(unknown))]
    encoding = request.header("Content-Encoding")
    if encoding is not None and encoding.lower() != "identity":
        return 415, [("Accept-Encoding", "identity")]
    return None
