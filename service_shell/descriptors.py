"""What the system lets a process do: as many open files as possible, and no core dumps.

A service holds passwords and session keys in memory; a core dump would put them on a disk.
"""

from __future__ import annotations

import resource
from pathlib import Path

_UNLIMITED = 1 << 20


def raise_descriptor_limit() -> int:
    """Raise the soft limit of open files to the hard one; return it."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _UNLIMITED if hard == resource.RLIM_INFINITY else hard
    resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    return wanted


def forbid_core_dumps() -> None:
    """Let neither this process nor its children leave their memory in a file when they crash."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def open_descriptors(pid: int) -> int:
    """Return how many files a process of ours has open. Raises `OSError` when it is gone."""
    folder = Path(f"/proc/{pid}/fd")
    # Linux tells the number as the folder's size since 6.2.
    return folder.stat().st_size or sum(1 for _ in folder.iterdir())


def descriptor_limit(pid: int) -> int:
    """Return how many files a process of ours may have open. Raises `OSError` when it is gone."""
    return resource.prlimit(pid, resource.RLIMIT_NOFILE)[0]
