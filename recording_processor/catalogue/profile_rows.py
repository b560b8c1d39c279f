"""IVR profiles as rows: every change of a profile, its end too, is a version of its own.

Version numbers count over all profiles and only go up, so one number tells a reader whether it has
everything.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec
from sqlalchemy import ColumnElement, Row, Select, delete, func, insert, select
from sqlalchemy.dialects.sqlite import insert as upsert
from sqlalchemy.ext.asyncio import AsyncConnection

from recording_format.ivr_profile import IvrProfile, Tenant
from recording_processor.catalogue.tables import profile_versions, profiles, tenants
from recording_processor.tenancy import Tenants

_sections = msgspec.json.Decoder(dict[str, dict[str, str]])
_LONGEST_HISTORY = 1000


class ProfileList(msgspec.Struct, frozen=True):
    """Profiles by DBID, and the version of the last change of any (0: there never was one)."""

    version: int
    profiles: tuple[IvrProfile, ...]


class ProfileVersion(msgspec.Struct, frozen=True):
    """One version of one profile: who made it, and when (milliseconds since 1970).

    `deleted` ends the profile; the options are those that it had last.
    """

    version: int
    profile: IvrProfile
    changed_at: int
    changed_by: str
    deleted: bool


async def profile_list(connection: AsyncConnection, reachable: Tenants) -> ProfileList:
    """Return every reachable profile as it is now."""
    found = await connection.execute(
        _versions(reachable)
        .join(profiles, profiles.c.version == profile_versions.c.version)
        .order_by(profile_versions.c.dbid)
    )
    known = tuple(_version(row).profile for row in found)
    return ProfileList(await newest_version(connection), known)


async def newest_version(connection: AsyncConnection) -> int:
    """Return the version of the last change, or 0."""
    found = await connection.execute(select(func.max(profile_versions.c.version)))
    return found.scalar() or 0


async def present(connection: AsyncConnection, dbid: int) -> ProfileVersion | None:
    """Return a profile as it is now, whosever it is, or None."""
    found = await connection.execute(
        _versions(None)
        .join(profiles, profiles.c.version == profile_versions.c.version)
        .where(profiles.c.dbid == dbid)
    )
    row = found.one_or_none()
    return None if row is None else _version(row)


async def same_name(connection: AsyncConnection, profile: IvrProfile) -> int | None:
    """Return the DBID of another present profile of the tenant with this name, or None."""
    columns = profile_versions.c
    found = await connection.execute(
        select(columns.dbid)
        .join(profiles, profiles.c.version == columns.version)
        .where(
            columns.name == profile.name,
            columns.tenant_dbid == profile.tenant.dbid,
            columns.dbid != profile.dbid,
        )
    )
    return found.scalars().first()


async def history(
    connection: AsyncConnection, dbid: int, reachable: Tenants
) -> tuple[ProfileVersion, ...]:
    """Return the last thousand reachable versions of a profile, newest first."""
    found = await connection.execute(
        _versions(reachable)
        .where(profile_versions.c.dbid == dbid)
        .order_by(profile_versions.c.version.desc())
        .limit(_LONGEST_HISTORY)
    )
    return tuple(_version(row) for row in found)


async def version(
    connection: AsyncConnection, dbid: int, number: int, reachable: Tenants
) -> ProfileVersion | None:
    """Return one reachable version of a profile, or None."""
    columns = profile_versions.c
    found = await connection.execute(
        _versions(reachable).where(columns.dbid == dbid, columns.version == number)
    )
    row = found.one_or_none()
    return None if row is None else _version(row)


async def last_version(connection: AsyncConnection, dbid: int) -> ProfileVersion | None:
    """Return the last version of a profile, its end where it is no more; None: it never was."""
    columns = profile_versions.c
    found = await connection.execute(
        _versions(None).where(columns.dbid == dbid).order_by(columns.version.desc()).limit(1)
    )
    row = found.one_or_none()
    return None if row is None else _version(row)


async def last_dbid(connection: AsyncConnection) -> int | None:
    """Return the greatest DBID that a profile ever had, or None."""
    greatest = (await connection.execute(select(func.max(profile_versions.c.dbid)))).scalar()
    return None if greatest is None else int(greatest)


async def add_version(
    connection: AsyncConnection,
    profile: IvrProfile,
    *,
    changed_by: str,
    now: int,
    deleted: bool = False,
) -> int:
    """Let the profile be this from now on, or be no more; return the version's number."""
    added = await connection.execute(
        insert(profile_versions).values(
            dbid=profile.dbid,
            name=profile.name,
            tenant_dbid=profile.tenant.dbid,
            sections=msgspec.json.encode(profile.sections).decode(),
            changed_at=now,
            changed_by=changed_by,
            deleted=deleted,
        )
    )
    assert added.inserted_primary_key is not None
    number = int(added.inserted_primary_key[0])
    if deleted:
        await connection.execute(delete(profiles).where(profiles.c.dbid == profile.dbid))
    else:
        point = upsert(profiles).values(dbid=profile.dbid, version=number)
        await connection.execute(
            point.on_conflict_do_update(index_elements=["dbid"], set_={"version": number})
        )
    return number


def _versions(reachable: Tenants) -> Select[Any]:
    return (
        select(profile_versions, tenants.c.name.label("tenant_name"))
        .join(tenants, tenants.c.dbid == profile_versions.c.tenant_dbid)
        .where(*_reachable(reachable))
    )


def _reachable(reachable: Tenants) -> Iterator[ColumnElement[bool]]:
    if reachable is not None:
        yield tenants.c.name.in_(reachable)


def _version(row: Row[Any]) -> ProfileVersion:
    profile = IvrProfile(
        dbid=row.dbid,
        name=row.name,
        tenant=Tenant(name=row.tenant_name, dbid=row.tenant_dbid),
        sections=_sections.decode(row.sections),
    )
    return ProfileVersion(row.version, profile, row.changed_at, row.changed_by, row.deleted)
