"""Recording certificates of a profile: which are deployed, one more, one less. Pure.

Options keep their names: a certificate that goes leaves a gap, and the next one fills the first
gap, so that a ruined certificate that is removed and added again stands where it stood.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import msgspec

from recording_format.certificates import RecordingCertificate, distinct_certificates
from recording_format.errors import CertificateError
from recording_format.ivr_profile import CERTIFICATES, IvrProfile
from recording_processor.errors import BadParameter, Conflict, NotFound


class Deployment(msgspec.Struct, frozen=True, omit_defaults=True):
    """One ``certificates-n`` of one profile; `problem` says why a ruined one has no fingerprint."""

    dbid: int
    name: str
    tenant: str
    option: str
    fingerprint: str | None
    problem: str | None = None


class ProfileLine(msgspec.Struct, frozen=True):
    """A profile without its options; `records` says whether it is for recordings."""

    dbid: int
    name: str
    tenant: str
    records: bool

    @classmethod
    def of(cls, profile: IvrProfile) -> ProfileLine:
        """Return the line of a profile."""
        return cls(profile.dbid, profile.name, profile.tenant.name, profile.records)


def deployments_of(profile: IvrProfile) -> Iterator[Deployment]:
    """Yield the profile's certificates, by n."""
    for option, text in profile.certificates:
        fingerprint = problem = None
        try:
            fingerprint = RecordingCertificate.load(text, name=option).fingerprint
        except CertificateError as error:
            problem = str(error)
        yield Deployment(
            dbid=profile.dbid,
            name=profile.name,
            tenant=profile.tenant.name,
            option=option,
            fingerprint=fingerprint,
            problem=problem,
        )


def read_certificate(text: str, *, name: str = "certificate") -> RecordingCertificate:
    """Read a certificate that shall be deployed. Raises `BadParameter`."""
    try:
        return RecordingCertificate.load(text, name=name)
    except CertificateError as error:
        raise BadParameter(str(error)) from None


def option_of(profile: IvrProfile, fingerprint: str) -> str | None:
    """Return the option that holds the certificate of this fingerprint, or None."""
    found = (known.option for known in deployments_of(profile) if known.fingerprint == fingerprint)
    return next(found, None)


def deploy(profile: IvrProfile, certificate: RecordingCertificate) -> IvrProfile:
    """Return the profile with the certificate; as it is when it has it.

    Raises `Conflict` when an envelope could not tell it from another certificate of the profile.
    """
    if option_of(profile, certificate.fingerprint) is not None:
        return profile
    try:
        distinct_certificates([*_readable(profile), certificate])
    except CertificateError as error:
        raise Conflict(str(error)) from None
    options = profile.sections.get(CERTIFICATES, {})
    taken = {name.partition("-")[2].lstrip("0") for name in options}
    free = next(number for number in itertools.count(1) if str(number) not in taken)
    return _with_certificates(profile, {**options, f"certificates-{free}": certificate.pem})


def withdraw(profile: IvrProfile, what: str) -> IvrProfile:
    """Return the profile without the option `what`, or without the certificate it identifies.

    Raises `NotFound`.
    """
    gone = {
        known.option
        for known in deployments_of(profile)
        if known.option == what or known.fingerprint == what.lower()
    }
    if not gone:
        raise NotFound("the profile has no such certificate")
    options = profile.sections[CERTIFICATES]
    return _with_certificates(
        profile, {name: text for name, text in options.items() if name not in gone}
    )


def warning_without_certificates(profile: IvrProfile) -> str | None:
    """Return what it means that a recording profile has no certificate now, or None."""
    if not profile.records or profile.certificates:
        return None
    if profile.flag("lab.unencrypted"):
        return "the profile has no certificate now, so its next recordings are not encrypted"
    return "the profile has no certificate now, so no call can be recorded with it"


def _readable(profile: IvrProfile) -> Iterator[RecordingCertificate]:
    for option, text in profile.certificates:
        try:
            yield RecordingCertificate.load(text, name=option)
        except CertificateError:
            continue


def _with_certificates(profile: IvrProfile, options: dict[str, str]) -> IvrProfile:
    sections = {**profile.sections, CERTIFICATES: options}
    return msgspec.structs.replace(profile, sections=sections)
