"""What holds for all tests: hypothesis draws the same examples in every run, each logs for itself.

A test that fails now and then says nothing about the change that it failed on. To search further,
with other examples each time: ``RECLAB_EXPLORE=1 make test``.
"""

from __future__ import annotations

import logging
import os
import signal
from collections.abc import Iterator
from typing import Any

import pytest
import structlog
from hypothesis import settings

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # A shell ignores it for what runs in the background; what tests start would inherit that.
    signal.signal(signal.SIGINT, signal.default_int_handler)
settings.register_profile("steady", derandomize=True, database=None)
settings.register_profile("explore", print_blob=True)
settings.load_profile("explore" if os.environ.get("RECLAB_EXPLORE") == "1" else "steady")


@pytest.fixture(autouse=True)
def own_logging(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """What a command that runs in this process does to logging ends with its test."""
    configure, before = structlog.configure, structlog.get_config()
    root, handlers, level = logging.root, logging.root.handlers[:], logging.root.level

    def uncached(**settings: Any) -> None:
        configure(**settings | {"cache_logger_on_first_use": False})

    monkeypatch.setattr(structlog, "configure", uncached)
    yield
    configure(**before)
    structlog.contextvars.clear_contextvars()
    root.handlers[:] = handlers
    root.setLevel(level)
