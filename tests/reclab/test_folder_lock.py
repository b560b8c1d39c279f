"""A lab's folder has one owner, and stays held as long as one of its services lives."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import pytest

from reclab.folder_lock import lab_lock, services_lock
from service_shell.settings import SettingsError

_WAITS_FOR_ITS_INPUT = "import sys; sys.stdin.read()"


def test_one_lab_at_a_time(tmp_path: Path) -> None:
    """A second lab in the folder is refused by a sentence; after the first it may come."""
    with (
        lab_lock(tmp_path),
        pytest.raises(SettingsError, match="another lab is up in"),
        lab_lock(tmp_path),
    ):
        pass
    with lab_lock(tmp_path):
        pass


async def test_waits_for_the_services_of_a_killed_lab(tmp_path: Path) -> None:
    """While a service that inherited the lock lives, the next lab waits, and says why."""
    said: list[str] = []
    async with services_lock(tmp_path, lambda _: None) as descriptor:
        service = await asyncio.create_subprocess_exec(
            sys.executable,
            "-c",
            _WAITS_FOR_ITS_INPUT,
            stdin=asyncio.subprocess.PIPE,
            pass_fds=(descriptor,),
        )

    async def next_lab() -> int | None:
        async with services_lock(tmp_path, said.append):
            return service.returncode

    waiting = asyncio.create_task(next_lab())
    async with asyncio.timeout(20):
        while not said:
            await asyncio.sleep(0.01)
        assert not waiting.done()
        assert service.stdin is not None
        service.stdin.close()
        await service.wait()
        assert await waiting == 0
    assert said == ["Waiting for the services of a lab that was killed in this folder …"]


def test_unwritable_folder(tmp_path: Path) -> None:
    """A folder in which no lock can be made is one sentence."""
    (tmp_path / "lock").mkdir()
    with (
        pytest.raises(SettingsError, match="/lock cannot be written: is a directory"),
        lab_lock(tmp_path),
    ):
        pass
