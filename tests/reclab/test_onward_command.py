"""``reclab onward`` beside a processor that delivers onward."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

from typer.testing import CliRunner, Result

from reclab.commands import app
from reclab.lab import Lab, User, write_lab
from recording_processor.settings import ProcessorSettings
from tests.recording_processor.conftest import (
    ClientOf,
    catalogue,
    client_of,
    feed,
    settings,
)
from tests.recording_processor.irws import open_irws, status
from tests.recording_processor.onward_room import onward_room
from tests.recording_processor.samples import CCID, DOMAIN

__all__ = ["catalogue", "client_of", "feed", "settings"]


async def run(*arguments: str | Path) -> Result:
    """Run the command in a thread, as the processor goes on in this one."""
    given = ["onward", *map(str, arguments)]
    return await asyncio.to_thread(CliRunner().invoke, app, given)


def lab_file(folder: Path, processor: str) -> Path:
    """Describe a lab whose processor is there."""
    folder.mkdir()
    admin = User("admin", "admin-secret")
    write_lab(
        folder,
        Lab(
            sip="",
            control="",
            store="",
            processor=processor,
            crypto="",
            users={"admin": admin},
            ca_file="",
            keys={},
            domain=DOMAIN,
            ccid=CCID,
            profile_dbid=1,
        ),
    )
    return folder


async def test_what_failed_is_shown_and_replayed(
    tmp_path: Path, client_of: ClientOf, settings: ProcessorSettings
) -> None:
    """Exit code 1 while something lies there, 0 when a replay has sent it; JSON for programs."""
    async with open_irws() as irws, onward_room(tmp_path, irws.url) as room:
        irws.always = status(422)
        await room.file("CALL1")
        await room.until(failed=1)
        async with client_of(settings, onward=room.onward) as client:
            data = lab_file(tmp_path / "lab", str(client.make_url("")).rstrip("/"))
            shown = await run("--data", data)
            assert shown.exit_code == 1, shown.output
            assert "CALL1_" in shown.stdout
            assert "0 wait to go onward, 1 failed." in shown.stderr
            refused = await run("--data", data, "--replay")
            assert refused.exit_code == 1
            assert "Last: the web services answered 422: told 422." in refused.stderr
            irws.always = None
            said = (await run("--data", data, "--replay", "--json")).stdout
            # Before it stands what the processor of this process logged.
            told = json.loads(said[said.index("{") :])
            assert told == {"waiting": 0, "failed": 0, "files": [], "fault": None, "replayed": 1}
            assert (await run("--data", data)).exit_code == 0


async def test_where_nothing_goes_onward(
    tmp_path: Path, client_of: ClientOf, settings: ProcessorSettings
) -> None:
    """It is said which setting is missing, with exit code 1."""
    async with client_of(settings) as client:
        data = lab_file(tmp_path / "lab", str(client.make_url("")).rstrip("/"))
        result = await run("--data", data)
        assert result.exit_code == 1
        assert "nothing goes onward here: `onward.url` is not set" in result.stderr
