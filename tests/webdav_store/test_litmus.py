"""litmus, the WebDAV server test suite of the neon project, against the store."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from tests.peers import peer
from tests.webdav_store.store_process import PASSWORD, StoreProcess

SUITES = {"basic": 16, "copymove": 13, "props": 30, "locks": 41, "http": 4}
_SUMMARY = re.compile(r"summary for `(\w+)': of (\d+) tests run: (\d+) passed, (\d+) failed")


@pytest.mark.peer
def test_litmus_runs_and_passes_all_of_its_tests(store: StoreProcess, tmp_path: Path) -> None:
    """104 run, 104 passed, none skipped and none with a warning."""
    url = f"http://127.0.0.1:{store.port}/recordings/"
    command = [str(peer("litmus")), "-k", url, "mcp", PASSWORD]
    done = subprocess.run(
        command, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False
    )
    summary = {suite: tuple(map(int, rest)) for suite, *rest in _SUMMARY.findall(done.stdout)}
    assert summary == {suite: (count, count, 0) for suite, count in SUITES.items()}, done.stdout
    assert sum(SUITES.values()) == 104
    assert "WARNING" not in done.stdout
    assert "SKIPPED" not in done.stdout
    assert done.returncode == 0
