"""Places in lists as clients carry them: opaque, URL-safe text around a few values.

They are not secret and not signed: a made-up one is at most another place in the same list.
"""

from __future__ import annotations

import base64
import binascii
from typing import TypeVar

import msgspec

_T = TypeVar("_T", bound=msgspec.Struct)
#: What a column of whole numbers can hold.
SQL_INTEGER = range(-(2**63), 2**63)


def encode_token(place: msgspec.Struct) -> str:
    """Return `place` as text."""
    return base64.urlsafe_b64encode(msgspec.msgpack.encode(place)).rstrip(b"=").decode()


def decode_token(text: str, kind: type[_T], *, longest: int) -> _T | None:
    """Return what `encode_token` wrote, or None for anything else."""
    if len(text) > longest:
        return None
    try:
        data = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
        return msgspec.msgpack.decode(data, type=kind)
    except (binascii.Error, ValueError, msgspec.MsgspecError):
        return None
