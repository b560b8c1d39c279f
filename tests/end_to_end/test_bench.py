"""The benchmarks of playback and of posts run, and compare what is equal."""

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
    command = [sys.executable, "-m", "reclab.bench", "--calls", "--play", "3"]
    done = subprocess.run(
        [*command, "--posts", "0", "--syncs", "0", "--json", str(figures)],
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )
    assert done.returncode in (0, 1), done.stderr
    played = json.loads(figures.read_text())["playback"]
    assert played["size"] == 3_000_000
    assert set(played["first_byte"]) == {"0", "50", "99"}
    assert played["ratio"] == pytest.approx(played["openssl"] / played["crypto"])
    assert "levels" not in json.loads(figures.read_text())


@pytest.mark.slow
def test_benchmark_of_posts_runs(tmp_path: Path) -> None:
    """A few posts are answered by both processors, at every number of clients."""
    figures = tmp_path / "figures.json"
    command = [sys.executable, "-m", "reclab.bench", "--calls", "--play", "0", "--posts", "5"]
    command += ["--syncs", "0"]
    done = subprocess.run(
        [*command, "--json", str(figures)], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    told = json.loads(figures.read_text())
    assert [result["clients"] for result in told["posts"]] == [1, 8, 64]
    assert all(result["alone"] > 0 and result["shared"] > 0 for result in told["posts"])
    assert set(told) == {"posts"}


@pytest.mark.slow
def test_benchmark_of_syncs_runs(tmp_path: Path) -> None:
    """Each way of waiting for stable storage has its figures."""
    figures = tmp_path / "figures.json"
    command = [sys.executable, "-m", "reclab.bench", "--calls", "--play", "0", "--posts", "0"]
    subprocess.run(
        [*command, "--syncs", "1", "--json", str(figures)],
        check=True, capture_output=True, timeout=120,
    )  # fmt: skip
    never, one, each = json.loads(figures.read_text())["syncs"]
    assert (never["way"], one["way"], each["way"]) == ("never", "one syncfs", "fdatasync of each")
    assert 0 <= never["wait_ms"] < each["wait_ms"]
