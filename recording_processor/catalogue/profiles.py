"""What the processor asks of the catalogue about IVR profiles, each as one transaction.

Whatever lies in a tenant that the caller does not reach is answered like what does not exist. A
change is made to what is there at that moment: nothing falls between looking and writing.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec
from sqlalchemy.ext.asyncio import AsyncConnection

from recording_format.ivr_profile import IvrProfile, Tenant
from recording_processor.catalogue import profile_rows, provisioned
from recording_processor.catalogue.database import Database
from recording_processor.catalogue.profile_rows import ProfileList, ProfileVersion
from recording_processor.errors import BadParameter, Conflict, NotFound
from recording_processor.precondition import NO_PRECONDITION, Precondition
from recording_processor.profile_options import MAXIMUM_DBID
from recording_processor.tenancy import Tenants, reaches

_FIRST_DBID = 101


class Author(msgspec.Struct, frozen=True):
    """Who changes a profile, and which tenants are open to that account."""

    name: str
    tenants: Tenants = None


class Outcome(msgspec.Struct, frozen=True):
    """What a change came to: the profile as it is then, under its version."""

    profile: IvrProfile
    version: int
    changed: bool
    created: bool = False


class Profiles:
    """The IVR profiles of the catalogue. `clock` gives milliseconds since 1970."""

    def __init__(self, database: Database, clock: Callable[[], int]) -> None:
        self._database = database
        self._clock = clock

    async def all(self, tenants: Tenants) -> ProfileList:
        """Return the reachable profiles and the list's version. Raises `Busy`."""
        async with self._database.reading() as connection:
            return await profile_rows.profile_list(connection, tenants)

    async def tenants(self, reachable: Tenants) -> tuple[Tenant, ...]:
        """Return the reachable tenants, by DBID. Raises `Busy`."""
        async with self._database.reading() as connection:
            return await provisioned.tenant_list(connection, reachable)

    async def one(self, dbid: int, tenants: Tenants) -> ProfileVersion:
        """Return a profile as it is now. Raises `NotFound`, `Busy`."""
        async with self._database.reading() as connection:
            return await _present(connection, dbid, tenants)

    async def history(self, dbid: int, tenants: Tenants) -> tuple[ProfileVersion, ...]:
        """Return a profile's versions, newest first. Raises `NotFound`, `Busy`."""
        async with self._database.reading() as connection:
            found = await profile_rows.history(connection, dbid, tenants)
        if not found:
            raise NotFound("there is no such profile, nor was there one")
        return found

    async def version(self, dbid: int, number: int, tenants: Tenants) -> ProfileVersion:
        """Return one version of a profile. Raises `NotFound`, `Busy`."""
        async with self._database.reading() as connection:
            found = await profile_rows.version(connection, dbid, number, tenants)
        if found is None:
            raise NotFound("the profile has no such version")
        return found

    async def put(
        self, profile: IvrProfile, author: Author, precondition: Precondition = NO_PRECONDITION
    ) -> Outcome:
        """Make or change a profile; one that is put again as it is makes no version.

        Raises `BadParameter` for an unknown tenant, `Conflict` when the tenant has another profile
        of the name, `Changed`, `NotFound`, `Busy`.
        """
        async with self._database.writing() as connection:
            if not await _may_name(connection, profile.dbid, author.tenants):
                raise NotFound("there is no such profile")
            known = await profile_rows.present(connection, profile.dbid)
            precondition.check(None if known is None else known.version)
            return await self._put(connection, profile, known, author)

    async def create(self, profile: IvrProfile, author: Author) -> Outcome:
        """Make a new profile; one of DBID 0 gets the next that no profile ever had.

        Raises `Conflict` when the DBID or the name is taken, else as `put`.
        """
        async with self._database.writing() as connection:
            if profile.dbid and not await _may_name(connection, profile.dbid, author.tenants):
                raise BadParameter("dbid: leave it out; the account gets the next that is free")
            last = await profile_rows.last_dbid(connection) or 0
            dbid = profile.dbid or max(_FIRST_DBID, last + 1)
            if dbid > MAXIMUM_DBID:
                raise Conflict(f"dbid: there is none free behind {last}; name one")
            profile = msgspec.structs.replace(profile, dbid=dbid)
            if await profile_rows.present(connection, dbid) is not None:
                raise Conflict(f"dbid: {dbid} is taken")
            return await self._put(connection, profile, None, author)

    async def change(
        self, dbid: int, author: Author, alter: Callable[[IvrProfile], IvrProfile]
    ) -> Outcome:
        """Let `alter` change a profile.

        Raises `NotFound`, `Busy`, and whatever `alter` raises; then nothing is changed.
        """
        async with self._database.writing() as connection:
            known = await _present(connection, dbid, author.tenants)
            return await self._put(connection, alter(known.profile), known, author)

    async def delete(
        self, dbid: int, author: Author, precondition: Precondition = NO_PRECONDITION
    ) -> int:
        """End a profile; return the version that says so. Its history stays.

        Raises `NotFound`, `Changed`, `Busy`.
        """
        async with self._database.writing() as connection:
            known = await _present(connection, dbid, author.tenants)
            precondition.check(known.version)
            return await profile_rows.add_version(
                connection,
                known.profile,
                changed_by=author.name,
                now=self._clock(),
                deleted=True,
            )

    async def _put(
        self,
        connection: AsyncConnection,
        profile: IvrProfile,
        known: ProfileVersion | None,
        author: Author,
    ) -> Outcome:
        if known is not None and known.profile == profile:
            return Outcome(profile, known.version, changed=False)
        await provisioned.check_tenant(connection, profile.tenant, author.tenants)
        other = await profile_rows.same_name(connection, profile)
        if other is not None:
            raise Conflict(f"the tenant already has a profile {profile.name!r}, DBID {other}")
        number = await profile_rows.add_version(
            connection, profile, changed_by=author.name, now=self._clock()
        )
        return Outcome(profile, number, changed=True, created=known is None)


async def ensure_profile(connection: AsyncConnection, profile: IvrProfile, *, now: int) -> bool:
    """Make the profile unless there is or ever was one of its DBID; return whether it was made.

    A profile that somebody has deleted does not come back by itself. Raises `Conflict`,
    `BadParameter`.
    """
    if await profile_rows.last_version(connection, profile.dbid) is not None:
        return False
    try:
        await provisioned.check_tenant(connection, profile.tenant, None)
    except BadParameter as error:
        raise BadParameter(f"profile {profile.dbid}: {error}") from None
    other = await profile_rows.same_name(connection, profile)
    if other is not None:
        raise Conflict(f"the tenant already has a profile {profile.name!r}, DBID {other}")
    await profile_rows.add_version(connection, profile, changed_by="settings", now=now)
    return True


async def _may_name(connection: AsyncConnection, dbid: int, tenants: Tenants) -> bool:
    """Return whether an account of `tenants` may make or change the profile of this DBID.

    Calls name their profile by its DBID: whoever is limited to tenants takes none that is or was
    another's, nor one that another may be about to take, and cannot find out which there are.
    """
    if tenants is None:
        return True
    last = await profile_rows.last_version(connection, dbid)
    return last is not None and reaches(tenants, last.profile.tenant.name)


async def _present(connection: AsyncConnection, dbid: int, tenants: Tenants) -> ProfileVersion:
    found = await profile_rows.present(connection, dbid)
    if found is None or not reaches(tenants, found.profile.tenant.name):
        raise NotFound("there is no such profile")
    return found
