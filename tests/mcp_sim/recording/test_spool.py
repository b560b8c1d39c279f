"""The spool: states that survive, one owner at a time, nothing lost on the way."""

from __future__ import annotations

import errno
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from mcp_sim.recording.spool.folders import FAILURE, ITEM, JOURNAL, MEDIA, PROGRESS
from mcp_sim.recording.spool.spool import Spool, SpoolError, State, item_name

from .recorded_call import make_plan


def _put(spool: Spool, item: str, state: State, *names: str) -> Path:
    folder = spool.folder(item, state)
    folder.mkdir()
    for name in names:
        (folder / name).write_bytes(name.encode())
    return folder


def test_an_item_goes_through_its_states(spool: Spool) -> None:
    """Each step moves the whole folder, and only one state has it at a time."""
    (spool.create("a") / JOURNAL).write_bytes(b"sealed")
    for state in (State.CAPTURING, State.RENDERING, State.READY):
        folder = spool.advance("a", state)
        assert spool.state_of("a") is state
        assert (folder / JOURNAL).read_bytes() == b"sealed"
        assert [other for other in State if spool.items(other)] == [state]


def test_a_step_may_be_repeated(spool: Spool) -> None:
    """Advancing to where the item is already changes nothing."""
    spool.create("a")
    assert spool.advance("a", State.RENDERING) == spool.advance("a", State.RENDERING)


def test_an_unknown_item_is_an_error(spool: Spool) -> None:
    """Nothing is made out of nothing."""
    with pytest.raises(FileNotFoundError, match="no item b"):
        spool.advance("b", State.READY)
    assert spool.state_of("b") is None


def test_an_item_is_created_once(spool: Spool) -> None:
    """Two recordings never share a folder."""
    spool.create("a")
    with pytest.raises(FileExistsError):
        spool.create("a")


def test_nobody_else_may_look_into_the_spool(spool: Spool) -> None:
    """Folders are for their owner only."""
    folders = [spool.root, *(spool.root / state for state in State), spool.create("a")]
    assert {stat.S_IMODE(folder.stat().st_mode) for folder in folders} == {0o700}


def test_recovery_takes_up_what_was_left(spool: Spool) -> None:
    """Captured and half-rendered items are rendered again; what is further only loses its rest."""
    _put(spool, "captured", State.CAPTURING, JOURNAL)
    _put(spool, "rendering", State.RENDERING, JOURNAL, f"{MEDIA}.part")
    ready = _put(spool, "ready", State.READY, JOURNAL, MEDIA, ITEM)
    delivered = _put(spool, "delivered", State.DELIVERED, MEDIA, ITEM, PROGRESS)
    failed = _put(spool, "failed", State.FAILED, JOURNAL)
    assert spool.recover() == ["captured", "rendering"]
    assert {path.name for path in ready.iterdir()} == {MEDIA, ITEM}
    assert {path.name for path in delivered.iterdir()} == {ITEM}
    assert {path.name for path in failed.iterdir()} == {JOURNAL}


def test_what_failed_keeps_everything_and_says_why(spool: Spool) -> None:
    """The reason lies beside the journal, for a person."""
    (spool.create("a") / JOURNAL).write_bytes(b"sealed")
    spool.fail("a", "the journal is damaged")
    folder = spool.folder("a", State.FAILED)
    assert (folder / FAILURE).read_text() == "the journal is damaged\n"
    assert (folder / JOURNAL).read_bytes() == b"sealed"


