"""What will not work about a profile that is kept all the same, each option by its name. Pure.

Dates are looked at, chains are not: the processor has no CA file.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime

import msgspec

from recording_format.certificates import RecordingCertificate, distinct_certificates
from recording_format.errors import CertificateError
from recording_format.ivr_profile import CERTIFICATES, IvrProfile


class Problem(msgspec.Struct, frozen=True):
    """An option that is kept, but will not do what it should."""

    section: str
    option: str
    problem: str


def problems(profile: IvrProfile, *, now: datetime) -> Sequence[Problem]:
    """Return what is wrong with the profile's certificates at `now` (aware)."""
    found = []
    readable: list[RecordingCertificate] = []
    for option, text in profile.certificates:
        try:
            readable.append(RecordingCertificate.load(text, name=option))
        except CertificateError as error:
            found.append(Problem(CERTIFICATES, option, str(error)))
    found.extend(_unusable(readable, now))
    if profile.records and not profile.certificates and not profile.flag("lab.unencrypted"):
        sentence = "there is no certificate, so no call can be recorded"
        found.append(Problem(CERTIFICATES, "certificates-1", sentence))
    return found


def date_problem(certificate: RecordingCertificate, now: datetime) -> str | None:
    """Return why the certificate's own dates do not let it be used at `now`, or None."""
    if now < certificate.not_before:
        return f"{certificate.described} is not valid before {_day(certificate.not_before)}"
    if now > certificate.not_after:
        return f"{certificate.described} has expired on {_day(certificate.not_after)}"
    return None


def _unusable(certificates: list[RecordingCertificate], now: datetime) -> Iterator[Problem]:
    for number, certificate in enumerate(certificates):
        sentence = date_problem(certificate, now)
        if sentence is not None:
            yield Problem(CERTIFICATES, certificate.name, sentence)
        try:
            distinct_certificates(certificates[: number + 1])
        except CertificateError as error:
            yield Problem(CERTIFICATES, certificate.name, str(error))
            return


def _day(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%d")
