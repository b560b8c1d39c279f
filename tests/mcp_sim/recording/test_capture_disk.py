"""The disk's thread: how late it is, also while it stands still."""

from __future__ import annotations

import threading

from mcp_sim.recording.capture.disk import DiskThread


def test_work_that_hangs_is_late_already() -> None:
    """A disk that does not come back is seen before it does; afterwards it is forgotten."""
    disk, begun, go_on = DiskThread(), threading.Event(), threading.Event()

    def work() -> None:
        begun.set()
        go_on.wait(60)

    assert disk.take_worst() == 0
    disk.submit(work)
    assert begun.wait(60)
    first = disk.take_worst()
    second = disk.take_worst()
    assert 0 < first < second
    go_on.set()
    assert disk.close(60)
    assert disk.take_worst() >= second
    assert disk.take_worst() == 0
