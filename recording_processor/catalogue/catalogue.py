"""What the processor asks of its catalogue, each as one call and one transaction.

Whatever a call that changes something has returned is durable. `clock` gives milliseconds since
1970; it labels rows and decides nothing.
"""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

import msgspec
import structlog
from sqlalchemy import Connection

from recording_format.ivr_profile import IvrProfile, Tenant
from recording_processor.catalogue import envelopes, provisioned, reading
from recording_processor.catalogue import filing as filing_sql
from recording_processor.catalogue.conflicts import Conflicts
from recording_processor.catalogue.database import Database
from recording_processor.catalogue.envelopes import Need
from recording_processor.catalogue.group_commit import GroupCommit, group_commit
from recording_processor.catalogue.outbox import Outbox
from recording_processor.catalogue.profiles import Profiles, ensure_profile
from recording_processor.catalogue.reading import Page
from recording_processor.catalogue.settings_groups import SettingsGroups
from recording_processor.errors import Conflict, NotFound, ProcessorError
from recording_processor.recording import Document, Filing, MediaFile, Recording
from recording_processor.search import SearchRequest
from recording_processor.tenancy import Tenants

_log = structlog.get_logger()


class Provisioned(msgspec.Struct, frozen=True):
    """Which tenants and profiles the settings have added to the catalogue."""

    tenants: tuple[Tenant, ...]
    profiles: tuple[IvrProfile, ...]


class Catalogue:
    """The catalogue of one contact centre. Make it with `catalogue_of`.

    `tenants`, where a method asks for them, are those that the caller may reach.
    """

    def __init__(
        self,
        database: Database,
        posts: GroupCommit,
        outbox: Outbox,
        *,
        identity: str,
        contact_center: int,
        clock: Callable[[], int],
    ) -> None:
        self.database = database
        self.posts = posts
        self.outbox = outbox
        self.identity = identity
        self.conflicts = Conflicts(database, contact_center, clock)
        self.profiles = Profiles(database, clock)
        self.groups = SettingsGroups(database, contact_center, clock)
        self._contact_center = contact_center
        self._clock = clock

    async def file(self, filing: Filing, size: int = 0) -> int:
        """File a post of `size` bytes; return how many of its media files were new.

        It shares a transaction with those that are posted at the same time. Raises `Conflict`,
        which is written down for a person, `Busy`, `OutOfSpace`.
        """
        try:
            new = await self.posts.file(filing, size)
        except Conflict:
            try:
                await self.conflicts.note(filing)
            except ProcessorError as error:
                _log.warning("A conflict could not be written down", reason=str(error))
            raise
        if new:
            self.outbox.came.set()
        return new

    async def find(self, request: SearchRequest, *, tenants: Tenants) -> Page:
        """Return a page of the tenants' recordings. Raises `Busy`."""
        async with self.database.reading() as connection:
            return await reading.find(
                connection, request, contact_center=self._contact_center, tenants=tenants
            )

    async def recording(self, recording_id: str, *, tenants: Tenants) -> Recording:
        """Return one recording of the tenants. Raises `NotFound`, `Busy`."""
        async with self.database.reading() as connection:
            found = await reading.recording(
                connection, recording_id, contact_center=self._contact_center, tenants=tenants
            )
        if found is None:
            raise NotFound("there is no such recording")
        return found

    async def media_file(self, recording_id: str, play_name: str, *, tenants: Tenants) -> MediaFile:
        """Return the media file that is played under `play_name`. Raises `NotFound`, `Busy`."""
        recording = await self.recording(recording_id, tenants=tenants)
        for media in recording.media_files:
            if media.play_name == play_name:
                return media
        raise NotFound("the recording has no such media file")

    async def change_envelope(
        self,
        recording_id: str,
        play_id: str,
        alter: Callable[[Document], Document],
        *,
        tenants: Tenants,
    ) -> bool:
        """Let `alter` replace a media file's envelope; return whether that changed anything.

        Raises `NotFound`, `Busy`, and whatever `alter` raises; then nothing is changed.
        """
        async with self.database.writing() as connection:
            changed = await envelopes.change_document(
                connection,
                contact_center=self._contact_center,
                recording_id=recording_id,
                play_id=play_id,
                tenants=tenants,
                alter=alter,
            )
        if changed is None:
            raise NotFound("the recording has no such envelope")
        return changed

    async def need(self, tenant: str, alias: str, others: Sequence[str]) -> Need:
        """Count the tenant's recordings that need a recipient. Raises `Busy`."""
        async with self.database.reading() as connection:
            return await envelopes.count_need(
                connection,
                contact_center=self._contact_center,
                tenant=tenant,
                alias=alias,
                others=others,
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
                if await ensure_profile(connection, profile, now=self._clock())
            ]
        return Provisioned(tuple(new_tenants), tuple(new_profiles))


@asynccontextmanager
async def catalogue_of(
    database: Database,
    *,
    ccid: str,
    domain: str,
    region: str,
    clock: Callable[[], int],
    posts_waiting: int = 256,
    posts_together: int = 64,
    onward: bool = False,
) -> AsyncIterator[Catalogue]:
    """Open the catalogue of one contact centre, which is made when it is new.

    With `onward`, what is filed goes into the outbox too. At the end, posts that wait are filed
    first.
    """
    async with database.writing() as connection:
        identity = await provisioned.ensure_identity(connection, str(uuid.uuid4()))
        number = await provisioned.ensure_contact_center(
            connection, ccid=ccid, domain=domain, region=region
        )

    outbox = Outbox(database, number, used=onward)

    def file(connection: Connection, filing: Filing) -> int:
        now = clock()
        return filing_sql.file_media(
            connection,
            filing,
            contact_center=number,
            now=now,
            new_play_id=lambda: str(uuid.uuid4()),
            added=lambda within, recording, new: outbox.add(within, recording, new, now),
        )

    async with group_commit(
        database, file, waiting_limit=posts_waiting, posts=posts_together
    ) as posts:
        catalogue = Catalogue(
            database, posts, outbox, identity=identity, contact_center=number, clock=clock
        )
        await catalogue.conflicts.load()
        yield catalogue
