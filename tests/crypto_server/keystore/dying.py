"""A child process that is killed just before its n-th step on the file system.

The steps are the interpreter's own audit events (opening, renaming, removing, making folders) and
every fsync; what was done before the step is on disk, what follows never happens.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

_STEPS = ("open", "os.rename", "os.remove", "os.rmdir", "os.mkdir", "os.chmod", "os.unlink")


def killed_before(step: int, folder: Path, work: Callable[[], object]) -> bool:
    """Run `work` in a forked child that is killed before its `step` (from 1) within `folder`.

    Return False when the work ended before that step came; an exception in it fails the test.
    """
    child = os.fork()
    if child == 0:
        os._exit(_work(step, str(folder), work))
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        assert os.WTERMSIG(status) == signal.SIGKILL
        return True
    assert os.waitstatus_to_exitcode(status) == 0, "the work failed before it was killed"
    return False


def _work(step: int, folder: str, work: Callable[[], object]) -> int:
    done = 0

    def count() -> None:
        nonlocal done
        done += 1
        if done == step:
            os.kill(os.getpid(), signal.SIGKILL)

    def watch(event: str, arguments: tuple[object, ...]) -> None:
        if event in _STEPS and str(arguments[0]).startswith(folder):
            count()

    fsync = os.fsync

    def counted_fsync(descriptor: int) -> None:
        count()
        fsync(descriptor)

    setattr(os, "fsync", counted_fsync)  # noqa: B010 - for this child only, which ends in it
    sys.addaudithook(watch)
    try:
        work()
    except BaseException:  # noqa: BLE001 - the child tells any failure by its exit code
        return 1
    return 0
