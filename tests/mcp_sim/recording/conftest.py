"""A spool and a keyring of one test, and destinations to deliver to."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from mcp_sim.recording.keyring import SpoolKeyring
from mcp_sim.recording.spool.spool import Spool

from .delivery_scene import Scene, right_credentials
from .fake_destinations import FakeProcessor, FakeStore, serving


@pytest.fixture
def keyring() -> SpoolKeyring:
    """Return a new keyring."""
    return SpoolKeyring.generate()


@pytest.fixture
def spool(tmp_path: Path) -> Iterator[Spool]:
    """Give an empty spool, locked."""
    with Spool(tmp_path / "spool", wait=0) as opened:
        yield opened


@pytest.fixture
async def scene(spool: Spool, keyring: SpoolKeyring) -> AsyncIterator[Scene]:
    """Give a scene whose store and processor are up."""
    store, processor = FakeStore(), FakeProcessor()
    async with serving(store), serving(processor):
        yield Scene(spool, keyring, store, processor, right_credentials)
