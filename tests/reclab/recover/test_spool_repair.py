"""The spool's side of a run: what is told of each item, and what a dry run foretells."""

from __future__ import annotations

import asyncio
import fcntl
import os
from pathlib import Path

import aiohttp
import pytest

from mcp_sim.config import McpSettings, ProcessorSettings, SpoolSettings
from mcp_sim.profiles import ProfileBook, ProfileEdition
from mcp_sim.recording.spool.folders import MEDIA, State
from reclab.lab import Lab, User
from reclab.recover.inventory import Inventory, MediaRow, ObjectRow
from reclab.recover.keys import HeldKeys
from reclab.recover.probes import Probes
from reclab.recover.report import Outcome, Report
from reclab.recover.site import Site, platform_runs, spool_is_held
from reclab.recover.spool_repair import SpoolRepair
from tests.mcp_sim.front.pki import profile, with_options
from tests.mcp_sim.recording.delivery_scene import Scene
from tests.mcp_sim.recording.fake_destinations import ACCOUNT, POST_ACCOUNT

NOWHERE = "http://127.0.0.1:9"


def site_of(spool: Path) -> Site:
    """A lab of which only the spool is there."""
    settings = McpSettings(
        spool=SpoolSettings(folder=str(spool), keyring=str(spool.parent / "keyring")),
        processor=ProcessorSettings(url=NOWHERE),
    )
    lab = Lab(
        sip="127.0.0.1:9", control=NOWHERE, store=NOWHERE, processor=NOWHERE, crypto=NOWHERE,
        users={"operator": User("operator", "x")}, ca_file="", keys={}, domain="lab.example",
        ccid="c", profile_dbid=101,
    )  # fmt: skip
    return Site(lab, up=False, settings=settings)


def book_of(scene: Scene, password: str = ACCOUNT[1]) -> ProfileBook:
    """The profile in force, with the password of the storage."""
    book = ProfileBook()
    options = {
        "recordingclient.recdest": f"{scene.store.url}/recordings",
        "recordingclient.callrec_dest": f"{scene.processor.url}/api/contact-centers/x/recordings",
        "recordingclient.httpauthorization": f"{ACCOUNT[0]}:{password}",
        "recordingclient.callrec_authorization": ":".join(POST_ACCOUNT),
    }
    book.update(ProfileEdition(1, [with_options(profile(), options)]))
    return book


async def scanned(
    scene: Scene, inventory: Inventory, *, password: str = ACCOUNT[1], keys: HeldKeys | None = None
) -> Report:
    """What a dry run tells of a stopped platform's spool."""
    report = Report(dry_run=True, platform="stopped")
    repair = SpoolRepair(site_of(scene.spool.root), report, running=False, say=lambda _: None)
    # The processor refuses what is no recording, as the real one does.
    scene.processor.script.append((400, '{"statusCode":2,"statusMessage":"mediaFiles is missing"}'))
    async with aiohttp.ClientSession() as http:
        probes = Probes(http, book_of(scene, password), scene.keyring, timeout=10)
        await repair.scan(probes, inventory, keys)
        report.destinations = probes.states
    repair.compare(inventory)
    repair.foretell()
    return report


async def test_a_dry_run_foretells(scene: Scene) -> None:
    """Each destination is asked once, whatever the number of recordings; nothing is stored."""
    for number in (1, 2, 3):
        scene.ready(number)
    with Inventory() as inventory:
        report = await scanned(scene, inventory)
    assert [(one.cause, one.outcome) for one in report.findings] == [
        ("not-delivered", Outcome.WOULD_REPAIR)
    ] * 3
    assert f"would be delivered to {scene.store.url}/recordings" in report.findings[0].repair
    assert [(one.kind, one.well) for one in report.destinations] == [
        ("store", True), ("processor", True)
    ]  # fmt: skip
    assert len(scene.store.requests) == len(scene.processor.posts) == 1
    assert scene.store.objects == {}
    assert (report.counts.spool, report.exit_code) == ({"ready": 3}, 1)


async def test_a_password_that_is_still_wrong(scene: Scene) -> None:
    """It is told of the destination and of each recording, and never itself."""
    scene.ready()
    with Inventory() as inventory:
        report = await scanned(scene, inventory, password="not-the-one")
    [found] = report.findings
    assert (found.cause, found.outcome) == ("storage-credentials", Outcome.REMAINS)
    store = report.destinations[0]
    assert (store.answers, store.accepts) == (True, False)
    assert "not-the-one" not in repr(report)


async def test_a_key_that_is_gone(scene: Scene) -> None:
    """A waiting recording that nobody could open is told besides, and delivered all the same."""
    scene.ready()
    with Inventory() as inventory:
        report = await scanned(scene, inventory, keys=HeldKeys({}))
    assert [(one.cause, one.outcome, one.place) for one in report.findings] == [
        ("not-delivered", Outcome.WOULD_REPAIR, "spool"),
        ("key-gone", Outcome.REMAINS, "spool"),
    ]


async def test_a_lost_file_that_arrived_before(scene: Scene) -> None:
    """An item without its file is no loss where store and catalogue have the recording."""
    name = scene.ready()
    media = scene.item(name).media_id
    (scene.spool.folder(name, State.READY) / MEDIA).unlink()
    with Inventory() as inventory:
        assert (await scanned(scene, inventory)).findings[0].outcome is Outcome.REMAINS
    with Inventory() as inventory:
        inventory.add_objects([ObjectRow("/r/x.bin", "x.bin", 1)])
        inventory.add_media([MediaRow(media, "R", "/r/x.bin", 1, "")])
        report = await scanned(scene, inventory)
    assert [(one.cause, one.outcome) for one in report.findings] == [
        ("media-missing", Outcome.REPAIRED)
    ]


async def test_what_a_killed_platform_left_running_is_waited_for(tmp_path: Path) -> None:
    """A spool that is held, while no platform answers, is free as soon as the holder has ended."""
    spool = tmp_path / "spool"
    assert not spool_is_held(spool)
    spool.mkdir()
    descriptor = os.open(spool / "lock", os.O_RDWR | os.O_CREAT)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    assert spool_is_held(spool)
    said = asyncio.Event()
    async with aiohttp.ClientSession() as http:
        asked = asyncio.create_task(platform_runs(site_of(spool), http, lambda _: said.set()))
        async with asyncio.timeout(30):
            await said.wait()
            os.close(descriptor)
            assert not await asked
    assert not spool_is_held(spool)


@pytest.mark.parametrize("folder", ["nothing", "spool"])
def test_looking_makes_no_file(tmp_path: Path, folder: str) -> None:
    """A spool without a lock file is held by nobody, and gets none."""
    (tmp_path / "spool").mkdir()
    assert not spool_is_held(tmp_path / folder)
    assert [path.name for path in tmp_path.rglob("*")] == ["spool"]
