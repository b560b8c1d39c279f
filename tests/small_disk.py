"""A small file system for one program: a tmpfs in a mount name space of its own."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest


def small_disk(folder: Path, size: int) -> list[str]:
    """Return a command's beginning that runs it where `folder` is a disk of `size` bytes, or skip.

    Others see the disk below ``/proc/<pid>/root``.
    """
    unshare = shutil.which("unshare")
    if unshare is None:
        pytest.skip("unshare is not installed")
    mount = f'mkdir -p "$0" && mount -t tmpfs -o size={size} tmpfs "$0" && exec "$@"'
    command = [unshare, "--map-root-user", "--mount", "sh", "-c", mount, str(folder)]
    if subprocess.run([*command, "true"], capture_output=True, check=False).returncode:
        pytest.skip("no name space with a file system of its own can be made here")
    return command
