"""The benchmark of playback runs, and compares equal contents."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.peers import peer


@pytest.mark.peer
@pytest.mark.slow
def test_benchmark_of_playback_runs(tmp_path: Path) -> None:
    """A small file is played whole and in parts, and `openssl` decrypts it to the same content.

    How fast is not asked here: a test machine has other things to do.
    """
    peer("openssl")
    figures = tmp_path / "figures.json"
    command = [sys.executable, "-m", "reclab.bench", "--calls", "--play", "3", "--json"]
    done = subprocess.run(
        [*command, str(figures)], capture_output=True, text=True, timeout=180, check=False
    )
    assert done.returncode in (0, 1), done.stderr
    played = json.loads(figures.read_text())["playback"]
    assert played["size"] == 3_000_000
    assert set(played["first_byte"]) == {"0", "50", "99"}
    assert played["ratio"] == pytest.approx(played["openssl"] / played["crypto"])
    assert "levels" not in json.loads(figures.read_text())
