"""The newcomer's two commands, with a stand-in for what they would install."""

from __future__ import annotations

import os
import pty
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent


@pytest.fixture
def make_demo(tmp_path: Path) -> list[str]:
    """``make demo`` in which `reclab` only says its arguments."""
    make = shutil.which("make")
    if make is None:
        pytest.skip("make is not installed")
    stand_in = tmp_path / "reclab"
    stand_in.write_text('#!/bin/sh\necho "reclab was asked: $*."\n')
    stand_in.chmod(0o755)
    stamp = tmp_path / "stamp"
    stamp.touch()
    return [make, "-C", str(ROOT), f"BIN={tmp_path}", f"STAMP={stamp}", "-o", str(stamp), "demo"]


def test_demo_in_a_script_ends(make_demo: list[str]) -> None:
    """Where standard output is no terminal, nobody could press Ctrl-C: the demo ends by itself."""
    said = subprocess.run(make_demo, check=True, capture_output=True, text=True).stdout
    assert "reclab was asked: demo --calls 8 --seconds 6 --exit." in said


def test_demo_at_a_terminal_stays(make_demo: list[str]) -> None:
    """At a terminal it stays up, so that the page can be looked at."""
    ours, its = pty.openpty()
    try:
        subprocess.run(make_demo, check=True, stdout=its, stderr=its)
        said = os.read(ours, 65536).decode()
    finally:
        os.close(its)
        os.close(ours)
    assert "reclab was asked: demo --calls 8 --seconds 6." in said
