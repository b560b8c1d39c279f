"""`reclab demo`: what it shows is true, and the line that it prints works when it is pasted."""

from __future__ import annotations

import signal
import subprocess
from pathlib import Path

import pytest

from tests.end_to_end.lab_under_test import RECLAB, LabUnderTest, run, samples
from tests.peers import peer


@pytest.mark.slow
def test_demo_ends_with_every_call_verified(tmp_path: Path) -> None:
    """With --exit the demo ends by itself, with exit code 0, and says that all are verified."""
    command = [*RECLAB, "demo", "--calls", "3", "--seconds", "2", "--exit", "--data", tmp_path]
    shown = run(*command).decode()
    assert "3 of 3 calls went well; 3 of 3 recordings are verified." in shown
    assert shown.count("verified: yes") == 3
    assert shown.count("recipient  rcs_Environment:1:C=US,") == 6


@pytest.mark.peer
@pytest.mark.slow
def test_printed_line_works(tmp_path: Path) -> None:
    """The `curl` and `openssl` line opens a recording in the folder where it is pasted."""
    peer("curl")
    peer("openssl")
    command = [*RECLAB, "demo", "--calls", "1", "--seconds", "2", "--data", str(tmp_path / "lab")]
    demo = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert demo.stdout is not None
        lines: list[str] = []
        for line in demo.stdout:
            lines.append(line)
            if "The lab stays up" in line:
                break
        [pasted] = [line.strip() for line in lines if line.strip().startswith("curl ")]
        lab = LabUnderTest(tmp_path / "lab", demo)  # type: ignore[arg-type]
        subprocess.run(pasted, shell=True, check=True, cwd=tmp_path, timeout=30)
        assert samples((tmp_path / "recording.wav").read_bytes()).any(axis=1).all()
        password = lab.lab["users"]["operator"]["password"]
        assert not any(password in line for line in lines)
    finally:
        demo.send_signal(signal.SIGINT)
        demo.communicate(timeout=60)
    assert demo.returncode == 0
