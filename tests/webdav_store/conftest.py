"""Fixtures: one store process per test module, and one to start with other settings."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.webdav_store.store_process import StoreProcess

StartStore = Callable[..., StoreProcess]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StoreProcess]:
    """A running store, shared by a module's tests: each uses names of its own."""
    with StoreProcess(tmp_path_factory.mktemp("store")) as process:
        yield process


@pytest.fixture
def start_store(tmp_path: Path) -> Iterator[StartStore]:
    """Starts stores with other settings; they end with the test."""
    with ExitStack() as running:
        count = 0

        def start(**options: object) -> StoreProcess:
            nonlocal count
            count += 1
            process = StoreProcess(tmp_path / f"store-{count}", **options)  # type: ignore[arg-type]  # passed on as they are
            return running.enter_context(process)

        yield start


def until(condition: Callable[[], bool], what: str) -> None:
    """Wait for `condition`, at most half a minute."""
    deadline = time.monotonic() + 30.0
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.01)
