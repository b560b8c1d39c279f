"""Certificates that look like the lab's own and may not be used: one for each documented reason.

Pure, but for the fresh keys: the time is an argument.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from cryptography import x509

from reclab.pki import Pair, issue, new_authority, new_key
from service_shell.faults.fault import CertificateKind

_LONG_AGO, _SOON = timedelta(days=400), timedelta(days=30)
_DAYS = 30
_OTHER_AUTHORITY = "Some Other CA"


def spoil(kind: CertificateKind, pem: str, authority: Pair, now: datetime) -> str:
    """Return the text that takes the place of the certificate `pem`, in which `kind` is wrong.

    `authority` is the lab's own. Raises `ValueError` where `pem` is no certificate, and for
    ``key-missing``, which no text of a certificate can be.
    """
    if kind == "ruined":
        # What is left of a certificate that was saved again in an options editor.
        return "".join(pem.splitlines())
    subject = x509.load_pem_x509_certificate(pem.encode()).subject
    begins = {"expired": now - _LONG_AGO, "not-yet-valid": now + _SOON, "wrong-ca": now}.get(kind)
    if begins is None:
        raise ValueError(f"no certificate's text is {kind}")
    signer = new_authority(_OTHER_AUTHORITY, now) if kind == "wrong-ca" else authority
    certificate = issue(subject, new_key().public_key(), signer, begins, days=_DAYS)
    return Pair(certificate, signer.key).certificate_pem
