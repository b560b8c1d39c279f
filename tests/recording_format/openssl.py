"""Running the real `openssl` in a folder of its own."""

from __future__ import annotations

import subprocess
from pathlib import Path

from tests.peers import peer


def openssl(*arguments: str, folder: Path, check: bool = True) -> subprocess.CompletedProcess[str]:
    """Run ``openssl`` with these arguments; its output is text."""
    return subprocess.run(
        [peer("openssl"), *arguments],
        cwd=folder,
        capture_output=True,
        check=check,
        timeout=60,
        encoding="utf-8",
        errors="replace",
    )
