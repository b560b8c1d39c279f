"""What can go wrong in the processor, drawn as one tree; each knows the answer that it becomes.

    ProcessorError
    ├── BadParameter       400, statusCode 2   the request names something that cannot be
    ├── NotPermitted       403, statusCode 3   the account's tenants or another site's page
    ├── NotFound           404, statusCode 6   no such recording, media file or contact centre
    ├── Conflict           409, statusCode 2   the same id with another content: a person must look
    ├── Changed            412, statusCode 2   it is not what the caller took it for
    ├── TooLarge           413, statusCode 2   the body is over its limit
    ├── Busy               503, statusCode 4   a limit is reached; trying again later helps
    ├── OutOfSpace         507, statusCode 4   the catalogue's disk is full
    └── UpstreamFailed     502, statusCode 4   the store or crypto_server did not do its part
        └── UpstreamSlow   504, statusCode 4   … in time

Every text is one plain sentence for the caller and holds no secret.
"""

from __future__ import annotations

from typing import ClassVar

from service_shell.web import BAD_PARAMETER, INTERNAL, NO_PERMISSION, NOT_FOUND


class ProcessorError(Exception):
    """A request cannot be answered with success; the text says why."""

    status: ClassVar[int] = 500
    code: ClassVar[int] = INTERNAL
    retry_after: ClassVar[int | None] = None


class BadParameter(ProcessorError):
    """The request's own fault; the same request will fail again."""

    status = 400
    code = BAD_PARAMETER


class NotPermitted(ProcessorError):
    """It concerns every tenant and the account is limited, or another site's page asks for it."""

    status = 403
    code = NO_PERMISSION


class NotFound(ProcessorError):
    """There is no such thing here, or it belongs to another region or tenant."""

    status = 404
    code = NOT_FOUND


class Conflict(ProcessorError):
    """The catalogue already holds something else under this id."""

    status = 409
    code = BAD_PARAMETER


class Changed(ProcessorError):
    """It has changed since the caller looked (or is there, or is not): look again first."""

    status = 412
    code = BAD_PARAMETER


class TooLarge(ProcessorError):
    """The body is larger than the setting allows."""

    status = 413
    code = BAD_PARAMETER


class Busy(ProcessorError):
    """A bounded resource is used up for the moment."""

    status = 503
    retry_after = 1


class OutOfSpace(ProcessorError):
    """The catalogue cannot grow any more."""

    status = 507
    retry_after = 30


class UpstreamFailed(ProcessorError):
    """The store or crypto_server refused, broke off or could not be reached."""

    status = 502


class UpstreamSlow(UpstreamFailed):
    """The store or crypto_server did not answer in time."""

    status = 504
