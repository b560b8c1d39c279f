"""Homes of GnuPG under a short name, because the name of an agent's socket is bounded."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.end_to_end.lab_under_test import run
from tests.peers import peer


@contextmanager
def gnupg_homes() -> Iterator[Path]:
    """Give a folder; whatever happens, the agents of the homes made in it are ended."""
    for program in ("gpgsm", "gpg-agent"):
        peer(program)
    agent_control = peer("gpgconf")
    with TemporaryDirectory(prefix="gpg-", ignore_cleanup_errors=True) as folder:
        try:
            yield Path(folder)
        finally:
            for home in Path(folder).iterdir():
                run(agent_control, "--homedir", home, "--kill", "all")
