"""Contact centre, tenants and IVR profiles; every change of a profile is a version of its own.

Version numbers count over all profiles and only go up, so one number tells a reader whether it has
everything. A profile put again without a change makes no version.
"""

from __future__ import annotations

import msgspec
from sqlalchemy import func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from recording_format.ivr_profile import IvrProfile, Tenant
from recording_processor.catalogue.tables import (
    contact_centers,
    identity,
    profile_versions,
    profiles,
    tenants,
)
from recording_processor.errors import BadParameter, Conflict

_sections = msgspec.json.Decoder(dict[str, dict[str, str]])


class ProfileList(msgspec.Struct, frozen=True):
    """All profiles by DBID, and the version of the last change (0: there never was one)."""

    version: int
    profiles: tuple[IvrProfile, ...]


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


async def ensure_profile(connection: AsyncConnection, profile: IvrProfile, *, now: int) -> bool:
    """Make the profile when its DBID is unknown; return whether it was made."""
    known = await connection.execute(select(profiles.c.dbid).where(profiles.c.dbid == profile.dbid))
    if known.scalar() is not None:
        return False
    await put_profile(connection, profile, changed_by="settings", now=now)
    return True


async def put_profile(
    connection: AsyncConnection, profile: IvrProfile, *, changed_by: str, now: int
) -> int:
    """Make or change a profile; return the version that the catalogue then has.

    Raises `BadParameter` for an unknown tenant, `Conflict` when another profile has the name.
    """
    present = await profile_list(connection)
    for other in present.profiles:
        if other == profile:
            return present.version
        same_name = (other.name, other.tenant) == (profile.name, profile.tenant)
        if same_name and other.dbid != profile.dbid:
            raise Conflict(f"the tenant already has a profile {profile.name!r}, DBID {other.dbid}")
    await _check_tenant(connection, profile.tenant)
    added = await connection.execute(
        insert(profile_versions).values(
            dbid=profile.dbid,
            name=profile.name,
            tenant_dbid=profile.tenant.dbid,
            sections=msgspec.json.encode(profile.sections).decode(),
            changed_at=now,
            changed_by=changed_by,
        )
    )
    assert added.inserted_primary_key is not None
    version = int(added.inserted_primary_key[0])
    if any(other.dbid == profile.dbid for other in present.profiles):
        await connection.execute(
            update(profiles).where(profiles.c.dbid == profile.dbid).values(version=version)
        )
    else:
        await connection.execute(insert(profiles).values(dbid=profile.dbid, version=version))
    return version


async def _check_tenant(connection: AsyncConnection, tenant: Tenant) -> None:
    found = await connection.execute(select(tenants.c.name).where(tenants.c.dbid == tenant.dbid))
    name = found.scalar()
    if name is None:
        raise BadParameter(f"tenant.dbid: {tenant.dbid} is not a tenant of this processor")
    if name != tenant.name:
        raise BadParameter(f"tenant.name: the tenant with DBID {tenant.dbid} is {name!r}")


async def profile_list(connection: AsyncConnection) -> ProfileList:
    """Return every profile as it is now, by DBID."""
    found = await connection.execute(
        select(profile_versions, tenants.c.name.label("tenant_name"))
        .join(profiles, profiles.c.version == profile_versions.c.version)
        .join(tenants, tenants.c.dbid == profile_versions.c.tenant_dbid)
        .order_by(profile_versions.c.dbid)
    )
    known = tuple(
        IvrProfile(
            dbid=row.dbid,
            name=row.name,
            tenant=Tenant(name=row.tenant_name, dbid=row.tenant_dbid),
            sections=_sections.decode(row.sections),
        )
        for row in found
    )
    version = (await connection.execute(select(func.max(profile_versions.c.version)))).scalar()
    return ProfileList(version or 0, known)
