"""For whom a recording is encrypted: the usable certificates of its profile, or a refusal.

Law of this house: a certificate that may not be used stops the recording before its first packet,
with a reason that a person can read. Plaintext is made only where the profile asks for it.
"""

from __future__ import annotations

import os
from datetime import datetime
from pathlib import Path

import msgspec

from mcp_sim.config import MpcSettings
from recording_format.certificates import (
    RecordingCertificate,
    certificate_alias,
    distinct_certificates,
)
from recording_format.errors import CertificateError
from recording_format.ivr_profile import IvrProfile
from recording_format.trust import TrustStore

ENCRYPTION_OFF = "lab.unencrypted"
SKIP_UNUSABLE = "lab.skip-unusable"


class RecordingRefused(Exception):
    """The profile cannot be recorded by; the text is the sentence for the operator.

    `cause` is a short word for the metric: ``no-certificate``, ``certificate-<what is wrong>``,
    ``ca-file``, or ``profile-option`` where the profile asks for what cannot be.
    """

    def __init__(self, message: str, cause: str) -> None:
        super().__init__(message)
        self.cause = cause


class Recipients(msgspec.Struct, frozen=True):
    """The certificates to wrap the session key for, their aliases, and whom the profile skipped."""

    certificates: tuple[RecordingCertificate, ...] = ()
    aliases: tuple[str, ...] = ()
    skipped: tuple[str, ...] = ()

    @property
    def encrypted(self) -> bool:
        """False only where the profile itself asked for plain recordings."""
        return bool(self.certificates)


class CaFiles:
    """Trust stores by CA file, read again when a file changes, built once otherwise."""

    def __init__(self) -> None:
        self._stores: dict[Path, tuple[tuple[int, int, int], TrustStore]] = {}

    def load(self, path: Path) -> TrustStore:
        """Return the trust store of the bundle at `path`. Raises `RecordingRefused`."""
        try:
            state = path.stat()
            stamp = (state.st_mtime_ns, state.st_size, state.st_ino)
            known = self._stores.get(path)
            if known is None or known[0] != stamp:
                # Text between the blocks may be in any encoding.
                known = (stamp, TrustStore.from_pem(path.read_text(encoding="latin-1")))
                self._stores[path] = known
        except OSError as error:
            reason = os.strerror(error.errno or 0).lower()
            message = f"the CA file {path} cannot be read: {reason}"
            raise RecordingRefused(message, "ca-file") from None
        except CertificateError:
            raise RecordingRefused(f"the CA file {path} holds no certificates", "ca-file") from None
        return known[1]


def choose_recipients(
    profile: IvrProfile, mpc: MpcSettings, ca_files: CaFiles, now: datetime
) -> Recipients:
    """Return the recipients for a call that begins at `now`. Raises `RecordingRefused`."""
    if not profile.certificates:
        if profile.flag(ENCRYPTION_OFF):
            return Recipients()
        message = f"profile {profile.name!r} has no certificates and does not say {ENCRYPTION_OFF}"
        raise RecordingRefused(message, "no-certificate")
    path = profile.override("mpc", "mediamgr.CA_file") or mpc.ca_file
    if not path:
        raise RecordingRefused("no CA file is set ([mpc] mediamgr.CA_file)", "ca-file")
    trust = ca_files.load(Path(path))
    minimum_bits = _minimum_bits(profile, mpc)
    usable: list[RecordingCertificate] = []
    unusable: list[CertificateError] = []
    for name, text in profile.certificates:
        try:
            certificate = RecordingCertificate.load(text, name=name)
            trust.check(certificate, now, minimum_bits=minimum_bits)
            usable.append(certificate)
        except CertificateError as error:
            unusable.append(error)
    if unusable and not (usable and profile.flag(SKIP_UNUSABLE)):
        cause = f"certificate-{unusable[0].reason}"
        raise RecordingRefused(f"profile {profile.name!r}: {unusable[0]}", cause)
    tenant = profile.tenant
    try:
        usable = list(distinct_certificates(usable))
    except CertificateError as error:
        raise RecordingRefused(f"profile {profile.name!r}: {error}", "certificate-twice") from None
    aliases = tuple(certificate_alias(c, tenant.name, tenant.dbid) for c in usable)
    return Recipients(tuple(usable), aliases, tuple(str(error) for error in unusable))


def _minimum_bits(profile: IvrProfile, mpc: MpcSettings) -> int:
    said = profile.override("mpc", "lab.minimum-key-bits")
    if not said:
        return mpc.minimum_key_bits
    if not (said.isascii() and said.isdecimal() and len(said) < 6):
        message = f"profile {profile.name!r}: lab.minimum-key-bits is not a number"
        raise RecordingRefused(message, "profile-option")
    return int(said)
