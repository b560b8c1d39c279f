"""One recorder and one caller for the tests of a module: each makes calls of its own."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from .callers import Caller, calling
from .recorder import Recorder, running_recorder


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def recorder(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Recorder]:
    """A running recorder."""
    async with running_recorder(tmp_path_factory.mktemp("recorder")) as running:
        yield running


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def caller(recorder: Recorder) -> AsyncIterator[Caller]:
    """Who calls it."""
    async with calling(recorder.address) as far_end:
        yield far_end
