"""An empty keystore."""

from __future__ import annotations

from pathlib import Path

import pytest

from crypto_server.keystore import Keystore
from tests.crypto_server.keystore.entries import PASSWORD


@pytest.fixture
def keystore(tmp_path: Path) -> Keystore:
    """An empty keystore."""
    return Keystore.open(tmp_path / "keystore", PASSWORD)
