"""A running administration in front of a fake processor."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.crypto_server.administration import fake_catalogue
from tests.crypto_server.administration.desk import Desk, running_desk
from tests.crypto_server.administration.fake_catalogue import FakeCatalogue


@pytest.fixture
async def catalogue() -> AsyncIterator[FakeCatalogue]:
    """A fake processor that is running."""
    async with fake_catalogue.running(FakeCatalogue()) as catalogue:
        yield catalogue


@pytest.fixture
async def desk(tmp_path: Path, catalogue: FakeCatalogue) -> AsyncIterator[Desk]:
    """An administration with a CA file, on the first of March 2026."""
    async with running_desk(tmp_path, catalogue) as desk:
        yield desk
