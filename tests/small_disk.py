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
    return _mounted(folder, f'mount -t tmpfs -o size={size} tmpfs "$0"')


def read_only(folder: Path) -> list[str]:
    """Return a command's beginning that runs it where `folder` can only be read, or skip."""
    return _mounted(folder, 'mount --bind "$0" "$0" && mount -o remount,bind,ro "$0"')


def _mounted(folder: Path, mount: str) -> list[str]:
    unshare = shutil.which("unshare")
    if unshare is None:
        pytest.skip("unshare is not installed")
    script = f'mkdir -p "$0" && {mount} && exec "$@"'
    command = [unshare, "--map-root-user", "--mount", "sh", "-c", script, str(folder)]
    if subprocess.run([*command, "true"], capture_output=True, check=False).returncode:
        pytest.skip("no name space with a file system of its own can be made here")
    return command
