"""A running re-wrap."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.crypto_server.rewrap.bench import Bench, running_bench


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    """A re-wrap in front of a catalogue that knows no recordings yet."""
    async with running_bench(tmp_path) as bench:
        yield bench
