"""A place in the archive's order of recordings: by stop time, then id. Opaque to clients.

A place also remembers which media files were known when the archive was begun, so that a later
archive finds what was filed meanwhile behind it: recordings arrive late when a store was down. And
it remembers how far archives had come before, so that one of such late recordings does not make the
next one begin at them.
"""

from __future__ import annotations

import msgspec

from recording_processor.page_token import SQL_INTEGER, decode_token, encode_token

_LONGEST = 2048


class Place(msgspec.Struct, frozen=True, array_like=True, tag=2, forbid_unknown_fields=True):
    """Behind the recording `id` that stopped at `stopped_at` (milliseconds since 1970).

    `mark` is the number of the last media file that was filed when the archive was begun, `before`
    the stop time and id that archives had come to before, where that is behind this place.
    """

    stopped_at: int
    id: str
    mark: int
    before: tuple[int, str] | None = None

    @property
    def farthest(self) -> tuple[int, str]:
        """The stop time and id that archives have come to."""
        return self.before or (self.stopped_at, self.id)

    def following(self, since: Place | None) -> Place:
        """Return this place as one of an archive that goes on behind `since`."""
        behind = since is not None and since.farthest > (self.stopped_at, self.id)
        before = since.farthest if since is not None and behind else None
        return msgspec.structs.replace(self, before=before)

    def encode(self) -> str:
        """Return the place as URL-safe text."""
        return encode_token(self)

    @classmethod
    def decode(cls, text: str) -> Place:
        """Read what `encode` wrote. Raises `ValueError` for anything else."""
        place = decode_token(text, cls, longest=_LONGEST)
        if place is None or any(number not in SQL_INTEGER for number in place._numbers):
            raise ValueError("it is not a place of this processor")
        return place

    @property
    def _numbers(self) -> tuple[int, ...]:
        return (self.stopped_at, self.mark, self.farthest[0])
