"""A place in the archive's order of recordings: by stop time, then id. Opaque to clients.

A place also remembers which media files were known when the archive was begun, so that a later
archive finds what was filed meanwhile behind it: recordings arrive late when a store was down.
"""

from __future__ import annotations

import base64
import binascii

import msgspec

_MAXIMUM_LENGTH = 1024
_SQL_INTEGER = range(-(2**63), 2**63)


class Place(msgspec.Struct, frozen=True, array_like=True, tag=2, forbid_unknown_fields=True):
    """Behind the recording `id` that stopped at `stopped_at` (milliseconds since 1970).

    `mark` is the number of the last media file that was filed when the archive was begun.
    """

    stopped_at: int
    id: str
    mark: int

    def encode(self) -> str:
        """Return the place as URL-safe text."""
        return base64.urlsafe_b64encode(msgspec.msgpack.encode(self)).rstrip(b"=").decode()

    @classmethod
    def decode(cls, text: str) -> Place:
        """Read what `encode` wrote. Raises `ValueError` for anything else."""
        wrong = ValueError("it is not a place of this processor")
        if len(text) > _MAXIMUM_LENGTH:
            raise wrong
        try:
            data = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
            place = msgspec.msgpack.decode(data, type=cls)
            place.id.encode()
        except (binascii.Error, ValueError, msgspec.MsgspecError):
            raise wrong from None
        if place.stopped_at not in _SQL_INTEGER or place.mark not in _SQL_INTEGER:
            raise wrong
        return place
