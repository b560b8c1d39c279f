"""Why a delivery did not succeed, and whether trying again can help.

DeliveryError
├── DestinationError      the destination's fault, or the network's: trying again helps
│   ├── NotNowError           it works, but does not take this one for now
│   └── SignInRefusedError    it does not take our name and password, until somebody mends them
├── ConflictError         another object or recording of that name is there: a person must look
├── RefusedError          the destination will never take this
└── BrokenItemError       what lies in the spool is not what was sealed
"""

from __future__ import annotations

from typing import ClassVar


class DeliveryError(Exception):
    """One sentence that names the destination.

    `temporary`: trying again can help, not before `retry_after` seconds where that is said.
    `unconfirmed`: the store may have changed what it holds, nobody knows.
    `destination_works`: what the error says of the destination as a whole, None: nothing.
    """

    temporary: ClassVar[bool] = False
    destination_works: bool | None = None

    def __init__(
        self, message: str, *, unconfirmed: bool = False, retry_after: float | None = None
    ) -> None:
        super().__init__(message)
        self.unconfirmed = unconfirmed
        self.retry_after = retry_after


class DestinationError(DeliveryError):
    """Not reached, too slow, full, broken."""

    temporary = True
    destination_works = False


class NotNowError(DestinationError):
    """Locked, or no such place: true of this item's name, not of all that goes there."""

    destination_works = True


class SignInRefusedError(DestinationError):
    """401 or 403."""


class ConflictError(DeliveryError):
    """Something else is there under this name."""

    destination_works = True


class RefusedError(DeliveryError):
    """The destination says that this cannot be taken."""

    destination_works = True


class BrokenItemError(DeliveryError):
    """The item cannot be read, or was changed on disk."""
