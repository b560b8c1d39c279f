"""The front door of a real lab: peers that vanish, one source's share, few descriptors, a disk
that may only be read.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.end_to_end.lab_under_test import (
    RECLAB,
    LabUnderTest,
    children_of,
    kill_now,
    lab_up,
    wait_until,
)
from tests.end_to_end.phone import Phone, sdp
from tests.small_disk import small_disk


def figure(lab: LabUnderTest, name: str) -> float:
    """One figure of the platform's metrics."""
    _, body = lab.get(f"{lab.lab['control']}/metrics", None)
    return next(
        float(line.split()[-1])
        for line in body.decode().splitlines()
        if line.startswith(f"{name} ")
    )


REFUSING = "reclab_mcp_limit_refusing"


@pytest.mark.slow
def test_peers_that_vanish_and_one_sources_share(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed callers' recordings are completed and delivered, marked why they ended; who calls
    too much is refused, and others are not.
    """
    monkeypatch.setenv("RECLAB_MCP__LIMITS__RTP_TIMEOUT", "3")
    monkeypatch.setenv("RECLAB_MCP__LIMITS__SOURCE_CALLS", "2")
    with lab_up(tmp_path / "lab") as lab:
        command = [*RECLAB, "load", "--target", lab.sip, "--calls", "2", "--hold", "60"]
        load = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_until(lambda: figure(lab, "reclab_mcp_capture_packets_total") > 400, "sound")
        status, answer = Phone(lab.sip).refused(sdp("1"))
        assert status == 486
        assert "\r\nRetry-After: 5\r\n" in answer
        assert 'text="127.0.0.1 has 2 calls, the most that it may have"' in answer
        other = Phone(lab.sip, source="127.0.0.2")
        assert other.invite(sdp("1"))[0] == 200

        kill_now([*children_of(load.pid), load.pid])
        load.wait()
        assert 'Reason: SIP;cause=408;text="no packet arrived for 3 s"' in other.hung_up()
        found = lab.wait_for_recordings(3)
        [media] = zip(*(one["mediaFiles"] for one in found), strict=True)
        assert {one["lab"]["ended"] for one in media} == {"no packet arrived for 3 s"}
        assert not any(one["lab"]["recovered"] for one in media)
        assert sorted(sum(leg["packets"] for leg in one["lab"]["legs"]) > 50 for one in media) == [
            False, True, True
        ]  # fmt: skip
        assert figure(lab, 'reclab_mcp_calls_lapsed_total{cause="no-media"}') == 3
        assert figure(lab, "reclab_mcp_sip_dialogs") == 0
        again = Phone(lab.sip)
        assert again.invite(sdp("1"))[0] == 200
        assert again.bye() == 200


@contextmanager
def read_only(lab: LabUnderTest, folder: Path) -> Iterator[None]:
    """Have the lab see `folder` as read-only; files that are open already stay writable."""
    enter = [
        shutil.which("nsenter") or pytest.skip("nsenter is not installed"),
        *("--target", str(lab.process.pid), "--user", "--mount", "--preserve-credentials"),
    ]
    subprocess.run([*enter, "mount", "--bind", str(folder), str(folder)], check=True)
    try:
        subprocess.run([*enter, "mount", "-o", "remount,bind,ro", str(folder)], check=True)
        yield
    finally:
        subprocess.run([*enter, "umount", "--lazy", str(folder)], check=True)


@pytest.mark.slow
def test_few_descriptors_and_a_disk_to_be_read_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """More calls than descriptors: 503 for those that do not fit. Then the spool may only be read:
    new calls are refused with the reason, and those that run end whole when it is writable again.
    """
    spool, report = tmp_path / "spool", tmp_path / "calls.json"
    monkeypatch.setenv("RECLAB_MCP__SPOOL__FOLDER", str(spool))
    monkeypatch.setenv("RECLAB_MCP__LIMITS__CALLS", "1000")
    monkeypatch.setenv("RECLAB_MCP__LIMITS__OPEN_FILES", "0.4")
    few = ["sh", "-c", 'ulimit -n 160 && exec "$@"', "sh"]
    with lab_up(tmp_path / "lab", wrapper=[*small_disk(spool, 256 * 1024**2), *few]) as lab:
        command = [*RECLAB, "load", "--target", lab.sip, "--report", str(report)]
        calls = subprocess.Popen(
            [*command, "--calls", "40", "--rate", "20", "--hold", "6"], stdout=subprocess.DEVNULL
        )
        refusing = f'{REFUSING}{{limit="open-files"}}'
        wait_until(lambda: figure(lab, refusing) == 1, "a shortage of descriptors")
        with read_only(lab, spool):
            reason = f"the spool {spool} is on a read-only file system"
            assert lab.get(f"{lab.lab['control']}/readyz", None) == (503, f"{reason}\n".encode())
            status, answer = Phone(lab.sip).refused(sdp("1"))
            assert (status, f'text="{reason}"' in answer) == (503, True)
            assert "\r\nRetry-After: 5\r\n" in answer
            assert calls.wait(timeout=60) == 1
            wait_until(lambda: figure(lab, "reclab_mcp_calls") == 0, "the calls' end")
            assert lab.recordings() == []
        placed = json.loads(report.read_text())["calls"]
        taken = [call for call in placed if call["result"] == "completed"]
        assert 0 < len(taken) < 40
        assert {call["status"] for call in placed if call not in taken} == {503}
        lab.wait_for_recordings(len(taken))
        verified = lab.reclab("verify", "--report", report, "--json")
        assert verified.returncode == 0, verified.stdout
        found = json.loads(verified.stdout)
        assert [one["problems"] for one in found] == [[]] * len(taken)
        assert figure(lab, "reclab_mcp_capture_deaths_total") == 0
