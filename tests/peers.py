"""Real programs that tests use as peers: found on PATH, required where CI says so."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest


def peer(program: str) -> Path:
    """Return the path of `program`; skip the test with a reason where it is missing.

    With ``RECLAB_REQUIRE_PEERS=1`` (CI) a missing peer fails the test instead.
    """
    found = shutil.which(program)
    if found is not None:
        return Path(found)
    reason = f"{program} is not installed"
    if os.environ.get("RECLAB_REQUIRE_PEERS") == "1":
        pytest.fail(f"{reason}, and this run requires every peer")
    pytest.skip(reason)
