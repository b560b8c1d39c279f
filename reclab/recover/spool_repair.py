"""The spool's side of a run: what waits there is judged, retried, and looked at again."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable

import aiohttp

from mcp_sim.profiles import ProfileBook
from mcp_sim.readdressing import Replaced
from mcp_sim.recording.keyring import KeyringError, SpoolKeyring
from mcp_sim.recording.spool.folders import SpoolFolders, State
from mcp_sim.redelivery import RetryAnswer
from reclab.lab_client import LabError
from reclab.recover.causes import Cause
from reclab.recover.inventory import Inventory, ItemRow
from reclab.recover.judging import Judgement, Route, finding_of, judge
from reclab.recover.keys import HeldKeys
from reclab.recover.probes import Probes
from reclab.recover.report import Finding, Outcome, Report
from reclab.recover.retrying import (
    merge_answers,
    retry_alone,
    retry_by_platform,
    wait_for_items,
)
from reclab.recover.site import Site
from reclab.recover.spool_scan import SpoolEntry, look, scan_spool

Say = Callable[[str], None]
_BREATH = 100
_ASKED_AGAIN, _PAUSE = 6, 0.5


class SpoolRepair:
    """The spool of one site; its findings go into `report`."""

    def __init__(self, site: Site, report: Report, *, running: bool, say: Say) -> None:
        self._site = site
        self._report = report
        self._running = running
        self._say = say
        self._folders = SpoolFolders(site.spool)
        self._at: dict[str, int] = {}
        self._routes: dict[str, Route] = {}
        self._tries: dict[str, int] = {}

    async def scan(self, probes: Probes, inventory: Inventory, keys: HeldKeys | None) -> None:
        """Look at every item, and judge those that wait."""
        counts = self._report.counts.spool
        entries = scan_spool(self._site.spool)
        for number, entry in enumerate(entries):
            counts[entry.state] = counts.get(entry.state, 0) + 1
            if number % _BREATH == 0:
                self._say(f"Looking through the spool: {number} recordings …")
                await asyncio.sleep(0)
            if entry.media:
                row = ItemRow(
                    entry.media, entry.recording, entry.name, entry.state, entry.has_sound
                )
                inventory.add_items([row])
            await self._judge(entry, probes)
            fault = keys.fault(entry.tenant, entry.aliases, entry.pkcs7) if keys else ""
            if fault and entry.deliverable:
                judged = Judgement(Cause.KEY_GONE, fault)
                self._report.findings.append(finding_of(entry, judged))

    def want(self, item: str, finding: Finding) -> None:
        """Have an item retried because of what was found elsewhere; it counts for the item."""
        if item in self._at:
            self._report.findings[self._at[item]] = finding
            return
        self._at[item] = len(self._report.findings)
        self._report.findings.append(finding)

    def compare(self, inventory: Inventory) -> None:
        """Let items without their file be well where store and catalogue have it."""
        for at, found in enumerate(self._report.findings):
            lost = found.place == "spool" and found.cause == Cause.MEDIA_MISSING.slug
            if lost and inventory.is_well(found.media):
                done = "store and catalogue have it: its folder in the spool is of no use"
                self._report.settle(at, Outcome.REPAIRED, done)

    def foretell(self) -> None:
        """Say of each finding what a real run would do."""
        for name, at in self._at.items():
            route = self._routes.get(name, Route())
            if route.well and self._report.findings[at].recoverable:
                self._report.settle(at, Outcome.WOULD_REPAIR, f"would be {_done(route)}")

    async def retry(
        self,
        http: aiohttp.ClientSession,
        book: ProfileBook,
        keyring: SpoolKeyring | None,
        *,
        seconds: float,
    ) -> None:
        """Have the items retried, and say what became of them."""
        if not self._at:
            return
        self._say(f"Retrying {len(self._at)} recordings …")
        try:
            answer = await self._retried(http, book, keyring, seconds)
        except (LabError, KeyringError) as error:
            self._report.missed(str(error))
            return
        replaced: dict[str, list[Replaced]] = {}
        for one in answer.addresses:
            replaced.setdefault(one.item, []).append(one)
        for name, at in self._at.items():
            await self._settle(name, at, replaced.get(name, []))

    async def _retried(
        self,
        http: aiohttp.ClientSession,
        book: ProfileBook,
        keyring: SpoolKeyring | None,
        seconds: float,
    ) -> RetryAnswer:
        names = list(self._at)
        if self._running:
            answer = await self._ask_platform(http, names)
            anew = {*answer.returned, *answer.rendering, *(one.item for one in answer.addresses)}
            # Where a destination is still down nothing is waited for.
            waited = {
                name: 0 if name in anew else self._tries.get(name, 0)
                for name in names
                if self._routes.get(name, Route()).well
            }
            await wait_for_items(self._site, waited, seconds=seconds, say=self._say)
            return answer
        keyring = keyring or self._site.keyring()
        return await retry_alone(self._site, http, book, keyring, names=names, seconds=seconds)

    async def _ask_platform(self, http: aiohttp.ClientSession, names: list[str]) -> RetryAnswer:
        """Ask until the platform has followed the profile too: it learns of changes a bit later."""
        answer = await retry_by_platform(self._site, http, names)
        for _ in range(_ASKED_AGAIN):
            followed = {one.item for one in answer.addresses}
            late = [
                name
                for name, route in self._routes.items()
                if route.replaced and name in self._at and name not in followed
            ]
            if not late:
                break
            await asyncio.sleep(_PAUSE)
            further = await retry_by_platform(self._site, http, late)
            answer = merge_answers(answer, further)
        return answer

    async def _judge(self, entry: SpoolEntry, probes: Probes) -> None:
        route = Route()
        if entry.deliverable and entry.state in (State.READY, State.FAILED):
            route = await probes.route(entry)
            self._routes[entry.name] = route
            self._tries[entry.name] = entry.progress.tries
        judged = judge(entry, route, running=self._running)
        if judged is None:
            return
        if judged.retry:
            self._at[entry.name] = len(self._report.findings)
        self._report.findings.append(finding_of(entry, judged))

    async def _settle(self, name: str, at: int, replaced: Iterable[Replaced]) -> None:
        route = self._routes.get(name, Route())
        moved = tuple((one.destination, one.before, one.after) for one in replaced)
        state = await asyncio.to_thread(self._folders.state_of, name)
        if state is State.DELIVERED:
            self._report.settle(at, Outcome.REPAIRED, _done(route._replace(replaced=moved)))
        elif state is None:
            nothing = "nothing had been recorded: it was removed"
            unfinished = self._report.findings[at].cause == Cause.UNFINISHED.slug
            done = nothing if unfinished else _done(route)
            self._report.settle(at, Outcome.REPAIRED, done)
        else:
            await self._remains(name, at, state, route)

    async def _remains(self, name: str, at: int, state: State, route: Route) -> None:
        entry = await asyncio.to_thread(look, self._folders, name, state)
        # What was corrected is in force now.
        if entry is None:
            self._report.settle(at, Outcome.REMAINS, "it is on its way")
            return
        judged = judge(entry, route._replace(replaced=()), running=self._running)
        if judged is None:
            self._report.settle(at, Outcome.REMAINS, "it is on its way")
            return
        self._report.findings[at] = finding_of(entry, judged)
        self._report.settle(at, Outcome.REMAINS, "it was tried again" if route.well else "")


def _done(route: Route) -> str:
    """Return what a delivery does, with the addresses that it replaces."""
    if route.store is None:
        done = "rendered and delivered"
    elif route.processor is None:
        done = f"copied to {route.store.url}"
    else:
        done = f"delivered to {route.store.url}, and filed at {route.processor.url}"
    for kind, before, after in route.replaced:
        done += f"; the address of the {kind} was replaced: {before} is {after} by now"
    return done
