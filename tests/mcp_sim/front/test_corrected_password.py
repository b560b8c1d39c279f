"""A password that is corrected in a profile reaches the recordings that wait, without a restart."""

from __future__ import annotations

import asyncio
from pathlib import Path

import aiohttp

from mcp_sim.app import open_delivery
from mcp_sim.config import DeliverySettings
from mcp_sim.profiles import ProfileBook, ProfileEdition
from mcp_sim.recording.keyring import SpoolKeyring
from mcp_sim.recording.spool.spool import Spool, State
from tests.mcp_sim.front.pki import profile, with_options
from tests.mcp_sim.recording.delivery_scene import Scene, right_credentials
from tests.mcp_sim.recording.fake_destinations import (
    ACCOUNT,
    POST_ACCOUNT,
    FakeProcessor,
    FakeStore,
    serving,
)


async def test_a_new_edition_delivers_what_was_refused(tmp_path: Path) -> None:
    """With retries an hour apart, only the edition itself can be what wakes it."""
    keyring, book = SpoolKeyring.generate(), ProfileBook()
    store, processor = FakeStore(), FakeProcessor()

    def publish(version: int, password: str) -> None:
        options = {
            "recordingclient.recdest": f"{store.url}/recordings",
            "recordingclient.callrec_dest": f"{processor.url}/api",
            "recordingclient.httpauthorization": f"{ACCOUNT[0]}:{password}",
            "recordingclient.callrec_authorization": ":".join(POST_ACCOUNT),
        }
        book.update(ProfileEdition(version, [with_options(profile(), options)]))

    settings = DeliverySettings(first_retry=3600, longest_retry=3600, circuit_failures=1)
    with Spool(tmp_path / "spool", wait=0) as spool:
        async with serving(store), serving(processor), aiohttp.ClientSession() as http:
            publish(1, "wrong")
            scene = Scene(spool, keyring, store, processor, right_credentials)
            name = scene.ready()
            delivery = open_delivery(settings, keyring, spool, book, http)
            running = asyncio.create_task(delivery.run())
            assert await delivery.drain(30)
            assert "the sign-in was refused" in scene.progress(name).fault
            assert list(delivery.stats.destinations.values()).count(True) == 1
            publish(2, ACCOUNT[1])
            assert await delivery.drain(30)
            assert spool.state_of(name) is State.DELIVERED
            assert not any(delivery.stats.destinations.values())
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
