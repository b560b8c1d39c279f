"""The commands `load`, `verify` and `export`: exit codes, and one sentence for bad input."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import structlog
import typer

from mcp_sim.load.report import read_report
from reclab.export_command import export
from reclab.load_command import load
from reclab.verify_command import verify
from service_shell.settings import SettingsError
from tests.mcp_sim.load.fake_recorder import FakeRecorder
from tests.mcp_sim.load.sounds import uuid_of
from tests.reclab.fake_lab import fake_lab


def refused(command: Callable[..., None], *arguments: str) -> str:
    """Run a command that must refuse; return its sentence."""
    app = typer.Typer(pretty_exceptions_enable=False)
    app.command()(command)
    try:
        with pytest.raises(SettingsError) as error:
            app(list(arguments), standalone_mode=False)
    finally:
        structlog.reset_defaults()
    return str(error.value)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("--target", "127.0.0.1"), "is not an address of the form host:port"),
        (("--target", "nowhere.invalid:5060"), "the host nowhere.invalid was not found"),
        (("--target", "127.0.0.1:9", "--rate", "0"), "--rate must be above 0"),
        (("--target", "127.0.0.1:9", "--calls", "0"), "--calls must be"),
        (("--target", "127.0.0.1:9", "--hold", "-1"), "--hold must be"),
        (("--target", "127.0.0.1:9", "--caller", "bob"), "--caller 'bob' is not a number"),
        (("--target", "127.0.0.1:9"), "nothing listens at 127.0.0.1, UDP port 9"),
        (("--target", "127.0.0.1:9", "--report", "/no/dir/r.json"), "its folder does not exist"),
    ],
)
def test_load_refuses_bad_input(arguments: tuple[str, ...], sentence: str) -> None:
    """Each bad option is one sentence, before any call is placed."""
    assert sentence in refused(load, *arguments)


@pytest.mark.parametrize(
    ("file", "sentence"),
    [
        ("/no/such.wav", "/no/such.wav cannot be read"),
        (__file__, "the file is not a WAV file"),
    ],
)
def test_load_refuses_bad_audio(file: str, sentence: str) -> None:
    """A file that is no sound is one sentence, before any call is placed."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as recorder:
        recorder.bind(("127.0.0.1", 0))
        target = f"127.0.0.1:{recorder.getsockname()[1]}"
        assert sentence in refused(load, "--target", target, "--audio", file)


@pytest.mark.parametrize("out", [".", "..", "/tmp", ""])
def test_export_refuses_a_folder(out: str) -> None:
    """Where a file is to be written, a folder is refused by name."""
    assert "is a folder: name the file to write" in refused(export, "ID", "--out", out)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ((), "name recordings, or say --all"),
        (("--all", "--data", "/no/lab"), "start a lab with"),
        (("--all", "--through", "walls"), "--through can be `crypto`, not `walls`"),
        (("--report", "/no/such.json"), "the report /no/such.json cannot be read"),
        (("--report", __file__), "is not the report of a load run"),
        ((__file__,), "is a file, not a recording's id: say --report"),
    ],
)
def test_verify_refuses_bad_input(arguments: tuple[str, ...], sentence: str) -> None:
    """Each bad option is one sentence."""
    assert sentence in refused(verify, *arguments)


async def run_reclab(*arguments: str) -> tuple[int, bytes, bytes]:
    """Run ``reclab`` as a process; return exit code and what it said."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "reclab", *arguments,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    async with asyncio.timeout(60):
        out, err = await process.communicate()
    assert process.returncode is not None
    return process.returncode, out, err


async def test_load_places_calls_and_writes_its_report(tmp_path: Path) -> None:
    """Exit code 0, a summary, and a report with every call."""
    report = tmp_path / "sent.json"
    async with FakeRecorder().running() as recorder:
        code, out, err = await run_reclab(
            "load", "--target", f"127.0.0.1:{recorder.address[1]}", "--calls", "2",
            "--rate", "20", "--hold", "0.3", "--report", str(report),
        )  # fmt: skip
    assert code == 0, err
    assert b"2 calls completed, 0 interrupted, 0 failed" in out
    assert {call.identity for call in read_report(report).calls} == set(recorder.recordings)


async def test_load_fails_when_calls_fail(tmp_path: Path) -> None:
    """Refused calls give exit code 1, with the reason."""
    async with FakeRecorder(refuse=503).running() as recorder:
        target = f"127.0.0.1:{recorder.address[1]}"
        code, out, _ = await run_reclab("load", "--target", target, "--calls", "1")
    assert code == 1
    assert b"1 failed: 503 No" in out


async def test_ctrl_c_hangs_up_and_reports(tmp_path: Path) -> None:
    """SIGINT to the whole process group ends the calls with BYE; the report is written."""
    report = tmp_path / "sent.json"
    async with FakeRecorder().running() as recorder:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "reclab", "load", "--target",
            f"127.0.0.1:{recorder.address[1]}", "--calls", "100", "--rate", "20", "--hold", "60",
            "--report", str(report), start_new_session=True,
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        async with asyncio.timeout(60):
            while len(recorder.recordings) < 3:
                await asyncio.sleep(0.02)
            os.killpg(process.pid, signal.SIGINT)
            await process.communicate()
    assert process.returncode == 0
    calls = read_report(report).calls
    assert {call.result for call in calls} == {"interrupted"}
    assert recorder.ended_by == ["bye"] * len(calls)


async def test_verify_speaks_to_machines_and_people(tmp_path: Path) -> None:
    """JSON by --json, a table without; exit code 1 as soon as one recording is wrong."""
    async with fake_lab(tmp_path) as lab:
        lab.write_lab_file()
        lab.add(uuid_of(1))
        data = ("--data", str(tmp_path))
        code, out, err = await run_reclab("verify", "--all", "--json", *data)
        assert code == 0, err
        (verdict,) = json.loads(out)
        assert (verdict["id"], verdict["verified"]) == (uuid_of(1), True)
        lab.add(uuid_of(2))
        lab.objects.popitem()
        code, out, _ = await run_reclab("verify", "--all", *data)
        assert code == 1
        assert f"{uuid_of(2)}: " in out.decode()
        assert "1 of 2 recordings verified" in out.decode()
        code, _, err = await run_reclab("verify", "NOBODY", *data)
        assert code == 2
        assert b"there is no recording 'NOBODY'" in err
