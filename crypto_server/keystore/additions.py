"""What adding entries to a keystore does: which are new, which are there, which would clash.

Pure: decided before anything is written, so that a refusal changes nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from crypto_server.errors import KeystoreError
from crypto_server.keystore.key_entry import KeyEntry
from crypto_server.keystore.tenant_folders import folder_name
from recording_format.private_keys import key_matches


class PutReport(NamedTuple):
    """How many entries were added, were there already, and took the place of others."""

    added: int
    kept: int
    replaced: int


@dataclass
class Plan:
    """Files (``<folder>/<file>``) that go, and entries with the files that they come to."""

    before: list[str] = field(default_factory=list)
    after: list[tuple[str, KeyEntry]] = field(default_factory=list)
    kept: int = 0
    replaced: int = 0

    @property
    def report(self) -> PutReport:
        """What is told about it."""
        return PutReport(len(self.after) - self.replaced, self.kept, self.replaced)


def check_addition(tenant: str, entry: KeyEntry, present: Iterable[KeyEntry]) -> None:
    """Raise `KeystoreError` unless `entry` is whole and clashes with none that is there."""
    check_entry(entry)
    for other in present:
        if not _same(other, entry) and confusable(other, entry):
            raise _clash(tenant, other)


def check_entry(entry: KeyEntry) -> None:
    """Raise `KeystoreError` unless the entry has an alias, and the key of its certificate."""
    if not entry.alias:
        raise KeystoreError("a keystore entry needs an alias")
    if not key_matches(entry.certificate, entry.private_key):
        raise KeystoreError(f"the private key does not belong to the certificate {entry.alias}")


def confusable(one: KeyEntry, other: KeyEntry) -> bool:
    """Return whether two entries have one alias, or are one recipient (issuer and serial)."""
    first, second = one.certificate, other.certificate
    same_recipient = (first.issuer_der, first.serial) == (second.issuer_der, second.serial)
    return same_recipient or one.alias == other.alias


def plan_additions(
    wanted: Mapping[str, Iterable[KeyEntry]],
    present: Mapping[str, Mapping[str, KeyEntry]],
    *,
    replace: bool,
) -> Plan:
    """Plan to add `wanted` (tenant to entries) to `present` (tenant to files to entries).

    The same certificate is kept as it is; with `replace` it gets the wanted alias.

    Raises `KeystoreError` for a broken entry, and for a clash: with one that is there (unless
    `replace`), or among the wanted ones.
    """
    plan = Plan()
    for tenant, entries in wanted.items():
        accepted: list[KeyEntry] = []
        for entry in entries:
            check_addition(tenant, entry, accepted)
            if entry.certificate not in [other.certificate for other in accepted]:
                accepted.append(entry)
                _plan_one(plan, tenant, entry, present[tenant], replace=replace)
    return plan


def _plan_one(
    plan: Plan, tenant: str, entry: KeyEntry, present: Mapping[str, KeyEntry], *, replace: bool
) -> None:
    folder = folder_name(tenant)
    same = [other for other in present.values() if _same(other, entry)]
    clashing = [
        name
        for name, other in present.items()
        if confusable(other, entry) and not (_same(other, entry) and other.alias == entry.alias)
    ]
    twins = [present[name] for name in clashing if not _same(present[name], entry)]
    if twins and not replace:
        raise _clash(tenant, twins[0])
    if same and not (replace and clashing):
        plan.kept += 1
        return
    plan.before += [f"{folder}/{name}" for name in clashing]
    plan.replaced += bool(clashing)
    plan.after.append((f"{folder}/{entry.file_name}", entry))


def _same(one: KeyEntry, other: KeyEntry) -> bool:
    return one.certificate == other.certificate


def _clash(tenant: str, other: KeyEntry) -> KeystoreError:
    message = f"tenant {tenant} has another certificate under the alias {other.alias}"
    return KeystoreError(message)
