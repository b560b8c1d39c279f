"""What the system lets a process do: open files up to the hard limit, no core dumps."""

from __future__ import annotations

import subprocess
import sys

import pytest

PROGRAM = """
import resource, sys
from service_shell.descriptors import forbid_core_dumps, raise_descriptor_limit
resource.setrlimit(resource.RLIMIT_NOFILE, (int(sys.argv[1]), int(sys.argv[2])))
resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))
print(raise_descriptor_limit(), *resource.getrlimit(resource.RLIMIT_NOFILE))
forbid_core_dumps()
print(*resource.getrlimit(resource.RLIMIT_CORE))
"""


@pytest.mark.parametrize(("soft", "hard"), [(64, 256), (256, 256)])
def test_limits(soft: int, hard: int) -> None:
    """The soft limit of open files becomes the hard one, and that is told; both of cores are 0."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(soft), str(hard)],
        capture_output=True,
        text=True,
        check=True,
        timeout=30,
    )
    assert done.stdout.splitlines() == [f"{hard} {hard} {hard}", "0 0"]
