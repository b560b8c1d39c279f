"""Whether a certificate may be uploaded, deployed and used: the CA file, the policy, the time.

A certificate is judged at the present moment, and, where its dates have not come or are over, at
the ends of its own validity: what was never trusted is not trusted because it is old.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple

from crypto_server.administration.errors import AdministrationRefused, Conflict
from crypto_server.ca_file import open_ca_file
from crypto_server.settings import ValidationSettings
from recording_format.certificates import RecordingCertificate
from recording_format.errors import (
    CertificateError,
    CertificateExpired,
    CertificateNotYetValid,
)
from recording_format.trust import CertificatePolicy, TrustStore

NO_CA_FILE = (
    "no CA is configured here: set `ca_file` in the section `[validation]`"
    " (`cacertstorepath` in rcs.properties) and start the crypto server again"
)


class Status(StrEnum):
    """What a certificate is good for at a moment."""

    VALID = "valid"
    NOT_YET_VALID = "not-yet-valid"
    EXPIRED = "expired"
    UNTRUSTED = "untrusted"


class Judgement(NamedTuple):
    """A certificate's status, whether its chain is good, and a sentence about what is not."""

    status: Status
    trusted: bool
    problem: str | None = None


class Validation:
    """Judges certificates. `trust` gives the certificates of the CA file, None without one."""

    def __init__(self, trust: Callable[[], TrustStore | None], policy: CertificatePolicy) -> None:
        self._trust = trust
        self._policy = policy

    def judge(self, certificate: RecordingCertificate, now: datetime) -> Judgement:
        """Return what `certificate` is at `now`, which is aware. Never raises."""
        trust = self._trust()
        if trust is None:
            return Judgement(_dates(certificate, now), trusted=False, problem=NO_CA_FILE)
        try:
            trust.check(certificate, now, self._policy)
        except (CertificateExpired, CertificateNotYetValid) as error:
            late = isinstance(error, CertificateExpired)
            status = Status.EXPIRED if late else Status.NOT_YET_VALID
            other = self._at_other_times(trust, certificate)
            return Judgement(status, other is None, str(other or error))
        except CertificateError as error:
            return Judgement(Status.UNTRUSTED, trusted=False, problem=str(error))
        return Judgement(Status.VALID, trusted=True)

    def admit(
        self, certificate: RecordingCertificate, now: datetime, *, accept_expired: bool
    ) -> Judgement:
        """Return the judgement of a certificate that may be uploaded; raise for another.

        Not yet valid is good enough; expired only where the caller says so, for the key of old
        recordings.
        """
        judgement = self.judge(certificate, now)
        if not judgement.trusted:
            if judgement.problem == NO_CA_FILE:
                raise Conflict(NO_CA_FILE)
            raise AdministrationRefused(judgement.problem or "the certificate is not trusted")
        if judgement.status is Status.EXPIRED and not accept_expired:
            raise AdministrationRefused(
                f"{judgement.problem}; the key of old recordings is taken with `acceptExpired`"
            )
        return judgement

    def _at_other_times(
        self, trust: TrustStore, certificate: RecordingCertificate
    ) -> CertificateError | None:
        """Return what is wrong with the certificate at both ends of its validity, or None.

        The last moment goes first: a CA may have been renewed meanwhile, or have ended before.
        """
        fault: CertificateError | None = None
        for moment in (certificate.not_after, certificate.not_before):
            try:
                trust.check(certificate, moment, self._policy)
            except CertificateError as error:
                fault = fault or error
            else:
                return None
        return fault


def _dates(certificate: RecordingCertificate, now: datetime) -> Status:
    if now > certificate.not_after:
        return Status.EXPIRED
    return Status.NOT_YET_VALID if now < certificate.not_before else Status.UNTRUSTED


def open_validation(settings: ValidationSettings, environ: Mapping[str, str]) -> Validation:
    """Return the validation of these settings; without a CA file nothing is trusted by it.

    Raises `SettingsError` when the CA file cannot be used.
    """
    policy = CertificatePolicy(
        minimum_bits=settings.minimum_key_bits, allow_sha1=settings.allow_sha1
    )
    ca_file = open_ca_file(settings, environ)
    return Validation(ca_file.load if settings.ca_file else _no_trust, policy)


def _no_trust() -> TrustStore | None:
    return None
