"""A program that lives by `run_service`, for the tests of that; what it does is its argument."""

from __future__ import annotations

import asyncio
import resource
import sys

from service_shell.lifetime import Lifetime, run_service
from service_shell.log import configure_logging
from service_shell.settings import SettingsError


async def wait(lifetime: Lifetime) -> None:
    """Say that it is ready, and wait for the end."""
    core = resource.getrlimit(resource.RLIMIT_CORE)
    lifetime.ready(door="http://127.0.0.1:1", core=str(core))
    await lifetime.stopping.wait()
    sys.stderr.write("ended in order\n")


async def refuse(_lifetime: Lifetime) -> None:
    """Find a setting that cannot be used."""
    raise SettingsError("`listen` is taken")


async def refuse_in_groups(_lifetime: Lifetime) -> None:
    """Find it within nested task groups, as the platform does."""

    async def forever() -> None:
        await asyncio.Event().wait()

    async with asyncio.TaskGroup() as outer:
        outer.create_task(forever())
        async with asyncio.TaskGroup() as inner:
            inner.create_task(forever())
            raise SettingsError("`capture.ports` is no range")


async def fail(_lifetime: Lifetime) -> None:
    """End by a fault of the program beside a setting."""

    async def fault() -> None:
        raise ValueError("a fault")

    async with asyncio.TaskGroup() as group:
        group.create_task(fault())
        await asyncio.sleep(0)
        raise SettingsError("`listen` is taken")


async def end(_lifetime: Lifetime) -> None:
    """End by itself."""


if __name__ == "__main__":
    configure_logging("living")
    works = {work.__name__: work for work in (wait, refuse, refuse_in_groups, fail, end)}
    sys.exit(run_service("living", works[sys.argv[1]]))
