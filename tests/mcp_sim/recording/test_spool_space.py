"""The spool's free space: what is kept for running calls, and by which sentence new ones end."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from mcp_sim.recording.spool.space import SpoolFullError, SpoolSpace

FOLDER = Path("/spool")
RESERVED = 64 * 1024**2


def disk(
    free: int,
    *,
    files: int = 100_000,
    total_files: int = 200_000,
    flags: int = 0,
    writable: bool = True,
) -> SpoolSpace:
    """The space of a disk with so many free bytes and files."""
    blocks = free // 4096
    figures = os.statvfs_result(
        (4096, 4096, 10**9, blocks, blocks, total_files, files, files, flags, 255)
    )
    return SpoolSpace(
        FOLDER, RESERVED, status=lambda _folder: figures, writable=lambda _folder: writable
    )


def test_room_is_what_is_free_beyond_the_reserve() -> None:
    """With exactly the reserve free a call may begin; with a block less it may not."""
    disk(RESERVED).check()
    with pytest.raises(SpoolFullError, match=r"has 64\.0 MiB free, less than the 64\.0 MiB"):
        disk(RESERVED - 4096).check()
    assert disk(RESERVED - 4096).free_bytes == RESERVED - 4096


def test_files_may_run_out_first() -> None:
    """A file system with room but without inodes is full too; one that counts none is not."""
    with pytest.raises(SpoolFullError, match="takes 12 more files only"):
        disk(2 * RESERVED, files=12).check()
    disk(2 * RESERVED, files=0, total_files=0).check()


def test_read_only_disk_has_no_room() -> None:
    """A spool that became read-only takes no call, however much is free."""
    with pytest.raises(SpoolFullError, match="the spool /spool is on a read-only file system"):
        disk(2 * RESERVED, flags=os.ST_RDONLY).check()


def test_folder_that_may_not_be_written_has_no_room() -> None:
    """Rights that were taken away are told as such, before a call finds out."""
    with pytest.raises(SpoolFullError, match="the spool /spool may not be written"):
        disk(2 * RESERVED, writable=False).check()
    assert disk(2 * RESERVED, writable=False).fault == "the spool /spool may not be written"
    assert disk(2 * RESERVED).fault == ""


def test_real_disk_is_read(tmp_path: Path) -> None:
    """The figures are those of the folder's file system; a folder that is gone is an error."""
    (tmp_path / "capturing").mkdir()
    space = SpoolSpace(tmp_path)
    space.check()
    assert space.free_bytes > 0
    with pytest.raises(OSError, match="No such file"):
        SpoolSpace(tmp_path / "gone").check()
