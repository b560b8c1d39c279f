"""A catalogue that delivers onward, in the test's own process."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec

from recording_format.ivr_profile import Tenant
from recording_processor.catalogue.catalogue import Catalogue, catalogue_of
from recording_processor.catalogue.opening import open_database
from recording_processor.intake import read_post
from recording_processor.onward.onward import Onward, onward_of
from recording_processor.settings import ContactCenterSettings, OnwardSettings, ProcessorSettings
from recording_processor.web.metrics import Metrics
from tests.recording_processor.irws import PASSWORD, USER
from tests.recording_processor.samples import CCID, DOMAIN, media_file, post

SECONDS = 60
FOLDER = f"{DOMAIN}_Environment_{CCID}"


class Room:
    """The catalogue, what delivers from it, and its figures."""

    def __init__(self, catalogue: Catalogue, onward: Onward, metrics: Metrics, root: Path) -> None:
        self.catalogue = catalogue
        self.onward = onward
        self.metrics = metrics
        self.failed = root / "failed"

    async def file(self, recording_id: str, **changed: Any) -> int:
        """File a post of one media file."""
        return await self.catalogue.file(read_post(post(media_file(recording_id, **changed))))

    async def until(self, *, waiting: int = 0, failed: int = 0) -> None:
        """Wait until so much waits, and so much has failed."""
        wanted = (waiting, failed)
        async with asyncio.timeout(SECONDS):
            while True:
                counts = await self.catalogue.outbox.counts()
                if (counts.waiting, counts.failed) == wanted:
                    return
                await asyncio.sleep(0.01)

    def files(self) -> list[Path]:
        """Return the files of what failed."""
        return sorted(self.failed.rglob("*.json"))

    def counted(self, outcome: str) -> float:
        """Return a counter of the metrics."""
        found = self.metrics.registry.get_sample_value(
            "reclab_processor_onward_total", {"outcome": outcome}
        )
        return found or 0.0


def onward_settings(root: Path, url: str, **changed: Any) -> ProcessorSettings:
    """Return settings with quick retries."""
    password = root / "irws.password"
    password.write_text(f"{PASSWORD}\n")
    quick = OnwardSettings(
        url=url,
        user=USER,
        password_file=str(password),
        first_retry=0.01,
        longest_retry=0.05,
        timeout=30.0,
        replay_minutes=0.0,
    )
    return ProcessorSettings(
        contact_center=ContactCenterSettings(domain=DOMAIN, ccid=CCID),
        catalogue=str(root / "onward.sqlite3"),
        onward=msgspec.structs.replace(quick, **changed),
    )


@asynccontextmanager
async def outbox_only(root: Path, *, used: bool = True) -> AsyncIterator[Catalogue]:
    """Open the catalogue without anything that delivers."""
    ticks = itertools.count(1_767_348_000_000)
    async with (
        open_database(root / "onward.sqlite3") as database,
        catalogue_of(
            database,
            ccid=CCID,
            domain=DOMAIN,
            region="1",
            clock=lambda: next(ticks),
            onward=used,
        ) as catalogue,
    ):
        await catalogue.provision([Tenant(name="Environment", dbid=1)], [])
        yield catalogue


@asynccontextmanager
async def onward_room(root: Path, url: str, **changed: Any) -> AsyncIterator[Room]:
    """Open the catalogue and deliver from it."""
    metrics = Metrics()
    async with (
        outbox_only(root) as catalogue,
        onward_of(onward_settings(root, url, **changed), catalogue.outbox, metrics) as onward,
    ):
        assert onward is not None
        yield Room(catalogue, onward, metrics, root)
