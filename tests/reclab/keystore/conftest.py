"""What holds for each test of the commands."""

from __future__ import annotations

import pytest


@pytest.fixture(autouse=True)
def _log_as_before(monkeypatch: pytest.MonkeyPatch) -> None:
    """A command configures the log of its process for good, which here is that of all tests."""
    monkeypatch.setattr("reclab.keystore.where.configure_logging", lambda *_given: None)
