"""What the system lets a process do: as many open files as possible, and no core dumps.

A service holds passwords and session keys in memory; a core dump would put them on a disk.
"""

from __future__ import annotations

import resource

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
