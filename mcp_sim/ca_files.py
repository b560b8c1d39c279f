"""CA files on disk, and the trust stores made of them."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

from recording_format.bundle import MAX_BUNDLE_TEXT
from recording_format.errors import CertificateError
from recording_format.trust import TrustStore


class CaFileError(Exception):
    """A CA file that cannot be used; the text is one sentence that names it."""


class CaFiles:
    """Trust stores by CA file, read again when a file changes, built once otherwise."""

    def __init__(self) -> None:
        self._stores: dict[Path, tuple[tuple[int, int, int], TrustStore]] = {}

    def load(self, path: Path) -> TrustStore:
        """Return the trust store of the bundle at `path`.

        Raises `CaFileError`, or `OSError` while too many files are open.
        """
        try:
            state = path.stat()
            if not stat.S_ISREG(state.st_mode):
                raise CaFileError(f"the CA file {path} is not a file")
            stamp = (state.st_mtime_ns, state.st_size, state.st_ino)
            known = self._stores.get(path)
            if known is None or known[0] != stamp:
                known = (stamp, _read(path))
                self._stores[path] = known
        except OSError as error:
            if error.errno in (errno.EMFILE, errno.ENFILE):
                raise  # not the file's fault: later it can be read
            reason = os.strerror(error.errno or 0).lower()
            raise CaFileError(f"the CA file {path} cannot be read: {reason}") from None
        except ValueError:
            raise CaFileError(f"the CA file {str(path)!r} is not a path") from None
        except CertificateError as error:
            raise CaFileError(str(error)) from None
        return known[1]


def _read(path: Path) -> TrustStore:
    with path.open("rb") as file:
        data = file.read(MAX_BUNDLE_TEXT + 1)  # one more byte shows that it is too long
    return TrustStore.from_bytes(data, name=f"the CA file {path}")
