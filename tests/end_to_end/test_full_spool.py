"""The spool's disk fills up: new calls are refused, running ones kept, and it heals by itself."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from tests.end_to_end.lab_under_test import RECLAB, LabUnderTest, lab_up, wait_until
from tests.small_disk import small_disk

SIZE, RESERVED = 64 * 1024**2, 16 * 1024**2


def figure(lab: LabUnderTest, name: str) -> float:
    """One figure of the platform's metrics."""
    _, body = lab.get(f"{lab.lab['control']}/metrics", None)
    return next(
        float(line.split()[-1])
        for line in body.decode().splitlines()
        if line.startswith(f"{name} ")
    )


def fill(file: Path, *, leave: int, lab: LabUnderTest) -> None:
    """Take all of the disk but `leave` bytes."""
    with file.open("ab", buffering=0) as ballast:
        while (free := int(figure(lab, "reclab_mcp_spool_free_bytes"))) > leave:
            try:
                ballast.write(bytes(min(free - leave, 1 << 20)))
            except OSError:
                return


@pytest.mark.slow
def test_spool_of_64_mb_fills_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Short of room: 503 with the reason. Full in mid-call: nothing is lost. Freed: calls go on."""
    spool = tmp_path / "spool"
    monkeypatch.setenv("RECLAB_MCP__SPOOL__FOLDER", str(spool))
    monkeypatch.setenv("RECLAB_MCP__LIMITS__RESERVED_BYTES", str(RESERVED))
    report = tmp_path / "calls.json"
    with lab_up(tmp_path / "lab", wrapper=small_disk(spool, SIZE)) as lab:
        ballast = Path(f"/proc/{lab.process.pid}/root{spool}") / "ballast"
        command = [*RECLAB, "load", "--target", lab.sip, "--report", str(report)]
        calls = subprocess.Popen(
            [*command, "--calls", "3", "--rate", "10", "--hold", "8"], stdout=subprocess.DEVNULL
        )
        wait_until(lambda: figure(lab, "reclab_mcp_capture_packets_total") > 300, "sound")

        fill(ballast, leave=RESERVED - 4096, lab=lab)
        refused = lab.reclab_load("--calls", "1")
        assert refused.returncode == 1
        assert "503" in refused.stdout
        assert "MiB free, less than the 16.0 MiB that are kept for calls that run" in refused.stdout

        fill(ballast, leave=0, lab=lab)
        errors = "reclab_mcp_capture_journal_errors_total"
        wait_until(lambda: figure(lab, errors) > 0, "a journal without room")
        ballast.unlink()
        assert calls.wait(timeout=60) == 0
        assert len(lab.wait_for_recordings(3)) == 3
        verified = lab.reclab("verify", "--report", report, "--json")
        assert verified.returncode == 0, verified.stdout
        assert all(not one["problems"] for one in json.loads(verified.stdout))
        assert lab.reclab_load("--calls", "1", "--hold", "1").returncode == 0
