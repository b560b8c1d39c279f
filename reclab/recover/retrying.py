"""Letting waiting recordings be delivered: by the platform that runs, else by this process.

A running platform holds the spool and is asked by its control API. A stopped one's spool is taken
under its lock, and what lies there is rendered and delivered by the platform's own code. Both ways
each step is a rename or a whole file: whoever is interrupted leaves everything for the next run.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Collection, Sequence

import aiohttp
import msgspec

from mcp_sim.app import open_delivery
from mcp_sim.pipeline import Pipeline
from mcp_sim.profiles import ProfileBook
from mcp_sim.recording.keyring import SpoolKeyring
from mcp_sim.recording.render.pool import RenderPool
from mcp_sim.recording.spool.folders import SpoolFolders, State
from mcp_sim.recording.spool.item import read_progress
from mcp_sim.recording.spool.spool import Spool, SpoolError
from mcp_sim.redelivery import Redelivery, RetryAnswer
from reclab.lab_client import LabError
from reclab.recover.site import Site
from service_shell.accounts import basic_header
from service_shell.log import LogSettings

_TOGETHER = 400
_LOOK_EVERY = 0.1
_PATIENCE = aiohttp.ClientTimeout(total=None, connect=10, sock_read=300)
_QUIET = LogSettings(level="error")

Say = Callable[[str], None]


async def retry_by_platform(
    site: Site, http: aiohttp.ClientSession, names: Sequence[str]
) -> RetryAnswer:
    """Ask the running platform to retry these items. Raises `LabError`."""
    whole = RetryAnswer()
    for at in range(0, len(names), _TOGETHER):
        whole = merge_answers(whole, await _ask(site, http, names[at : at + _TOGETHER]))
    return whole


def merge_answers(one: RetryAnswer, other: RetryAnswer) -> RetryAnswer:
    """Return what two retries did."""
    return RetryAnswer(
        retried=one.retried + other.retried,
        returned=one.returned + other.returned,
        rendering=one.rendering + other.rendering,
        left=one.left + other.left,
        addresses=one.addresses + other.addresses,
    )


async def wait_for_items(
    site: Site, tries: dict[str, int], *, seconds: float, say: Say = lambda _: None
) -> None:
    """Wait until each item was tried once more than `tries` tells, or is through."""
    folders = SpoolFolders(site.spool)
    waiting, end = dict(tries), time.monotonic() + seconds
    while waiting and time.monotonic() < end:
        done = await asyncio.to_thread(_through, folders, waiting)
        for name in done:
            del waiting[name]
        say(f"Waiting for {len(waiting)} recordings to be delivered …")
        if waiting:
            await asyncio.sleep(_LOOK_EVERY)


async def retry_alone(
    site: Site,
    http: aiohttp.ClientSession,
    book: ProfileBook,
    keyring: SpoolKeyring,
    *,
    names: Collection[str],
    seconds: float,
) -> RetryAnswer:
    """Render and deliver what lies in the spool of a stopped platform, within `seconds`.

    Raises `LabError` where somebody else took the spool.
    """
    try:
        spool = await asyncio.to_thread(Spool, site.spool, wait=0.0)
    except SpoolError as error:
        raise LabError(str(error)) from None
    with spool:
        workers = min(2, site.settings.spool.render_workers)
        delivery = open_delivery(site.settings.delivery, keyring, spool, book, http)
        async with RenderPool(spool, keyring, workers=workers, log_settings=_QUIET) as renders:
            pipeline = Pipeline(spool, renders, delivery)
            async with pipeline.running():
                answer = await Redelivery(spool, pipeline, book).retry(names)
                await pipeline.drain(seconds)
                return answer


async def _ask(site: Site, http: aiohttp.ClientSession, names: Sequence[str]) -> RetryAnswer:
    operator = site.lab.users["operator"]
    url = f"{site.lab.control}/deliveries/retry"
    headers = {
        "Authorization": basic_header(operator.name, operator.password),
        "Content-Type": "application/json",
    }
    body = msgspec.json.encode({"items": list(names)})
    try:
        async with http.post(url, data=body, headers=headers, timeout=_PATIENCE) as answer:
            if answer.status != 200:
                raise LabError(f"the platform answered {answer.status} to POST {url}")
            return msgspec.json.decode(await answer.read(), type=RetryAnswer)
    except aiohttp.ClientConnectorError:
        raise LabError(
            f"a platform holds the spool, and its control API at {url} does not answer"
        ) from None
    except (aiohttp.ClientError, TimeoutError, msgspec.MsgspecError) as error:
        raise LabError(f"the platform could not be asked at {url}: {error}") from None


def _through(folders: SpoolFolders, tries: dict[str, int]) -> list[str]:
    return [name for name, before in tries.items() if _is_through(folders, name, before)]


def _is_through(folders: SpoolFolders, name: str, before: int) -> bool:
    state = folders.state_of(name)
    if state is not State.READY:
        return state is not State.RENDERING
    progress = read_progress(folders.folder(name, State.READY))
    return progress.tries > before
