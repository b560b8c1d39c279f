"""kill -9 of the recorder in the middle of a call: nothing but the last second may be missing."""

from __future__ import annotations

import json
import subprocess
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.end_to_end.lab_under_test import (
    RECLAB,
    LabUnderTest,
    children_of,
    command_of,
    kill_now,
    samples,
    wait_until,
)

MOST_MISSING_SECONDS = 1.0


def running_calls(lab: LabUnderTest) -> list[dict[str, Any]]:
    status, body = lab.get(f"{lab.lab['control']}/calls", "operator")
    assert status == 200, body
    calls: list[dict[str, Any]] = json.loads(body)["calls"]
    return calls


def packets_of_first_call(lab: LabUnderTest) -> int:
    return min((leg["packets"] for call in running_calls(lab) for leg in call["legs"]), default=0)


@pytest.mark.slow
def test_recorder_killed_in_a_call(lab: LabUnderTest, tmp_path: Path) -> None:
    """All of the recorder's processes are killed; one recording remains, up to a second before."""
    command = [
        *RECLAB, "load", "--target", lab.sip, "--calls", "1", "--rate", "1", "--hold", "60",
        "--signalling", "siprec", "--codec", "pcma", "--report", str(tmp_path / "load.json"),
    ]  # fmt: skip
    caller = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_until(lambda: packets_of_first_call(lab) > 150, "three seconds of audio")
        recorder = [p for p in children_of(lab.process.pid) if "mcp_sim" in command_of(p)]
        assert len(recorder) >= 3, "the platform, a capture process and a render worker"
        killed_at = time.time()
        kill_now(recorder)
        [recording] = lab.wait_for_recordings(1)
    finally:
        caller.kill()
        caller.wait()
    [media] = recording["mediaFiles"]
    assert media["lab"]["recovered"]
    sound = samples(lab.opened(media, tmp_path))
    began = datetime.strptime(media["startTime"], "%Y-%m-%dT%H:%M:%S.%f%z").astimezone(UTC)
    for channel in sound:
        heard_until = began.timestamp() + float(np.flatnonzero(channel)[-1]) / 8000
        assert killed_at - heard_until < MOST_MISSING_SECONDS
    assert len(lab.recordings()) == 1
