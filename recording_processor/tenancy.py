"""Which tenants an account reaches, as a value that every question to the catalogue carries.

The limit goes into the SQL itself: what lies outside it is not found, not counted, and answered
like what does not exist.
"""

from __future__ import annotations

from typing import TypeAlias

from service_shell.accounts import Account

#: Names of the tenants that are open; None is every tenant.
Tenants: TypeAlias = tuple[str, ...] | None

EVERY_TENANT: Tenants = None


def tenants_of(account: Account) -> Tenants:
    """Return the tenants that `account` reaches, or None where none is closed to it."""
    return EVERY_TENANT if account.every_tenant else tuple(account.tenants)


def reaches(tenants: Tenants, name: str) -> bool:
    """Return whether the tenant `name` is among `tenants`."""
    return tenants is None or name in tenants
