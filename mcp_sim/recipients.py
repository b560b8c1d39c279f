"""For whom a recording is encrypted: the usable certificates of its profile, or a refusal.

Law of this house: a certificate that may not be used stops the recording before its first packet,
with a reason that a person can read. Plaintext is made only where the profile asks for it.
"""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import msgspec

from mcp_sim.ca_files import CaFileError, CaFiles
from mcp_sim.config import MpcSettings
from mcp_sim.profile_options import (
    ALLOW_SHA1,
    CA_FILE,
    ENCRYPTION_OFF,
    MINIMUM_KEY_BITS,
    SKIP_UNUSABLE,
    TRUST_SELF_SIGNED,
    ProfileOptionError,
    overridden_flag,
    overridden_key_bits,
    profile_flag,
)
from recording_format.certificates import (
    RecordingCertificate,
    certificate_alias,
    distinct_certificates,
)
from recording_format.errors import CERTIFICATE_REASONS, CertificateError
from recording_format.ivr_profile import IvrProfile
from recording_format.trust import CertificatePolicy, TrustStore

#: Every `RecordingRefused.cause`.
CAUSES = (
    "ca-file",
    "no-certificate",
    "profile-option",
    "certificate-twice",
    *(f"certificate-{reason}" for reason in CERTIFICATE_REASONS),
)


class RecordingRefused(Exception):
    """The profile cannot be recorded by; the text is the sentence for the operator.

    `cause` is a short word for the metric: ``no-certificate``, ``certificate-<what is wrong>``,
    ``ca-file``, or ``profile-option`` where the profile asks for what cannot be.
    """

    def __init__(self, message: str, cause: str) -> None:
        super().__init__(message)
        self.cause = cause


class Recipients(msgspec.Struct, frozen=True):
    """The certificates to wrap the session key for, their aliases, and whom the profile skipped.

    `skipped` is a sentence for each that was skipped, `skipped_reasons` its word for the metric.
    """

    certificates: tuple[RecordingCertificate, ...] = ()
    aliases: tuple[str, ...] = ()
    skipped: tuple[str, ...] = ()
    skipped_reasons: tuple[str, ...] = ()

    @property
    def encrypted(self) -> bool:
        """False only where the profile itself asked for plain recordings."""
        return bool(self.certificates)


def choose_recipients(
    profile: IvrProfile, mpc: MpcSettings, ca_files: CaFiles, now: datetime
) -> Recipients:
    """Return the recipients for a call that begins at `now`. Raises `RecordingRefused`."""
    try:
        return _choose(profile, mpc, ca_files, now)
    except ProfileOptionError as error:
        raise RecordingRefused(f"profile {profile.name!r}: {error}", "profile-option") from None
    except CaFileError as error:
        raise RecordingRefused(str(error), "ca-file") from None


def _choose(profile: IvrProfile, mpc: MpcSettings, ca_files: CaFiles, now: datetime) -> Recipients:
    if not profile.certificates:
        if profile_flag(profile, ENCRYPTION_OFF):
            return Recipients()
        message = f"profile {profile.name!r} has no certificates and does not say {ENCRYPTION_OFF}"
        raise RecordingRefused(message, "no-certificate")
    skip_unusable = profile_flag(profile, SKIP_UNUSABLE)
    policy = CertificatePolicy(
        minimum_bits=overridden_key_bits(profile, MINIMUM_KEY_BITS, mpc.minimum_key_bits),
        allow_sha1=overridden_flag(profile, ALLOW_SHA1, mpc.allow_sha1),
        trust_self_signed=profile_flag(profile, TRUST_SELF_SIGNED),
    )
    trust = _trust(profile, mpc, ca_files, policy)
    usable: list[RecordingCertificate] = []
    unusable: list[CertificateError] = []
    for name, text in profile.certificates:
        try:
            certificate = RecordingCertificate.load(text, name=name)
            trust.check(certificate, now, policy)
            usable.append(certificate)
        except CertificateError as error:
            unusable.append(error)
    if unusable and not (usable and skip_unusable):
        cause = f"certificate-{unusable[0].reason}"
        raise RecordingRefused(f"profile {profile.name!r}: {unusable[0]}", cause)
    tenant = profile.tenant
    try:
        usable = list(distinct_certificates(usable))
    except CertificateError as error:
        raise RecordingRefused(f"profile {profile.name!r}: {error}", "certificate-twice") from None
    aliases = tuple(certificate_alias(c, tenant.name, tenant.dbid) for c in usable)
    sentences = tuple(str(error) for error in unusable)
    return Recipients(tuple(usable), aliases, sentences, tuple(e.reason for e in unusable))


def _trust(
    profile: IvrProfile, mpc: MpcSettings, ca_files: CaFiles, policy: CertificatePolicy
) -> TrustStore:
    """Return the CA file's certificates; a self-signed certificate may be trusted without one."""
    path = profile.override("mpc", CA_FILE) or mpc.ca_file
    if path:
        return ca_files.load(Path(path))
    if policy.trust_self_signed:
        return TrustStore.empty()
    raise RecordingRefused(f"no CA file is set ([mpc] {CA_FILE})", "ca-file")
