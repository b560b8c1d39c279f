"""The processor as a program, killed between a post and its way onward."""

from __future__ import annotations

import asyncio
from pathlib import Path

import aiohttp

from tests.recording_processor.asking import POST
from tests.recording_processor.conftest import sign_in
from tests.recording_processor.irws import PASSWORD, USER, Irws, close_early, hang, open_irws
from tests.recording_processor.samples import media_file, post
from tests.recording_processor.test_program import configure, running


def configure_onward(folder: Path, url: str) -> Path:
    """Write a settings file of a processor that delivers to `url`."""
    password = folder / "irws.password"
    password.write_text(PASSWORD)
    more = (
        f'onward.url = "{url}"\nonward.user = "{USER}"\nonward.password_file = "{password}"\n'
        "onward.timeout = 600\nonward.csrf = true\n"
        "onward.first_retry = 0.01\nonward.longest_retry = 0.1\n"
    )
    return configure(folder, more=more)


async def send(session: aiohttp.ClientSession, recording_id: str) -> bool:
    """Post a recording; return whether it was answered with 200."""
    body = post(media_file(recording_id))
    try:
        async with session.post(POST, data=body, headers=sign_in("mcp")) as answer:
            return answer.status == 200
    except aiohttp.ClientError:
        return False


async def until_taken(irws: Irws, wanted: set[str]) -> None:
    """Wait until the web services have all of them."""
    async with asyncio.timeout(60):
        while not wanted <= {name for name, _ in irws.taken_ids()}:
            await asyncio.sleep(0.01)


async def test_kill_9_between_post_and_delivery(tmp_path: Path) -> None:
    """Answered, then killed while the web services hang or break off: after a restart all go."""
    over = asyncio.Event()
    async with open_irws() as irws:
        irws.csrf = True
        config = configure_onward(tmp_path, irws.url)
        answered: set[str] = set()
        for round_number, failure in enumerate((hang(over), close_early(b"{"))):
            irws.always = failure
            irws.tried.clear()
            async with running(config) as (process, session):
                names = [f"R{round_number}-{number}" for number in range(8)]
                found = await asyncio.gather(*(send(session, name) for name in names))
                assert all(found)
                answered |= set(names)
                async with asyncio.timeout(30):
                    await irws.tried.wait()
                process.kill()
        over.set()
        irws.always = None
        async with running(config) as (_, session):
            assert await send(session, "LAST")
            await until_taken(irws, answered | {"LAST"})
        # Each is the whole recording, whatever was tried before.
        for body in irws.taken:
            assert [media["parameters"]["id"] for media in body["mediaFiles"]] == [body["id"]]


async def test_the_end_of_the_program_is_soon(tmp_path: Path) -> None:
    """SIGTERM does not wait for web services that hang; what waits goes after the next start."""
    over = asyncio.Event()
    async with open_irws() as irws:
        irws.always = hang(over)
        config = configure_onward(tmp_path, irws.url)
        async with running(config) as (process, session):
            assert await send(session, "CALL1")
            async with asyncio.timeout(30):
                await irws.tried.wait()
            process.terminate()
            async with asyncio.timeout(60):
                assert await process.wait() == 0
            assert process.stderr is not None
            log = (await process.stderr.read()).decode()
        assert PASSWORD not in log
        assert "Traceback" not in log
        over.set()
        irws.always = None
        async with running(config):
            await until_taken(irws, {"CALL1"})
