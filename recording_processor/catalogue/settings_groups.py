"""Settings groups in the catalogue: settings by location, and screen-recording certificates.

Each call is one transaction; whatever a call that changes something has returned is durable.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
from sqlalchemy import Row, delete, insert, select
from sqlalchemy.dialects.sqlite import insert as upsert
from sqlalchemy.ext.asyncio import AsyncConnection

from recording_format.ivr_profile import Tenant
from recording_processor.catalogue.database import Database
from recording_processor.catalogue.tables import group_settings, screen_certificates, tenants
from recording_processor.errors import NotFound
from recording_processor.group_setting import GroupSetting, Key, Value
from recording_processor.screen_certificate import ScreenCertificate

_value: msgspec.json.Decoder[Value] = msgspec.json.Decoder(Value)


class CertificateChange(msgspec.Struct, frozen=True):
    """The screen-recording certificates before a change and after it."""

    before: tuple[ScreenCertificate, ...]
    after: tuple[ScreenCertificate, ...]


class SettingsGroups:
    """The settings groups of one contact centre. `clock` gives milliseconds since 1970."""

    def __init__(self, database: Database, contact_center: int, clock: Callable[[], int]) -> None:
        self._database = database
        self._contact_center = contact_center
        self._clock = clock

    async def settings(self, group: str) -> tuple[GroupSetting, ...]:
        """Return a group's settings, by name and location. Raises `Busy`."""
        columns = group_settings.c
        async with self._database.reading() as connection:
            found = await connection.execute(
                select(columns.name, columns.location, columns.value)
                .where(
                    columns.contact_center == self._contact_center,
                    columns.settings_group == group,
                )
                .order_by(columns.name, columns.location)
            )
            return tuple(
                GroupSetting(row.name, row.location, _value.decode(row.value)) for row in found
            )

    async def put_setting(self, group: str, setting: GroupSetting, *, changed_by: str) -> None:
        """Make or change a setting. Raises `Busy`."""
        key = {
            "contact_center": self._contact_center,
            "settings_group": group,
            "name": setting.name,
            "location": setting.location,
        }
        told = {
            "value": msgspec.json.encode(setting.value).decode(),
            "changed_at": self._clock(),
            "changed_by": changed_by,
        }
        async with self._database.writing() as connection:
            row = upsert(group_settings).values(**key, **told)
            await connection.execute(row.on_conflict_do_update(index_elements=[*key], set_=told))

    async def delete_setting(self, group: str, key: Key) -> None:
        """Remove a setting. Raises `NotFound`, `Busy`."""
        columns = group_settings.c
        async with self._database.writing() as connection:
            gone = await connection.execute(
                delete(group_settings).where(
                    columns.contact_center == self._contact_center,
                    columns.settings_group == group,
                    columns.name == key.name,
                    columns.location == key.location,
                )
            )
        if gone.rowcount == 0:
            raise NotFound(f"there is no setting {key.name} for the location {key.location}")

    async def certificates(self) -> tuple[ScreenCertificate, ...]:
        """Return the screen-recording certificates, by number. Raises `Busy`."""
        async with self._database.reading() as connection:
            return await self._certificates(connection)

    async def change_certificates(
        self,
        alter: Callable[[tuple[ScreenCertificate, ...]], tuple[ScreenCertificate, ...]],
        *,
        changed_by: str,
    ) -> CertificateChange:
        """Let `alter` change the screen-recording certificates.

        Raises `Busy`, and whatever `alter` raises; then nothing is changed.
        """
        async with self._database.writing() as connection:
            known = await self._certificates(connection)
            altered = alter(known)
            if altered != known:
                await self._replace(connection, known, altered, changed_by)
        return CertificateChange(known, altered)

    async def _certificates(self, connection: AsyncConnection) -> tuple[ScreenCertificate, ...]:
        found = await connection.execute(
            select(screen_certificates, tenants.c.name.label("tenant_name"))
            .join(tenants, tenants.c.dbid == screen_certificates.c.tenant_dbid)
            .where(screen_certificates.c.contact_center == self._contact_center)
            .order_by(screen_certificates.c.number)
        )
        return tuple(_certificate(row) for row in found)

    async def _replace(
        self,
        connection: AsyncConnection,
        known: tuple[ScreenCertificate, ...],
        altered: tuple[ScreenCertificate, ...],
        changed_by: str,
    ) -> None:
        """Write what differs: a certificate that stays keeps who assigned it."""
        columns = screen_certificates.c
        for gone in set(known) - set(altered):
            await connection.execute(
                delete(screen_certificates).where(
                    columns.contact_center == self._contact_center, columns.number == gone.number
                )
            )
        for new in set(altered) - set(known):
            await connection.execute(
                insert(screen_certificates).values(
                    contact_center=self._contact_center,
                    number=new.number,
                    tenant_dbid=new.tenant.dbid,
                    certificate=new.text,
                    changed_at=self._clock(),
                    changed_by=changed_by,
                )
            )


def _certificate(row: Row[Any]) -> ScreenCertificate:
    tenant = Tenant(name=row.tenant_name, dbid=row.tenant_dbid)
    return ScreenCertificate(row.number, tenant, row.certificate)
