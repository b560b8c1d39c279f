"""What can keep the crypto server from working or a recording from being played.

    CryptoServerError
    ├── KeystoreError           a key entry, its folder or its password; for the administrator
    ├── CaFileError             the CA file of uploads cannot be read; for the administrator
    ├── AuditError              the audit file cannot be written; nothing is played without it
    └── PlaybackRefused         answered to the listener: HTTP status, statusCode, one sentence
        ├── NotModified         304     the listener has this version already
        ├── RecordingUnknown    404/6   no such recording, or no such media file in it
        │   └── TenantForbidden 404/6   another tenant's; only the audit tells it apart
        ├── KeyMissing          409/4   the keystore of its tenant has none of its recipients' keys
        ├── OtherVersion        412/2   not the version that the request is conditional on
        ├── RangeUnsatisfiable  416/2   the file has none of the bytes that were asked for
        ├── RecordingDamaged    500/4   envelope, digests, ciphertext or lengths do not fit
        ├── ProcessorFailed     502/4   the recording processor cannot be asked; later may help
        ├── ProcessorSlow       504/4   it did not answer in time; later may help
        └── PlayerBusy          503/4   too many playbacks, or no audit; later may help

Whatever goes wrong in unwrapping a session key has the one sentence of `RecordingDamaged`, so that
an answer tells nothing about the RSA block (no padding oracle).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from service_shell.web import BAD_PARAMETER, INTERNAL, NOT_FOUND


class CryptoServerError(Exception):
    """Anything that this package says no with."""


class KeystoreError(CryptoServerError):
    """A key entry, a tenant's folder or the keystore password cannot be used."""


class CaFileError(CryptoServerError):
    """The CA file cannot be read, or its password does not open it."""


class AuditError(CryptoServerError):
    """The audit file cannot be opened or written."""


class PlaybackRefused(CryptoServerError):
    """A recording is not played; the text is the sentence that the listener reads.

    `headers` go with the answer.
    """

    status: ClassVar[int] = 500
    code: ClassVar[int] = INTERNAL
    outcome: ClassVar[str] = "failed"

    def __init__(self, sentence: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(sentence)
        self.headers = dict(headers or {})


class NotModified(PlaybackRefused):
    """The listener has this version already (RFC 9110 §15.4.5)."""

    status = 304
    outcome = "not-modified"


class RecordingUnknown(PlaybackRefused):
    """The processor knows no such recording, or the recording has no such media file."""

    status = 404
    code = NOT_FOUND
    outcome = "unknown"


class TenantForbidden(RecordingUnknown):
    """The recording is of a tenant that the account may not reach; answered as an unknown one."""

    outcome = "forbidden-tenant"


class OtherVersion(PlaybackRefused):
    """The media file is not the version that the request is conditional on."""

    status = 412
    code = BAD_PARAMETER
    outcome = "other-version"


class RangeUnsatisfiable(PlaybackRefused):
    """The media file has none of the bytes that were asked for (RFC 9110 §15.5.17)."""

    status = 416
    code = BAD_PARAMETER
    outcome = "range-unsatisfiable"


class KeyMissing(PlaybackRefused):
    """No recipient of the recording has its key in the keystore of the recording's tenant."""

    status = 409
    outcome = "key-missing"


class RecordingDamaged(PlaybackRefused):
    """Metadata, envelope and stored bytes of a media file do not fit together."""

    outcome = "damaged"


class ProcessorFailed(PlaybackRefused):
    """The recording processor could not be reached, or answered something unusable."""

    status = 502
    outcome = "processor-failed"


class ProcessorSlow(PlaybackRefused):
    """The recording processor did not answer within the time allowed."""

    status = 504
    outcome = "processor-slow"


class PlayerBusy(PlaybackRefused):
    """This server plays nothing more at the moment."""

    status = 503
    outcome = "busy"