def test_a_full_disk_puts_aside_all_the_same(spool: Spool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where there is no room for the reason, the item is aside without one, and it is an error."""

    def full(_path: Path, _data: bytes) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    _put(spool, "a", State.RENDERING, JOURNAL)
    with monkeypatch.context() as patch:
        patch.setattr("mcp_sim.recording.spool.spool.write_file", full)
        with pytest.raises(OSError, match="No space left"):
            spool.fail("a", "the journal is damaged")
    assert spool.state_of("a") is State.FAILED
    with pytest.raises(FileNotFoundError):
        spool.fail("b", "there is none")


def test_a_kill_while_it_is_put_aside_leaves_no_reason_behind(spool: Spool) -> None:
    """What is delivered after all has no word of a failure."""
    _put(spool, "a", State.READY, MEDIA, ITEM, FAILURE)
    spool.finish("a")
    assert [path.name for path in spool.folder("a", State.DELIVERED).iterdir()] == [ITEM]


def test_a_delivered_item_leaves_only_its_description(spool: Spool) -> None:
    """The sound goes, what it was stays."""
    _put(spool, "a", State.READY, MEDIA, ITEM, PROGRESS)
    spool.finish("a")
    left = {path.name for path in spool.folder("a", State.DELIVERED).iterdir()}
    assert left == {ITEM}


def test_only_the_newest_delivered_items_are_kept(tmp_path: Path) -> None:
    """Their number is bounded; the oldest go first."""
    with Spool(tmp_path / "spool", wait=0, keep_delivered=3) as spool:
        for number in range(6):
            folder = _put(spool, f"item-{number}", State.READY, ITEM)
            os.utime(folder, (number, number))
            spool.finish(f"item-{number}")
        assert spool.items(State.DELIVERED) == ["item-3", "item-4", "item-5"]


def test_discarding_removes_an_item(spool: Spool) -> None:
    """An item that holds nothing leaves nothing, and may be discarded twice."""
    (spool.create("a") / JOURNAL).write_bytes(b"")
    spool.discard("a")
    spool.discard("a")
    assert spool.state_of("a") is None


def test_a_second_owner_is_refused(spool: Spool) -> None:
    """Two platforms never work on one spool; the error names the folder."""
    with pytest.raises(SpoolError, match=f"{spool.root} is in use"):
        Spool(spool.root, wait=0)


def test_a_child_holds_the_lock_longer_than_its_parent(tmp_path: Path) -> None:
    """A new owner waits until the last process of the old one has ended."""
    spool = Spool(tmp_path / "spool", wait=0)
    child = subprocess.Popen(
        [sys.executable, "-c", "input()"],
        stdin=subprocess.PIPE,
        pass_fds=(spool.lock_descriptor,),
    )
    try:
        spool.close()
        with pytest.raises(SpoolError, match="in use"):
            Spool(spool.root, wait=0.1)
        child.communicate(b"\n", timeout=30)
        Spool(spool.root, wait=10).close()
    finally:
        child.kill()
        child.wait()


def test_an_unusable_folder_is_one_sentence(tmp_path: Path) -> None:
    """A file in the place of the spool: the error names it and says why."""
    (tmp_path / "spool").write_text("a file")
    with pytest.raises(SpoolError, match=r"spool cannot be used: file exists"):
        Spool(tmp_path / "spool")


def test_the_lock_is_free_after_a_failed_start(tmp_path: Path) -> None:
    """A spool that could not be set up does not stay locked."""
    root = tmp_path / "spool"
    root.mkdir()
    (root / State.READY).write_text("a file")
    with pytest.raises(SpoolError):
        Spool(root, wait=0)
    (root / State.READY).unlink()
    Spool(root, wait=0).close()


@pytest.mark.parametrize(
    ("recording_id", "expected"),
    [
        ("ABC123", "ABC123-0a1b2c3d-00000001-00000007"),
        ("../../etc/passwd", "------etc-passwd-0a1b2c3d-00000001-00000007"),
        ("a\n b\0", "a--b--0a1b2c3d-00000001-00000007"),
        ("x" * 500, "x" * 120 + "-0a1b2c3d-00000001-00000007"),
        ("", "-0a1b2c3d-00000001-00000007"),
    ],
)
def test_an_item_is_named_after_its_recording(recording_id: str, expected: str) -> None:
    """The name is safe whatever the id is, and the serial makes it unique."""
    assert item_name(make_plan(recording_id, segment=7)) == expected
