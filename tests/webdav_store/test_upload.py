"""One upload's steps on the disk, in the order that survives a power loss."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

import pytest

from webdav_store.errors import BodyCut, Refused
from webdav_store.upload import Upload, is_temporary, remove_leftovers


def names(folder: Path) -> list[str]:
    """Return what lies in a folder."""
    return sorted(path.name for path in folder.iterdir())


def test_the_name_appears_with_the_commit(tmp_path: Path) -> None:
    """Until then there is one temporary, whose name is recognised."""
    upload = Upload(tmp_path / "a.bin", declared=6)
    upload.write([b"abc", b"def"])
    assert [is_temporary(name) for name in names(tmp_path)] == [True]
    upload.finish()
    upload.commit()
    upload.close()
    assert names(tmp_path) == ["a.bin"]
    assert (tmp_path / "a.bin").read_bytes() == b"abcdef"


def test_without_a_commit_nothing_remains(tmp_path: Path) -> None:
    """Closing is enough, and may be repeated; the old file stays."""
    (tmp_path / "a.bin").write_bytes(b"old")
    upload = Upload(tmp_path / "a.bin")
    upload.write([b"new"])
    upload.close()
    upload.close()
    assert names(tmp_path) == ["a.bin"]
    assert (tmp_path / "a.bin").read_bytes() == b"old"


def test_a_wrong_length_is_no_upload(tmp_path: Path) -> None:
    """Fewer or more bytes than declared are refused before the name is given."""
    for declared in (2, 4):
        upload = Upload(tmp_path / "a.bin", declared=declared)
        upload.write([b"abc"])
        with pytest.raises(BodyCut, match=f"3 bytes came where {declared} were declared"):
            upload.finish()
        upload.close()
    assert names(tmp_path) == []


def test_bytes_and_names_are_synced_in_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """fsync of the file, then the rename, then fsync of the folder."""
    steps: list[str] = []
    fsync, rename = os.fsync, os.rename

    def noted_fsync(descriptor: int) -> None:
        steps.append("folder" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else "file")
        fsync(descriptor)

    def noted_rename(source: str, target: str, *, src_dir_fd: int, dst_dir_fd: int) -> None:
        steps.append("rename")
        rename(source, target, src_dir_fd=src_dir_fd, dst_dir_fd=dst_dir_fd)

    monkeypatch.setattr(os, "fsync", noted_fsync)
    monkeypatch.setattr(os, "rename", noted_rename)
    upload = Upload(tmp_path / "a.bin")
    upload.write([b"abc"])
    upload.finish()
    upload.commit()
    upload.close()
    assert steps == ["file", "rename", "folder"]


def test_many_small_parts_are_written_whole(tmp_path: Path) -> None:
    """More parts than the kernel takes at once arrive all, in order."""
    parts = [bytes([number % 256]) * 3 for number in range(2000)]
    upload = Upload(tmp_path / "a.bin", declared=6000)
    upload.write(parts)
    upload.finish()
    upload.commit()
    upload.close()
    assert (tmp_path / "a.bin").read_bytes() == b"".join(parts)


def test_short_writes_are_continued(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the kernel takes only a part, the rest follows from there."""
    writev, write = os.writev, os.write
    monkeypatch.setattr(os, "writev", lambda fd, parts: writev(fd, [b"".join(parts)[:5]]))
    monkeypatch.setattr(os, "write", lambda fd, data: write(fd, data[:2]))
    upload = Upload(tmp_path / "a.bin", declared=12)
    upload.write([b"abc", b"", b"defghi", b"jkl"])
    upload.finish()
    upload.commit()
    upload.close()
    assert (tmp_path / "a.bin").read_bytes() == b"abcdefghijkl"


@pytest.mark.parametrize(
    ("number", "status"), [("ENOSPC", 507), ("EDQUOT", 507), ("EROFS", 507), ("EIO", 500)]
)
def test_a_failing_disk_becomes_a_status(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: str, status: int
) -> None:
    """A full disk, also one that says so only at fsync, answers 507, a broken one 500."""

    def failing(_descriptor: int) -> None:
        raise OSError(getattr(errno, number), "failed")

    upload = Upload(tmp_path / "a.bin")
    upload.write([b"abc"])
    monkeypatch.setattr(os, "fsync", failing)
    with pytest.raises(Refused) as refused:
        upload.finish()
    upload.close()
    assert refused.value.status == status
    assert names(tmp_path) == []


def test_reserved_space_is_kept_free(tmp_path: Path) -> None:
    """An upload that would use the reserve is refused before a byte is written."""
    upload = Upload(tmp_path / "a.bin", declared=1, reserved=1 << 60)
    with pytest.raises(Refused) as refused:
        upload.open()
    upload.close()
    assert refused.value.status == 507
    assert names(tmp_path) == []


def test_no_descriptor_is_left_open(tmp_path: Path) -> None:
    """Whatever the outcome, an upload gives back what it opened."""
    before = len(names(Path("/proc/self/fd")))
    for outcome in ("commit", "close", "missing"):
        folder = tmp_path / outcome if outcome == "missing" else tmp_path
        upload = Upload(folder / "a.bin")
        try:
            upload.write([b"abc"])
            if outcome == "commit":
                upload.commit()
        except Refused:
            assert outcome == "missing"
        upload.close()
    assert len(names(Path("/proc/self/fd"))) == before


def test_leftovers_are_removed_at_every_depth(tmp_path: Path) -> None:
    """Only temporaries go, and links are not followed."""
    (tmp_path / "sub" / "below").mkdir(parents=True)
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "root").mkdir()
    left = [
        tmp_path / ".reclab-upload-0123456789abcdef",
        tmp_path / "sub" / "below" / ".reclab-upload-0",
    ]
    for path in [*left, tmp_path / "kept.bin", tmp_path / "sub" / ".hidden"]:
        path.write_bytes(b"x")
    assert remove_leftovers(tmp_path) == 2
    assert not any(path.exists() for path in left)
    assert names(tmp_path / "sub") == [".hidden", "below"]
