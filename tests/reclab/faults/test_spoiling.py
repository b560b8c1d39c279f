"""Spoiled certificates fail for exactly the reason that they are named after."""

from __future__ import annotations

import pytest

from reclab.faults.spoiling import spoil
from reclab.pki import Pair, new_authority, new_recording_certificate, utc_now
from recording_format.certificates import RecordingCertificate
from recording_format.errors import CertificateError
from recording_format.trust import CertificatePolicy, TrustStore
from service_shell.faults.fault import CertificateKind

NOW = utc_now()


@pytest.fixture(scope="module")
def authority() -> Pair:
    return new_authority("Recording Lab CA", NOW)


@pytest.fixture(scope="module")
def good(authority: Pair) -> str:
    return new_recording_certificate("Interaction Recording 1", authority, NOW).certificate_pem


def reason_against(pem: str, authority: Pair) -> str:
    """Why the certificate may not be recorded for; empty when it may."""
    try:
        certificate = RecordingCertificate.load(pem, name="certificates-1")
        trust = TrustStore.from_pem(authority.certificate_pem)
        trust.check(certificate, NOW, CertificatePolicy())
    except CertificateError as error:
        return error.reason
    return ""


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        ("expired", "expired"),
        ("not-yet-valid", "not-yet-valid"),
        ("wrong-ca", "untrusted"),
        ("ruined", "unreadable"),
    ],
)
def test_spoiled_certificate_is_refused_for_its_reason(
    authority: Pair, good: str, kind: CertificateKind, reason: str
) -> None:
    """The good one passes; the spoiled one is refused for what is wrong with it, and no more."""
    assert reason_against(good, authority) == ""
    assert reason_against(spoil(kind, good, authority, NOW), authority) == reason


def test_missing_key_is_no_text(authority: Pair, good: str) -> None:
    """That a key is missing shows in no certificate."""
    with pytest.raises(ValueError, match="key-missing"):
        spoil("key-missing", good, authority, NOW)
