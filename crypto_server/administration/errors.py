"""Why an administration request is refused: HTTP status, statusCode, one sentence, and facts.

    AdministrationRefused       400/2   a parameter or a body that is wrong
    ├── BodyTooLarge            413/2
    ├── BodyNotUnderstood       415/2
    ├── Conflict                409/2   it cannot be done as things stand; the sentence says why
    ├── Unknown                 404/6   no such certificate, tenant or profile for this account
    ├── NotPermitted            403/5   an account that is limited to tenants asks for all of them
    ├── ForgeryRefused          403/3   a cookie came without what a foreign page cannot send
    ├── NotRecorded             503/4   nothing is changed while the audit file cannot be written
    ├── TooMuchAtOnce           503/4   another change takes too long; later helps
    └── ProcessorUnavailable    502/4   the recording processor cannot be asked; later may help

No sentence holds a key, a password or a PEM text.
"""

from __future__ import annotations

from typing import ClassVar

from crypto_server.errors import CryptoServerError
from service_shell.failure import BAD_PARAMETER, INTERNAL, NO_PERMISSION, NO_ROLE, NOT_FOUND


class AdministrationRefused(CryptoServerError):
    """A request that is not done. `facts` are further fields of the answer."""

    status: ClassVar[int] = 400
    code: ClassVar[int] = BAD_PARAMETER
    outcome: ClassVar[str] = "refused"

    def __init__(self, sentence: str, **facts: object) -> None:
        super().__init__(sentence)
        self.facts = facts


class BodyTooLarge(AdministrationRefused):
    """The body, or a field of it, is longer than it may be."""

    status = 413


class BodyNotUnderstood(AdministrationRefused):
    """The body is neither JSON nor a multipart form."""

    status = 415


class Conflict(AdministrationRefused):
    """What was asked cannot be done as things stand."""

    status = 409


class Unknown(AdministrationRefused):
    """There is no such thing, or not for this account: both answers are the same."""

    status = 404
    code = NOT_FOUND
    outcome = "unknown"


class NotPermitted(AdministrationRefused):
    """The account is limited to tenants, and the request is about all of them."""

    status = 403
    code = NO_ROLE
    outcome = "forbidden"


class ForgeryRefused(AdministrationRefused):
    """A request that a foreign web page could have made a browser send."""

    status = 403
    code = NO_PERMISSION
    outcome = "forbidden"


class NotRecorded(AdministrationRefused):
    """The action could not be written into the audit file."""

    status = 503
    code = INTERNAL
    outcome = "busy"


class TooMuchAtOnce(AdministrationRefused):
    """Another change is still going on."""

    status = 503
    code = INTERNAL
    outcome = "busy"


class ProcessorUnavailable(AdministrationRefused):
    """The recording processor does not answer, or not as it should."""

    status = 502
    code = INTERNAL
    outcome = "processor-failed"
