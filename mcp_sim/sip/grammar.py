"""The grammar that `sipmessage` owns, called so that text of strangers leaves nothing behind.

It raises one and the same exception object again and again. Each raise would add to its traceback,
which keeps every frame and with it the message: 2 kB for each bad Via, for ever. And a parameter
that is named "self" is a `TypeError` there; here all that is not valid is a `ValueError`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import sipmessage

Parsed = TypeVar("Parsed")


def parse_message(data: bytes) -> sipmessage.Request | sipmessage.Response:
    """Read a whole message; raises ValueError."""
    return _parsed(sipmessage.Message.parse, data)


def parse_via(text: str) -> sipmessage.Via:
    """Read one Via value (RFC 3261 §20.42); raises ValueError."""
    return _parsed(sipmessage.Via.parse, text)


def parse_cseq(text: str) -> sipmessage.CSeq:
    """Read a CSeq (RFC 3261 §20.16); raises ValueError."""
    return _parsed(sipmessage.CSeq.parse, text)


def parse_address(text: str) -> sipmessage.Address:
    """Read one address of a From, To or Contact (RFC 3261 §20.10); raises ValueError."""
    return _parsed(sipmessage.Address.parse, text)


def parse_uri(text: str) -> sipmessage.URI:
    """Read a `sip:`, `sips:` or `tel:` URI (RFC 3261 §19.1); raises ValueError."""
    return _parsed(sipmessage.URI.parse, text)


Source = TypeVar("Source", str, bytes)


def _parsed(parse: Callable[[Source], Parsed], source: Source) -> Parsed:
    try:
        return parse(source)
    except ValueError as error:
        error.__traceback__ = error.__context__ = None
        raise ValueError(str(error)) from None
    except TypeError:
        raise ValueError("a parameter is not valid") from None
