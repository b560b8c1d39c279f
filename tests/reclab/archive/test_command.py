"""The command as a process: killed in the middle, out of disk, refused; what it says then."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import typer
from aiohttp import web

from reclab.archive.command import archive
from service_shell.settings import SettingsError
from tests.reclab.archive.archive_lab import ArchiveLab
from tests.small_disk import small_disk


def stop_behind(lab: ArchiveLab, count: int, *, within: bool) -> asyncio.Event:
    """Let the store hang at object number `count`, or in its middle; the event tells when."""
    serve, reached, seen = lab.store.answer, asyncio.Event(), 0

    async def answer(request: web.Request) -> web.StreamResponse:
        nonlocal seen
        seen += 1
        if seen != count:
            return await serve(request)
        stored = lab.objects.held[request.path]
        response = web.StreamResponse(headers={"Content-Length": str(len(stored))})
        if within:
            await response.prepare(request)
            await response.write(stored[: len(stored) // 2])
        reached.set()
        await asyncio.Event().wait()
        return response

    lab.store.answer = answer
    return reached


@pytest.mark.parametrize(("count", "within"), [(2, True), (8, False)])
async def test_a_killed_run_loses_and_repeats_nothing(
    lab: ArchiveLab, count: int, within: bool
) -> None:
    """After SIGKILL in the middle, --resume fetches what is missing, once, and leaves no rest."""
    files = await lab.make(8, size=300_000)
    serve = lab.store.answer
    reached = stop_behind(lab, count, within=within)
    process = await lab.start()
    async with asyncio.timeout(30):
        await reached.wait()
    process.kill()
    await process.communicate()
    assert len(list(lab.out.rglob("*.bin"))) == count - 1
    lab.store.answer = serve
    before = lab.fetches()
    code, _, said = await lab.run("--resume")
    assert code == 0, said
    # The object that was on its way has to come again; everything else came once.
    assert lab.fetches() == {file.path: 1 for file in files}
    assert len(before) == count - 1
    lab.assert_whole(*files)
    assert [path.name for path in lab.out.rglob(".*")] == [".lock"]
    state = lab.state()
    assert (state["finished"], state["counts"]["recordings"]) == (True, 8)


async def test_a_run_killed_anywhere_can_go_on(lab: ArchiveLab) -> None:
    """Killed at whatever moment, again and again, the archive becomes whole, each object once."""
    files = await lab.make(40)
    serve, done = lab.store.answer, asyncio.Event()
    left = 0

    async def count_down(request: web.Request) -> web.StreamResponse:
        nonlocal left
        left -= 1
        if left == 0:
            done.set()
        return await serve(request)

    lab.store.answer = count_down
    for round_number in range(2):
        left = 3 + 4 * round_number
        done.clear()
        process = await lab.start("--resume")
        async with asyncio.timeout(30):
            await done.wait()
        process.kill()
        await process.communicate()
    code, _, said = await lab.run("--resume")
    assert code == 0, said
    # Each kill may cost the one object that was served and not yet on the disk.
    assert sum(lab.fetches().values()) <= len(files) + 2
    assert set(lab.fetches()) == {file.path for file in files}
    lab.assert_whole(*files)
    assert lab.state()["counts"]["recordings"] == 40


async def test_ctrl_c_leaves_no_rest(lab: ArchiveLab) -> None:
    """Ctrl-C in the middle: exit code 130, no trace, nothing half written, and --resume goes on."""
    files = await lab.make(3, size=300_000)
    serve = lab.store.answer
    reached = stop_behind(lab, 2, within=True)
    process = await lab.start()
    async with asyncio.timeout(30):
        await reached.wait()
    process.send_signal(signal.SIGINT)
    _, said = await process.communicate()
    assert process.returncode == 130
    assert b"Traceback" not in said
    assert [path.name for path in lab.out.rglob(".*")] == [".lock"]
    lab.store.answer = serve
    assert (await lab.archive(resume=True)).fetched == 2
    lab.assert_whole(*files)


async def test_damage_is_exit_code_1(lab: ArchiveLab) -> None:
    """A damaged recording: exit code 1, its id and sentence, and the summary as JSON."""
    files = await lab.make(3)
    lab.objects.held.pop(files[1].path)
    code, output, said = await lab.run("--json")
    assert code == 1
    assert "R0001: R0001-0a1b2c3d-00000001-00000001.wav: the store does not hold" in said
    told = json.loads(output)
    assert (told["recordings"], told["fetched"], told["kept"]) == (3, 2, 0)
    assert [one["id"] for one in told["damaged"]] == ["R0001"]
    assert told["last"]["id"] == "R0002"
    lab.objects.add(*files)
    report = await lab.archive(resume=True)
    assert (report.recordings, report.archived.media_files) == (1, 3)


async def test_a_full_disk_is_one_sentence(lab: ArchiveLab, tmp_path: Path) -> None:
    """When the disk is full the command says so in a sentence, and ends with exit code 1."""
    await lab.make(4, size=800_000)
    password = tmp_path / "password"
    password.write_text("operator-secret")
    command = [
        *small_disk(tmp_path / "small", 2 * 1024**2),
        sys.executable,
        "-m",
        "reclab",
        "archive",
    ]
    command += ["--out", f"{tmp_path}/small/out", "--url", lab.url]
    command += ["--password-file", str(password)]
    done = await asyncio.to_thread(
        lambda: subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    )
    assert (done.returncode, len(done.stderr.splitlines())) == (1, 1), done.stderr
    assert f"the disk of {tmp_path}/small/out is full" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("--filter", "colour=red"), "--filter takes NAME=VALUE with a name of tenant"),
        (("--filter", "tenant"), "--filter takes NAME=VALUE"),
        (("--filter", "tenant=a", "--filter", "tenant=b"), "--filter names tenant twice"),
        (("--url", "ftp://x"), "--url ftp://x is not an http or https URL"),
        (("--url", "http://x"), "--url needs --password-file"),
        (("--url", "http://x", "--password-file", "/no/such"), "/no/such cannot be read"),
        (("--data", "/no/lab"), "/no/lab/lab.json is not there"),
    ],
)
def test_bad_options_are_refused(tmp_path: Path, arguments: tuple[str, ...], sentence: str) -> None:
    """What cannot be meant is one sentence, before a folder is made."""
    app = typer.Typer(pretty_exceptions_enable=False)
    app.command()(archive)
    with pytest.raises(SettingsError, match=sentence.replace(".", r"\.")):
        app(["--out", str(tmp_path / "out"), *arguments], standalone_mode=False)
    assert not (tmp_path / "out").exists()


async def test_the_folder_may_be_no_folder(lab: ArchiveLab) -> None:
    """Where a file is in the way, the sentence names it."""
    lab.out.write_text("in the way")
    code, _, said = await lab.run()
    assert (code, len(said.splitlines())) == (1, 1)
    assert f"{lab.out} cannot be used: file exists" in said
