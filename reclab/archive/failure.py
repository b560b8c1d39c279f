"""Why an archive could not be made or continued; the text is one sentence for people."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class ArchiveFailed(Exception):
    """The archive cannot be made or continued."""


@contextmanager
def disk_failures(folder: Path) -> Iterator[None]:
    """Turn what the disk refuses into a sentence that names the place."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise ArchiveFailed(
                f"the disk of {folder} is full: make room, and go on with --resume"
            ) from None
        reason = os.strerror(error.errno or 0).lower()
        raise ArchiveFailed(f"{error.filename or folder} cannot be used: {reason}") from None
