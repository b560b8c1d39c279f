"""The certificates that screen recordings are encrypted for: assigned, removed, answered. Pure.

They belong to tenants, as recording certificates do, and each has a number: it is answered as the
pair ``certificate-n`` and ``certificatealias-n``. Without any, screen recordings are not encrypted.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator

import msgspec

from recording_format.certificates import RecordingCertificate, certificate_alias
from recording_format.ivr_profile import Tenant
from recording_processor.errors import BadParameter, NotFound

GROUP = "screen-recording-encryption"
MAXIMUM = 100


class ScreenCertificate(msgspec.Struct, frozen=True):
    """One certificate, PEM, of a tenant."""

    number: int
    tenant: Tenant
    text: str

    @property
    def option(self) -> str:
        """Its name in the group."""
        return f"certificate-{self.number}"

    @property
    def certificate(self) -> RecordingCertificate:
        """The certificate as it is read; it was readable when it was assigned."""
        return RecordingCertificate.load(self.text, name=self.option)

    @property
    def alias(self) -> str:
        """Its alias under its tenant."""
        return certificate_alias(self.certificate, self.tenant.name, self.tenant.dbid)


def assign(
    known: tuple[ScreenCertificate, ...], tenant: Tenant, certificate: RecordingCertificate
) -> tuple[ScreenCertificate, ...]:
    """Return `known` with the certificate under the first free number; as it is when it is there.

    Raises `BadParameter` when there are too many, or another of the same issuer and serial.
    """
    alias = certificate_alias(certificate, tenant.name, tenant.dbid)
    for other in known:
        if other.tenant == tenant and other.certificate == certificate:
            return known
        if other.alias == alias:
            raise BadParameter(
                f"certificate: {other.option} is another one of the same issuer and serial"
            )
    if sum(other.tenant == tenant for other in known) >= MAXIMUM:
        raise BadParameter(f"certificate: the tenant has {MAXIMUM} of them, and no more may be")
    taken = {other.number for other in known}
    number = next(free for free in itertools.count(1) if free not in taken)
    added = ScreenCertificate(number, tenant, certificate.pem)
    return tuple(sorted((*known, added), key=lambda each: each.number))


def remove(
    known: tuple[ScreenCertificate, ...], what: str, tenants: Iterable[Tenant]
) -> tuple[ScreenCertificate, ...]:
    """Return `known` without ``certificate-n``, or the certificate of a fingerprint.

    Only those of `tenants` are seen. Raises `NotFound`.
    """
    reachable = set(tenants)
    gone = {
        each
        for each in known
        if each.tenant in reachable
        and what.lower()
        in (each.option, f"certificatealias-{each.number}", each.certificate.fingerprint)
    }
    if not gone:
        raise NotFound("there is no such screen-recording certificate")
    return tuple(each for each in known if each not in gone)


def warning_without(
    before: Iterable[ScreenCertificate], after: Iterable[ScreenCertificate]
) -> str | None:
    """Return what it means that a tenant has lost its last certificate, or None."""
    bare = {each.tenant.name for each in before} - {each.tenant.name for each in after}
    if not bare:
        return None
    return (
        f"that was the last certificate of {', '.join(sorted(bare))}, so from now on screen"
        " recordings are not encrypted; those that were made before stay as they are"
    )


def pairs(known: Iterable[ScreenCertificate]) -> Iterator[dict[str, str]]:
    """Yield each certificate as its two settings."""
    for each in known:
        yield {"name": each.option, "location": "/", "value": each.text}
        yield {"name": f"certificatealias-{each.number}", "location": "/", "value": each.alias}
