"""The lab itself is interrupted, hurried and killed: nothing is left behind, nothing is lost."""

from __future__ import annotations

import json
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.end_to_end.lab_under_test import (
    RECLAB,
    LabUnderTest,
    children_of,
    command_of,
    kill_now,
    lab_up,
    wait_until,
)


def started(*arguments: object) -> subprocess.Popen[bytes]:
    """A `reclab` command in the background."""
    command = [*RECLAB, *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def ended(pids: list[int]) -> bool:
    """Whether none of the lab's processes is left."""
    return not any("--config" in command_of(pid) for pid in pids)


def calls_are_recorded(lab: LabUnderTest, count: int) -> bool:
    """Whether so many calls have sound."""
    status, body = lab.get(f"{lab.lab['control']}/calls", "operator")
    assert status == 200, body
    calls = json.loads(body)["calls"]
    return len(calls) == count and all(leg["packets"] > 100 for c in calls for leg in c["legs"])


@pytest.mark.slow
@pytest.mark.parametrize(("command", "code"), [("up", 0), ("demo", 130)])
def test_interrupted_while_it_starts(command: str, code: int, tmp_path: Path) -> None:
    """Ctrl-C while the services start ends them and the command, which announces nothing."""
    lab = started(command, "--data", tmp_path / "lab", *(["--ephemeral"] * (command == "up")))
    try:
        wait_until(lambda: len(children_of(lab.pid)) >= 4, "four services")
        services = children_of(lab.pid)
        lab.send_signal(signal.SIGINT)
        assert lab.wait(30) == code
    finally:
        lab.kill()
        lab.wait()
    assert not (tmp_path / "lab" / "lab.json").exists()
    wait_until(lambda: ended(services), "the services' end")


@pytest.mark.slow
def test_second_signal_ends_at_once(tmp_path: Path) -> None:
    """The first lets running calls end; the second does not wait for them, and loses none."""
    folder = tmp_path / "lab"
    with lab_up(folder) as lab:
        caller = started("load", "--target", lab.sip, "--calls", 2, "--rate", 10, "--hold", 60)
        try:
            wait_until(lambda: calls_are_recorded(lab, 2), "two calls with sound")
            services = children_of(lab.process.pid)
            lab.process.send_signal(signal.SIGINT)
            wait_until(lambda: not (folder / "lab.json").exists(), "the beginning of the end")
            lab.process.send_signal(signal.SIGINT)
            assert lab.process.wait(5) == 0
        finally:
            caller.kill()
            caller.wait()
        wait_until(lambda: ended(services), "the services' end")
    with lab_up(folder) as again:
        found = again.wait_for_recordings(2)
    assert all(recording["mediaFiles"][0]["lab"]["recovered"] for recording in found)


@pytest.mark.slow
def test_killed_lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """kill -9 of `reclab up`: its services end by themselves; the next one waits for them."""
    folder = tmp_path / "lab"
    monkeypatch.setenv("RECLAB_MCP__LIMITS__GRACE", "4")
    with lab_up(folder) as lab:
        caller = started("load", "--target", lab.sip, "--calls", 2, "--rate", 10, "--hold", 60)
        try:
            wait_until(lambda: calls_are_recorded(lab, 2), "two calls with sound")
            services = children_of(lab.process.pid)
            kill_now([lab.process.pid])
            lab.process.wait()
            (folder / "lab.json").unlink()  # it told where the lab was
            with lab_up(folder) as again:
                assert ended(services)
                assert again.lab == lab.lab, "addresses, accounts and keys are the same"
                again.wait_for_recordings(2)
        finally:
            caller.kill()
            caller.wait()


@pytest.mark.slow
def test_changed_profile_stays(tmp_path: Path) -> None:
    """What an administrator changed in the lab's profile is there after the next start."""
    folder = tmp_path / "lab"
    with lab_up(folder) as lab:
        profile = profile_of(lab)
        parameters = profile["sections"]["gvp.service-parameters"]
        parameters["recordingclient.recdest"] = "fixed,http://127.0.0.1:9/elsewhere"
        profile["sections"]["mine"] = {"note": "kept"}
        url = f"{lab.lab['processor']}/lab/profiles/{profile['dbid']}"
        assert lab.request("PUT", url, "admin", json.dumps(profile).encode())[0] == 200
    with lab_up(folder, "--type", "mp3") as lab:
        parameters["recordingclient.type"] = "fixed,audio/mp3"
        assert profile_of(lab) == profile
    with lab_up(folder) as lab:
        assert profile_of(lab) == profile, "a choice stays until the next one"


def profile_of(lab: LabUnderTest) -> dict[str, Any]:
    """The lab's own profile as the processor has it."""
    status, body = lab.get(f"{lab.lab['processor']}/lab/profiles", "admin")
    assert status == 200
    (profile,) = json.loads(body)["profiles"]
    return dict(profile)
