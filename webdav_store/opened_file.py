"""The one file that a GET or HEAD answers from, opened once for the whole request.

So its headers and its bytes are of one file, whatever is renamed over its name meanwhile.
"""

from __future__ import annotations

import os

# Without O_NONBLOCK, opening a named pipe that somebody put there would wait for its writer.
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


class OpenedFile:
    """Nothing is open before `open`; `close` may be called more than once."""

    def __init__(self) -> None:
        self.descriptor = -1

    def open(self, file_path: str) -> os.stat_result:
        """Open the file, unless it is open already; return its status. Links are not followed."""
        if self.descriptor < 0:
            self.descriptor = os.open(file_path, _READ)
        return os.fstat(self.descriptor)

    def close(self) -> None:
        """Close the file."""
        if self.descriptor >= 0:
            os.close(self.descriptor)
            self.descriptor = -1
