"""One run of the recovery: look at everything, tell what is wrong, repair what can be repaired.

It may be run again and again, and interrupted at any place: what was repaired is found well the
next time, no recording is ever removed, and none is stored over something else.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Literal

import aiohttp
import msgspec

from reclab.https import trusting
from reclab.lab_client import LabClient, LabError, lab_client
from reclab.recover.attaching import Attaching, NotAttached
from reclab.recover.catalogue_scan import CatalogueScan
from reclab.recover.comparison import Comparison, Difference
from reclab.recover.inventory import Inventory, MediaRow, ObjectRow
from reclab.recover.keys import HeldKeys, held_keys
from reclab.recover.papers import scan_papers
from reclab.recover.probes import Probes
from reclab.recover.profiles import present_profiles
from reclab.recover.report import Outcome, Report
from reclab.recover.site import Site, find_site, platform_runs
from reclab.recover.spool_repair import SpoolRepair
from reclab.recover.store_view import StoreView

_TOGETHER = 500
_PROBE_SECONDS = 10.0
Say = Callable[[str], None]


class RecoveryOptions(msgspec.Struct, frozen=True):
    """`metadata` is a folder of metadata files; `digests`: have the store read every object.

    `wait` is how long retried recordings may take, in seconds.
    """

    dry_run: bool = False
    metadata: Path | None = None
    digests: bool = False
    wait: float = 60.0


async def run_recovery(
    data: Path,
    options: RecoveryOptions | None = None,
    *,
    say: Say = lambda _: None,
) -> Report:
    """Recover the recordings of the lab in folder `data`; `say` hears how far it is.

    Services that do not answer are notes of the report. Raises `SettingsError` where there is no
    lab.
    """
    site = find_site(data)
    async with AsyncExitStack() as stack:
        connector = trusting(site.lab.services_ca)
        http = await stack.enter_async_context(aiohttp.ClientSession(connector=connector))
        client = await stack.enter_async_context(lab_client(site.lab))
        inventory = stack.enter_context(Inventory())
        running = await platform_runs(site, http, say)
        options = options or RecoveryOptions()
        recovery = Recovery(site, options, http, client, inventory, running=running, say=say)
        return await recovery.run()


class Recovery:
    """One run; `run` is called once."""

    def __init__(
        self,
        site: Site,
        options: RecoveryOptions,
        http: aiohttp.ClientSession,
        client: LabClient,
        inventory: Inventory,
        *,
        running: bool,
        say: Say,
    ) -> None:
        """`running`: a platform holds the spool."""
        self._site = site
        self._options = options
        self._http = http
        self._client = client
        self._inventory = inventory
        self._say = say
        self._store = StoreView(site.lab, http)
        self._running = running
        there: Literal["running", "stopped", "none"] = "running" if self._running else "stopped"
        if not site.spool.is_dir():
            there = "none"
        self._report = Report(dry_run=options.dry_run, platform=there)
        self._keyring = site.known_keyring()

    async def run(self) -> Report:
        """Return the report."""
        keys = await self._keys()
        book, note = await present_profiles(self._site, self._http, self._keyring)
        if note:
            self._report.missed(note)
        probes = Probes(self._http, book, self._keyring, timeout=_PROBE_SECONDS)
        spool = SpoolRepair(self._site, self._report, running=self._running, say=self._say)
        if self._report.platform == "none":
            self._report.missed(f"there is no spool {self._site.spool}")
        else:
            await spool.scan(probes, self._inventory, keys)
        self._report.destinations = probes.states
        await self._services(spool, keys)
        if self._options.dry_run:
            spool.foretell()
        else:
            await spool.retry(self._http, book, self._keyring, seconds=self._options.wait)
        return self._report

    async def _keys(self) -> HeldKeys | None:
        self._say("Asking for the keys of the keystore …")
        try:
            return await held_keys(self._site.lab)
        except LabError as error:
            self._report.missed(f"whether keys are gone was not looked at: {error}")
            return None

    async def _services(self, spool: SpoolRepair, keys: HeldKeys | None) -> None:
        """Compare store and catalogue, as far as they can be looked at."""
        # The store first: what it holds then, the catalogue knows, or the spool still has it.
        listed = await self._list_store()
        known = await self._read_catalogue(keys)
        counts = self._report.counts
        counts.objects = self._inventory.count("object") if listed else None
        counts.media_files = self._inventory.count("media") if known else None
        counts.elsewhere = self._inventory.elsewhere()
        if not listed or not known:
            return
        self._read_papers()
        attaching = Attaching(
            self._site.lab,
            self._store,
            self._inventory,
            self._http,
            spool=self._site.spool,
            keyring=self._keyring,
        )
        try:
            await self._compare(attaching, spool)
        except LabError as error:
            self._report.missed(f"store and catalogue were not compared to the end: {error}")
        spool.compare(self._inventory)

    async def _list_store(self) -> bool:
        rows: list[ObjectRow] = []
        try:
            async for one in self._store.objects():
                rows.append(ObjectRow(one.path, one.path.rpartition("/")[2], one.size))
                if len(rows) >= _TOGETHER:
                    self._inventory.add_objects(rows)
                    self._say(f"Listing the store: {self._inventory.count('object')} objects …")
                    rows = []
        except LabError as error:
            self._report.missed(f"the store was not looked through: {error}")
            return False
        self._inventory.add_objects(rows)
        return True

    async def _read_catalogue(self, keys: HeldKeys | None) -> bool:
        scan = CatalogueScan(self._client, self._store, self._inventory, keys)
        try:
            async for finding in scan.findings(
                lambda number: self._say(f"Reading the catalogue: {number} media files …")
            ):
                self._report.findings.append(finding)
        except LabError as error:
            self._report.missed(f"the catalogue was not looked through: {error}")
            return False
        return True

    def _read_papers(self) -> None:
        if self._options.metadata is None:
            return
        self._say(f"Reading the metadata in {self._options.metadata} …")
        for found in scan_papers(self._options.metadata):
            if isinstance(found, str):
                self._report.notes.append(found)
            else:
                self._inventory.add_papers([found])

    async def _compare(self, attaching: Attaching, spool: SpoolRepair) -> None:
        comparison = Comparison(self._inventory, self._store, self._client, attaching)
        self._say("Comparing store and catalogue …")
        async for found in comparison.orphans():
            await self._attach(found, attaching)
        async for found in comparison.losses():
            if found.item:
                spool.want(found.item, found.finding)
            else:
                self._report.findings.append(found.finding)
        if not self._options.digests:
            return
        number = 0
        async for changed in comparison.digests():
            number += 1
            self._say(f"The store reads its objects: {number} …")
            if changed is not None:
                self._report.findings.append(changed.finding)

    async def _attach(self, found: Difference, attaching: Attaching) -> None:
        at = len(self._report.findings)
        self._report.findings.append(found.finding)
        if found.paper is None:
            return
        doing = f"its metadata in {found.paper.found} were posted again"
        if self._options.dry_run:
            would = f"its metadata in {found.paper.found} would be posted again"
            self._report.settle(at, Outcome.WOULD_REPAIR, would)
            return
        try:
            await attaching.attach(found.paper)
            self._report.settle(at, Outcome.REPAIRED, doing)
            path = self._store.path(found.finding.where)
            row = MediaRow(found.finding.media, found.finding.recording, path, None, "")
            self._inventory.add_media([row])
        except NotAttached as error:
            self._report.findings[at] = found.finding.because(error.cause, str(error))
        except LabError as error:
            self._report.settle(at, Outcome.REMAINS, f"it was not filed: {error}")
            raise
