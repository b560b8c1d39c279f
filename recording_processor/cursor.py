"""The place in a list where a page ends: opaque to clients, a key of the last row to us.

A cursor names a row by what the list is sorted by (start, then the row's number), so paging costs
the same on every page and rows that arrive meanwhile move nothing.
"""

from __future__ import annotations

import base64
import binascii
from typing import Literal

import msgspec

Direction = Literal["next", "previous"]
_MAXIMUM_LENGTH = 2048
_SQL_INTEGER = range(-(2**63), 2**63)


class Cursor(msgspec.Struct, frozen=True, array_like=True, tag=1, forbid_unknown_fields=True):
    """Rows behind (`next`) or before (`previous`) the row of `start` and `row`."""

    direction: Direction
    start: int
    row: int
    criteria: tuple[tuple[str, str], ...]

    def encode(self) -> str:
        """Return the cursor as URL-safe text."""
        return base64.urlsafe_b64encode(msgspec.msgpack.encode(self)).rstrip(b"=").decode()

    @classmethod
    def decode(cls, text: str) -> Cursor:
        """Read what `encode` wrote. Raises `ValueError` for anything else."""
        wrong = ValueError("it is not a cursor of this processor")
        if len(text) > _MAXIMUM_LENGTH:
            raise wrong
        try:
            data = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
            cursor = msgspec.msgpack.decode(data, type=cls)
        except (binascii.Error, ValueError, msgspec.MsgspecError):
            raise wrong from None
        if cursor.start not in _SQL_INTEGER or cursor.row not in _SQL_INTEGER:
            raise wrong
        return cursor
