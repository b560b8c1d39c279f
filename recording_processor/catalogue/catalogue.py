"""What the processor asks of its catalogue, each as one call and one transaction.

Whatever a call that changes something has returned is durable. `clock` gives milliseconds since
1970; it labels rows and decides nothing.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Sequence

import msgspec

from recording_format.ivr_profile import IvrProfile, Tenant
from recording_processor.catalogue import filing as filing_sql
from recording_processor.catalogue import provisioned, reading
from recording_processor.catalogue.database import Database
from recording_processor.catalogue.provisioned import ProfileList
from recording_processor.catalogue.reading import Page
from recording_processor.errors import NotFound
from recording_processor.recording import Filing, MediaFile, Recording
from recording_processor.search import SearchRequest


class Provisioned(msgspec.Struct, frozen=True):
    """Which tenants and profiles the settings have added to the catalogue."""

    tenants: tuple[Tenant, ...]
    profiles: tuple[IvrProfile, ...]


class Catalogue:
    """The catalogue of one contact centre. Make it with `catalogue_of`."""

    def __init__(
        self, database: Database, *, identity: str, contact_center: int, clock: Callable[[], int]
    ) -> None:
        self.database = database
        self.identity = identity
        self._contact_center = contact_center
        self._clock = clock

    async def file(self, filing: Filing) -> int:
        """File a post; return how many of its media files were new. Raises `Conflict`, `Busy`."""
        async with self.database.writing() as connection:
            return await filing_sql.file_media(
                connection,
                filing,
                contact_center=self._contact_center,
                now=self._clock(),
                new_play_id=lambda: str(uuid.uuid4()),
            )

    async def find(self, request: SearchRequest) -> Page:
        """Return a page of recordings. Raises `Busy`."""
        async with self.database.reading() as connection:
            return await reading.find(connection, request, contact_center=self._contact_center)

    async def recording(self, recording_id: str) -> Recording:
        """Return one recording. Raises `NotFound`, `Busy`."""
        async with self.database.reading() as connection:
            found = await reading.recording(
                connection, recording_id, contact_center=self._contact_center
            )
        if found is None:
            raise NotFound("there is no such recording")
        return found

    async def media_file(self, recording_id: str, play_name: str) -> MediaFile:
        """Return the media file that is played under `play_name`. Raises `NotFound`, `Busy`."""
        recording = await self.recording(recording_id)
        for media in recording.media_files:
            if media.play_name == play_name:
                return media
        raise NotFound("the recording has no such media file")

    async def profiles(self) -> ProfileList:
        """Return all IVR profiles and their version. Raises `Busy`."""
        async with self.database.reading() as connection:
            return await provisioned.profile_list(connection)

    async def put_profile(self, profile: IvrProfile, *, changed_by: str) -> int:
        """Make or change a profile; return the version of the list then.

        Raises `BadParameter`, `Conflict`, `Busy`.
        """
        async with self.database.writing() as connection:
            return await provisioned.put_profile(
                connection, profile, changed_by=changed_by, now=self._clock()
            )

    async def provision(
        self, tenants: Sequence[Tenant], profiles: Sequence[IvrProfile]
    ) -> Provisioned:
        """Add what is missing; what is there stays as it is, also where it differs.

        Raises `Conflict` or `BadParameter` when it cannot be added, and then adds nothing.
        """
        async with self.database.writing() as connection:
            new_tenants = [t for t in tenants if await provisioned.ensure_tenant(connection, t)]
            new_profiles = [
                profile
                for profile in profiles
                if await provisioned.ensure_profile(connection, profile, now=self._clock())
            ]
        return Provisioned(tuple(new_tenants), tuple(new_profiles))


async def catalogue_of(
    database: Database, *, ccid: str, domain: str, region: str, clock: Callable[[], int]
) -> Catalogue:
    """Return the catalogue of one contact centre, which is made when it is new."""
    async with database.writing() as connection:
        identity = await provisioned.ensure_identity(connection, str(uuid.uuid4()))
        number = await provisioned.ensure_contact_center(
            connection, ccid=ccid, domain=domain, region=region
        )
    return Catalogue(database, identity=identity, contact_center=number, clock=clock)
