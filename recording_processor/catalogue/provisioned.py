"""The contact centre and its tenants, as the settings name them and the catalogue keeps them."""

from __future__ import annotations

from sqlalchemy import insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from recording_format.ivr_profile import Tenant
from recording_processor.catalogue.tables import contact_centers, identity, tenants
from recording_processor.errors import BadParameter, Conflict
from recording_processor.tenancy import Tenants, reaches


async def ensure_identity(connection: AsyncConnection, drawn: str) -> str:
    """Return the catalogue's own name; `drawn` becomes it when there is none yet."""
    known = (await connection.execute(select(identity.c.catalogue))).scalar()
    if known is None:
        await connection.execute(insert(identity).values(id=1, catalogue=drawn))
    return known or drawn


async def ensure_contact_center(
    connection: AsyncConnection, *, ccid: str, domain: str, region: str
) -> int:
    """Return the number of the contact centre `ccid`; its domain and region follow the settings."""
    columns = contact_centers.c
    number = (await connection.execute(select(columns.id).where(columns.ccid == ccid))).scalar()
    values = {"domain": domain, "region": region}
    if number is not None:
        await connection.execute(update(contact_centers).where(columns.id == number).values(values))
        return int(number)
    added = await connection.execute(insert(contact_centers).values(ccid=ccid, **values))
    assert added.inserted_primary_key is not None
    return int(added.inserted_primary_key[0])


async def ensure_tenant(connection: AsyncConnection, tenant: Tenant) -> bool:
    """Make the tenant when its DBID is unknown; return whether it was made.

    Raises `Conflict` when the name belongs to another DBID.
    """
    columns = tenants.c
    found = await connection.execute(
        select(columns.dbid).where((columns.dbid == tenant.dbid) | (columns.name == tenant.name))
    )
    dbids = list(found.scalars())
    if tenant.dbid in dbids:
        return False
    if dbids:
        raise Conflict(f"tenant {tenant.name!r} already has the DBID {dbids[0]}")
    await connection.execute(insert(tenants).values(dbid=tenant.dbid, name=tenant.name))
    return True


async def tenant_list(connection: AsyncConnection, reachable: Tenants) -> tuple[Tenant, ...]:
    """Return the tenants that are reachable, by DBID."""
    found = await connection.execute(select(tenants).order_by(tenants.c.dbid))
    known = (Tenant(name=row.name, dbid=row.dbid) for row in found)
    return tuple(tenant for tenant in known if reaches(reachable, tenant.name))


async def check_tenant(connection: AsyncConnection, tenant: Tenant, reachable: Tenants) -> None:
    """Raise `BadParameter` unless it is a reachable tenant under its own name."""
    found = await connection.execute(select(tenants.c.name).where(tenants.c.dbid == tenant.dbid))
    name = found.scalar()
    if name is None or not reaches(reachable, name):
        raise BadParameter(f"tenant.dbid: {tenant.dbid} is not a tenant of this processor")
    if name != tenant.name:
        raise BadParameter(f"tenant.name: the tenant with DBID {tenant.dbid} is {name!r}")
