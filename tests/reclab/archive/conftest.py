"""The lab that archives are made of."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.reclab.archive.archive_lab import ArchiveLab, archive_lab


@pytest.fixture
async def lab(tmp_path: Path) -> AsyncIterator[ArchiveLab]:
    """A processor without recordings, and its store."""
    async with archive_lab(tmp_path) as opened:
        yield opened
