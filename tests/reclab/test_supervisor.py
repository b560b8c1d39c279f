"""Children of a lab: ended in order or at once, started again when they fall."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path

import pytest

from reclab.supervisor import Child, ChildFailed

_STUBBORN = """
import json, signal, sys
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print(json.dumps({"ready": {}}), flush=True)
sys.stdin.read()
"""
_REFUSING = """
import sys
print("stub: no", file=sys.stderr)
sys.exit(2)
"""


def child(folder: Path, program: str) -> Child:
    """A child that runs `program`."""
    (folder / "stub_service.py").write_text(program)
    return Child(
        "stub",
        "stub_service",
        folder / "stub.toml",
        log=folder / "log" / "stub.log",
        environment={"PYTHONPATH": str(folder)},
    )


async def test_hurried_child_is_killed_at_once(tmp_path: Path) -> None:
    """One that does not care for SIGTERM has its grace, unless the end is hurried."""
    stub = child(tmp_path, _STUBBORN)
    await stub.start()
    hurry = asyncio.Event()
    stopping = asyncio.create_task(stub.stop(3600, hurry))
    await asyncio.sleep(0)
    assert not stopping.done()
    hurry.set()
    await asyncio.wait_for(stopping, 20)
    assert stub.pid is None


async def test_child_that_falls_comes_again(tmp_path: Path) -> None:
    """A killed child is started again under another process id."""
    stub = child(tmp_path, _STUBBORN)
    await stub.start()
    again = asyncio.Event()
    watch = asyncio.create_task(stub.watch(lambda _: again.set()))
    try:
        first = stub.pid
        assert first is not None
        os.kill(first, signal.SIGKILL)
        await asyncio.wait_for(again.wait(), 20)
        assert stub.pid not in (None, first)
    finally:
        watch.cancel()
        await stub.stop(0)


async def test_child_that_refuses_is_quoted(tmp_path: Path) -> None:
    """Exit code 2 before it is ready: its own sentence is the reason."""
    with pytest.raises(ChildFailed, match=r"^stub: no$"):
        await child(tmp_path, _REFUSING).start()
