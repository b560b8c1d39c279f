"""The place in a list where a page ends: opaque to clients, a key of the last row to us.

A cursor names a row by what the list is sorted by (start, then the row's number), so paging costs
the same on every page and rows that arrive meanwhile move nothing.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from recording_processor.page_token import SQL_INTEGER, decode_token, encode_token

Direction = Literal["next", "previous"]
_LONGEST = 2048


class Cursor(msgspec.Struct, frozen=True, array_like=True, tag=1, forbid_unknown_fields=True):
    """Rows behind (`next`) or before (`previous`) the row of `start` and `row`."""

    direction: Direction
    start: int
    row: int
    criteria: tuple[tuple[str, str], ...]

    def encode(self) -> str:
        """Return the cursor as URL-safe text."""
        return encode_token(self)

    @classmethod
    def decode(cls, text: str) -> Cursor:
        """Read what `encode` wrote. Raises `ValueError` for anything else."""
        cursor = decode_token(text, cls, longest=_LONGEST)
        if cursor is None or cursor.start not in SQL_INTEGER or cursor.row not in SQL_INTEGER:
            raise ValueError("it is not a cursor of this processor")
        return cursor
