"""What a scenario expects of its calls: how many were recorded, verified, lost, doubled …

Data only. Each key that is given is one question; `reclab.faults.checking` answers it.
"""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

import msgspec
from msgspec import Meta

Count = Annotated[int, Meta(ge=0, le=10_000)]
Amount: TypeAlias = Count | Literal["all", "none", "some"]
"""Of how many calls something is true; ``some``: of one at least."""


class Expectation(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What must be true of a scenario's calls. A key that is not given is not asked.

    `taken` and `refused` are of all calls that were placed; what follows them is of those that the
    platform had taken (its 2xx had come).

    | key | the calls … |
    |---|---|
    | taken | were taken |
    | refused | were refused; `refusal` is the cause of each, as ``GET /calls/refused`` says it |
    | recorded | are found at the processor |
    | waiting | have a recording in the spool that is on its way |
    | put_aside | have a recording in the spool's ``failed`` |
    | lost | are neither recorded nor in the spool |
    | doubled | are recorded, and more than once |
    | orphans | (objects of the store that no metadata names) |
    | verified | are recorded whole: all that was sent of each leg's signature was found again |
    | recovered | have a recording that is marked as recovered |
    | playable | are decrypted for a listener by the crypto server |
    | recoverable, unrecoverable | are lost recordings of that class, as ``reclab recover`` tells; \
`reason` is its word for the cause |
    """

    taken: Amount | None = None
    refused: Amount | None = None
    refusal: str | None = None
    recorded: Amount | None = None
    waiting: Amount | None = None
    put_aside: Amount | None = None
    lost: Count | None = None
    doubled: Count | None = None
    orphans: Count | None = None
    verified: Amount | None = None
    recovered: Amount | None = None
    playable: Amount | None = None
    recoverable: Amount | None = None
    unrecoverable: Amount | None = None
    reason: str | None = None

    def __post_init__(self) -> None:
        if self.refusal is not None and self.refused in (None, 0, "none"):
            raise ValueError("`refusal` needs `refused`: how many are refused for that cause")
        classes = (self.recoverable, self.unrecoverable)
        if self.reason is not None and all(one in (None, 0, "none") for one in classes):
            raise ValueError("`reason` needs `recoverable` or `unrecoverable`")

    @property
    def keys(self) -> tuple[str, ...]:
        """The questions that are asked."""
        return tuple(name for name in self.__struct_fields__ if getattr(self, name) is not None)
