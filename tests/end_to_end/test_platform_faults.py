"""The platform broken on purpose, and a real jump of its clock: recordings are what they were."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from tests.end_to_end.lab_under_test import RECLAB, LabUnderTest, lab_up, run, wait_until
from tests.peers import peer

PLAN = """
seed = 4

[[faults]]
on = "mcp"
kind = "slow-disk"
seconds = 0.05
probability = 0.1

[[faults]]
on = "mcp"
kind = "disk-full"
probability = 0.2
skip = 40  # the first writes begin journals: a call that has none is refused
times = 30

[[faults]]
on = "mcp"
kind = "render-crash"
times = 1

[[faults]]
on = "mcp"
kind = "clock-jump"
begin = 6.0
seconds_ahead = 3600
"""


def figure(lab: LabUnderTest, name: str) -> float:
    """One figure of the platform's metrics."""
    _, body = lab.get(f"{lab.lab['control']}/metrics", None)
    lines = body.decode().splitlines()
    return next(float(line.split()[-1]) for line in lines if line.startswith(f"{name} "))


def verified(lab: LabUnderTest, report: Path) -> None:
    """Every call of the report is stored, whole, and says of its times what is true."""
    done = lab.reclab("verify", "--report", report, "--wait", "60", "--json")
    assert done.returncode == 0, done.stdout
    assert all(not one["problems"] for one in json.loads(done.stdout))


@pytest.mark.slow
def test_a_platform_that_breaks_itself_loses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A slow disk, one without room now and then, a render crash, a clock that jumps: all whole."""
    plan, report = tmp_path / "plan.toml", tmp_path / "calls.json"
    plan.write_text(PLAN)
    monkeypatch.setenv("RECLAB_MCP__FAULTS__ENABLED", "true")
    monkeypatch.setenv("RECLAB_MCP__FAULTS__FILE", str(plan))
    with lab_up(tmp_path / "lab") as lab:
        done = lab.reclab_load(
            "--calls", "3", "--rate", "10", "--hold", "8", "--report", str(report)
        )
        assert done.returncode == 0, done.stdout + done.stderr
        verified(lab, report)
        assert figure(lab, "reclab_mcp_render_crashes_total") == 1
        assert figure(lab, "reclab_mcp_capture_journal_errors_total") > 0


@pytest.mark.peer
@pytest.mark.slow
def test_a_clock_that_jumps_in_mid_call_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A day ahead and a day back while calls run: lengths are measured, names are not shared."""
    shift, report = tmp_path / "shift", tmp_path / "calls.json"
    shift.write_text("+0d\n")
    library = run(peer("faketime"), "-m", "-f", "+0d", "printenv", "LD_PRELOAD").decode().strip()
    with monkeypatch.context() as environment:
        environment.setenv("LD_PRELOAD", library)
        environment.setenv("FAKETIME_TIMESTAMP_FILE", str(shift))
        environment.setenv("FAKETIME_NO_CACHE", "1")
        environment.setenv("FAKETIME_DONT_FAKE_MONOTONIC", "1")
        with lab_up(tmp_path / "lab") as lab:
            environment.undo()  # the caller has the real time
            command = [*RECLAB, "load", "--target", lab.sip, "--report", str(report)]
            calls = subprocess.Popen(
                [*command, "--calls", "3", "--rate", "10", "--hold", "6"],
                stdout=subprocess.DEVNULL,
            )
            packets = "reclab_mcp_capture_packets_total"
            wait_until(lambda: figure(lab, packets) > 300, "a second of sound")
            shift.write_text("+1d\n")
            wait_until(lambda: figure(lab, packets) > 600, "a further second")
            shift.write_text("-1d\n")
            assert calls.wait(timeout=60) == 0
            lab.wait_for_recordings(3)
            verified(lab, report)
            media = [one["mediaFiles"][0] for one in lab.recordings()]
            assert len({one["mediaId"] for one in media}) == 3
            assert all(5_900 < int(one["duration"]) < 8_000 for one in media)
