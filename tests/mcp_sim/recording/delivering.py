"""A process that delivers what is ready in a spool, as the platform's does, and then ends."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import aiohttp

from mcp_sim.recording.delivery.backoff import Backoff
from mcp_sim.recording.delivery.delivery import Delivery, DeliveryCredentials
from mcp_sim.recording.keyring import SpoolKeyring
from mcp_sim.recording.spool.item import SpoolItem
from mcp_sim.recording.spool.spool import Spool
from service_shell.log import configure_logging


async def deliver(root: Path, keyring: Path, store_password: str, post_password: str) -> None:
    """Take the spool up as a new process does, and deliver until nothing is due."""

    async def credentials(_item: SpoolItem) -> DeliveryCredentials:
        return DeliveryCredentials(("mcp", store_password), ("mcp", post_password))

    with Spool(root) as spool:
        spool.recover()
        async with aiohttp.ClientSession() as http:
            delivery = Delivery(
                spool,
                http,
                credentials,
                keyring=SpoolKeyring.from_file(keyring),
                backoff=Backoff(first=1000, longest=1000),
            )
            running = asyncio.create_task(delivery.run())
            await delivery.drain(60)
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)


if __name__ == "__main__":
    configure_logging("delivering")
    asyncio.run(deliver(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3], sys.argv[4]))
