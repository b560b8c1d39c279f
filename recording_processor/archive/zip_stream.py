"""A zip that is written once from beginning to end, and handed on while it is made.

Ciphertext does not compress, so nothing is: the DEFLATE blocks of an entry hold its bytes as they
are. Lengths and digests stand behind it, and of DEFLATE a reader that only goes forward (Java's
`ZipInputStream`) sees the end all the same. ZIP64 where it is needed. An entry that turned out
wrong is left out of the directory at the end.
"""

from __future__ import annotations

import zipfile
from datetime import UTC, datetime
from types import TracebackType
from typing import IO, cast

_FIRST, _LAST = datetime(1980, 1, 1, tzinfo=UTC), datetime(2107, 12, 31, tzinfo=UTC)


class ZipStream:
    """Write entries, and take away what came of it: `taken` after each step.

    To be used in a ``with`` block; `finish` writes the directory.
    """

    def __init__(self) -> None:
        self._sink = _Sink()
        # A stream that cannot go back is all that `zipfile` is promised.
        self._zip = zipfile.ZipFile(cast("IO[bytes]", self._sink), "w")
        self._entry: tuple[zipfile.ZipInfo, IO[bytes]] | None = None

    def __enter__(self) -> ZipStream:
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        self._close_entry()
        self._zip.close()

    def __contains__(self, name: str) -> bool:
        return name in self._zip.NameToInfo

    def begin(self, name: str, size: int, moment: datetime) -> None:
        """Begin an entry of at most `size` bytes; `moment` is an aware time."""
        moment = min(max(moment.astimezone(UTC), _FIRST), _LAST)
        info = zipfile.ZipInfo(name, moment.timetuple()[:6])
        info.compress_type = zipfile.ZIP_DEFLATED
        info._compresslevel = 0  # type: ignore[attr-defined]  # `compress_level` from 3.13 on
        info.file_size = size
        info.external_attr = 0o600 << 16
        self._entry = info, self._zip.open(info, "w")

    def write(self, data: bytes) -> None:
        """Write to the entry that was begun."""
        assert self._entry is not None
        self._entry[1].write(data)

    def end(self) -> None:
        """End the entry."""
        self._close_entry()

    def drop(self) -> None:
        """End the entry and leave it out of the directory: its bytes stay, nobody is shown them."""
        info = self._close_entry()
        if info is not None:
            self._zip.filelist.remove(info)
            del self._zip.NameToInfo[info.filename]

    def add(self, name: str, data: bytes, moment: datetime) -> None:
        """Write a whole entry."""
        self.begin(name, len(data), moment)
        self.write(data)
        self.end()

    def finish(self) -> None:
        """Write the directory."""
        self._zip.close()

    def taken(self) -> list[bytes]:
        """Return what was made since the last time, in parts."""
        return self._sink.taken()

    def _close_entry(self) -> zipfile.ZipInfo | None:
        if self._entry is None:
            return None
        (info, file), self._entry = self._entry, None
        file.close()
        return info


class _Sink:
    """A file that can only be written to."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []

    def write(self, data: bytes) -> int:
        self._parts.append(bytes(data))
        return len(data)

    def flush(self) -> None:
        """Nothing waits here."""

    def taken(self) -> list[bytes]:
        parts, self._parts = self._parts, []
        return parts
