"""How a recording certificate is shown: the columns of the list, the fields of the upload form.

"Issued To" is the common name with the e-mail address, as in the vendor's panel, and "Issued By"
the issuer's common name; where a name has none, the whole distinguished name stands for it.
"""

from __future__ import annotations

import re
from datetime import datetime
from typing import NamedTuple

import msgspec
from cryptography import x509
from cryptography.x509.oid import NameOID

from crypto_server.administration.processor import Deployment
from crypto_server.administration.validation import Judgement, Status
from recording_format.certificates import RecordingCertificate, read_x509

EMAIL_NOT_SET = "(Email not set)"
_DAY_SECONDS = 86400
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")


class Profile(msgspec.Struct, frozen=True):
    """A profile that a certificate is deployed to."""

    dbid: int
    name: str


class Subject(msgspec.Struct, frozen=True, rename="camel"):
    """What the upload form fills in when a certificate's file is chosen."""

    id: str
    issued_to: str
    issued_by: str
    expires: str
    not_before: str
    not_after: str
    status: str
    trusted: bool
    subject_name: str
    serial_number: str
    subject_dn: str = msgspec.field(name="subjectDN")
    issuer_dn: str = msgspec.field(name="issuerDN")
    key_details: str
    problem: str | msgspec.UnsetType = msgspec.UNSET


class Row(msgspec.Struct, frozen=True, rename="camel"):
    """A certificate of the keystore. Deployments are None where nobody could be asked."""

    id: str
    tenant: str
    alias: str
    issued_to: str
    issued_by: str
    expires: str
    not_before: str
    not_after: str
    status: str
    trusted: bool
    deployed_count: int | None
    deployed_to: list[Profile] | None
    subject_name: str
    serial_number: str
    subject_dn: str = msgspec.field(name="subjectDN")
    issuer_dn: str = msgspec.field(name="issuerDN")
    key_details: str
    problem: str | msgspec.UnsetType = msgspec.UNSET
    pem: str | msgspec.UnsetType = msgspec.UNSET
    days_left: int | msgspec.UnsetType = msgspec.UNSET

    @property
    def shown(self) -> str:
        """What the quick filter looks at: the columns, in lower case."""
        count = "" if self.deployed_count is None else str(self.deployed_count)
        columns = (self.issued_to, self.issued_by, self.expires, count, self.tenant, self.status)
        return "\n".join(columns).lower()


class _Names(NamedTuple):
    common_name: str
    email: str | None
    issuer: str


def describe(certificate: RecordingCertificate, judgement: Judgement) -> Subject:
    """Return the form's fields."""
    names = _names(certificate)
    return Subject(
        id=certificate.fingerprint,
        issued_to=_issued_to(names),
        issued_by=names.issuer,
        expires=certificate.not_after.date().isoformat(),
        not_before=_moment(certificate.not_before),
        not_after=_moment(certificate.not_after),
        status=judgement.status,
        trusted=judgement.trusted,
        subject_name=names.common_name,
        serial_number=str(certificate.serial),
        subject_dn=certificate.subject,
        issuer_dn=certificate.issuer,
        key_details=key_details(certificate.key_bits),
        problem=judgement.problem or msgspec.UNSET,
    )


def row(
    tenant: str,
    alias: str,
    certificate: RecordingCertificate,
    judgement: Judgement,
    deployments: list[Deployment] | None,
) -> Row:
    """Return the row of a certificate; `deployments` are all that are known, of any tenant."""
    profiles = None if deployments is None else deployed_to(certificate, tenant, deployments)
    return Row(
        **msgspec.structs.asdict(describe(certificate, judgement)),
        tenant=tenant,
        alias=alias,
        deployed_count=None if profiles is None else len(profiles),
        deployed_to=profiles,
    )


def deployed_to(
    certificate: RecordingCertificate, tenant: str, deployments: list[Deployment]
) -> list[Profile]:
    """Return the profiles of `tenant` that record for `certificate`, each once."""
    found = {
        one.dbid: Profile(one.dbid, one.name)
        for one in deployments
        if one.tenant == tenant and one.fingerprint == certificate.fingerprint
    }
    return [found[dbid] for dbid in sorted(found)]


def key_details(bits: int) -> str:
    """Return a key's details, for example ``RSA 2048 bits``."""
    return f"RSA {bits} bits"


def days_left(certificate: RecordingCertificate, now: datetime) -> int:
    """Return the whole days until a certificate expires; negative when it has."""
    return int((certificate.not_after - now).total_seconds() // _DAY_SECONDS)


def recordable(status: Status) -> bool:
    """Return whether a certificate of this status may be, or will be, good to record for."""
    return status in (Status.VALID, Status.NOT_YET_VALID)


def _names(certificate: RecordingCertificate) -> _Names:
    try:
        read = read_x509(certificate.der, certificate.name)
        subject, issuer = read.subject, read.issuer
        common_name = _attribute(subject, NameOID.COMMON_NAME)
        email = _attribute(subject, NameOID.EMAIL_ADDRESS)
        above = _attribute(issuer, NameOID.COMMON_NAME)
    except ValueError:  # a name that only we can read, because old tools made it
        common_name = email = above = None
    own_name = common_name or certificate.subject or "without a name"
    return _Names(own_name, email, above or certificate.issuer or "without a name")


def _issued_to(names: _Names) -> str:
    return f"{names.common_name} " + (f"<{names.email}>" if names.email else EMAIL_NOT_SET)


def _attribute(name: x509.Name, kind: x509.ObjectIdentifier) -> str | None:
    found = name.get_attributes_for_oid(kind)
    # A name is a stranger's text: it may not move a terminal's cursor, or end a line.
    return _CONTROL.sub(lambda c: f"\\{ord(c[0]):02X}", str(found[-1].value)) if found else None


def _moment(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")
