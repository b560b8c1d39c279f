"""The audit file: whole lines, private, never overwritten, none lost."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Any

import msgspec
import pytest
from structlog.testing import capture_logs

from crypto_server.audit import Audit, PlaybackRecord
from crypto_server.errors import AuditError


def record(recording: str, **fields: Any) -> PlaybackRecord:
    """Return a record of a playback of `recording`."""
    return PlaybackRecord(
        time="2026-01-02T10:00:00.000Z",
        who="anna",
        source="192.0.2.1",
        method="GET",
        recording=recording,
        media="x.wav.bin",
        **fields,
    )


def recordings(path: Path) -> list[str]:
    """Return the recordings of all lines, each of which must be whole JSON."""
    return [msgspec.json.decode(line)["recording"] for line in path.read_bytes().splitlines()]


async def test_lines_are_appended_to_a_private_file(tmp_path: Path) -> None:
    """Lines of earlier runs stay, and the file is 0600 even when it was not before."""
    path = tmp_path / "audit.jsonl"
    for name in ("first", "second"):
        audit = Audit.open(path)
        await audit.write(record(name))
        audit.close()
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        path.chmod(0o644)
    assert recordings(path) == ["first", "second"]


async def test_line_breaks_in_values_make_no_new_line(tmp_path: Path) -> None:
    """Nothing that a listener sends can forge another line."""
    audit = Audit.open(tmp_path / "audit.jsonl")
    await audit.write(record('x\n{"who":"eve"}\r\u2028', forwarded_for="a\nb"))
    audit.close()
    assert len((tmp_path / "audit.jsonl").read_bytes().splitlines()) == 1


async def test_torn_line_of_a_crash_stays_alone(tmp_path: Path) -> None:
    """Behind a line that a crash left unfinished the next one begins on its own line."""
    path = tmp_path / "audit.jsonl"
    path.write_bytes(b'{"time": "2026')
    audit = Audit.open(path)
    await audit.write(record("next"))
    audit.close()
    torn, whole = path.read_bytes().splitlines()
    assert torn == b'{"time": "2026'
    assert msgspec.json.decode(whole)["recording"] == "next"


async def test_disk_that_takes_half_a_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """When the disk is full in the middle of a line, the rest follows later and no line is lost."""
    path = tmp_path / "audit.jsonl"
    audit = Audit.open(path)
    real, room = os.write, [30]

    def small_disk(descriptor: int, data: bytes) -> int:
        if not room[0]:
            raise OSError(28, "No space left on device")
        written = real(descriptor, data[: room[0]])
        room[0] -= written
        return written

    with monkeypatch.context() as patched:
        patched.setattr("crypto_server.audit.os.write", small_disk)
        await audit.write(record("first"))
        await audit.write(record("second"))
        with pytest.raises(AuditError, match="no space left on device"):
            audit.flush()
        behind = [audit.behind]
    audit.flush()
    assert [*behind, audit.behind] == [True, False]
    audit.close()
    assert recordings(path) == ["first", "second"]


async def test_rotation_goes_on_in_a_new_file(tmp_path: Path) -> None:
    """After the file was renamed, `reopen` continues under the old name."""
    path = tmp_path / "audit.jsonl"
    audit = Audit.open(path)
    await audit.write(record("before"))
    path.rename(tmp_path / "audit.jsonl.1")
    audit.reopen()
    await audit.write(record("after"))
    audit.close()
    assert recordings(tmp_path / "audit.jsonl.1") == ["before"]
    assert recordings(path) == ["after"]


@pytest.mark.parametrize("renamed", [True, False])
async def test_rotation_in_the_middle_of_a_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, renamed: bool
) -> None:
    """A line of which the full disk took half is whole in the new file, or goes on in the same."""
    path = tmp_path / "audit.jsonl"
    audit = Audit.open(path)
    await audit.write(record("before"))
    real, taken = os.write, [0]

    def half(descriptor: int, data: bytes) -> int:
        if taken[0]:
            raise OSError(28, "No space left on device")
        taken[0] = real(descriptor, data[:30])
        return taken[0]

    with monkeypatch.context() as patched:
        patched.setattr("crypto_server.audit.os.write", half)
        await audit.write(record("torn"))
    if renamed:
        path.rename(tmp_path / "audit.jsonl.1")
    audit.reopen()
    await audit.write(record("after"))
    audit.close()
    assert recordings(path) == (["torn", "after"] if renamed else ["before", "torn", "after"])


async def test_lines_that_wait_for_the_disk_do_not_fill_the_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While the disk is full, lines are kept up to a bound, and those are written afterwards."""
    path = tmp_path / "audit.jsonl"
    audit = Audit.open(path)

    def full(_descriptor: int, _data: bytes) -> int:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr("crypto_server.audit.os.write", full)
        patched.setattr("crypto_server.audit._MOST_WAITING", 1000)
        with capture_logs() as logs:
            for number in range(50):
                await audit.write(record(str(number)))
    audit.close()
    kept = recordings(path)
    assert kept == [str(number) for number in range(len(kept))]
    assert 2 < len(kept) < 10
    assert len([log for log in logs if "left out" in log["event"]]) == 50 - len(kept)


def test_file_that_cannot_be_opened(tmp_path: Path) -> None:
    """A missing folder or a link in the file's place is one sentence with the path."""
    with pytest.raises(AuditError, match="no such file or directory"):
        Audit.open(tmp_path / "missing" / "audit.jsonl")
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(AuditError, match="link cannot be written"):
        Audit.open(tmp_path / "link")
