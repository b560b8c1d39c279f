"""A run that fetches one zip: whole under its name or not there at all.

A zip cannot be continued; `--resume` makes the next one, with what the last one did not hold.
"""

from __future__ import annotations

import itertools
import re
import zipfile
from pathlib import Path
from typing import Any

import aiohttp
import msgspec

from reclab.archive.failure import ArchiveFailed, disk_failures
from reclab.archive.run import MAX_PROBLEMS, Run
from reclab.archive.state import Counts, LastRecording
from reclab.archive.whole_file import whole_file
from recording_format.archive_entry import Problem
from recording_format.archive_layout import ERRORS_FILE, SUMMARY_FILE

_BLOCK = 1 << 18
_NAME = re.compile(r'attachment; filename="([A-Za-z0-9_][A-Za-z0-9 ._+=@,()~-]{0,200}\.zip)"')
_LONGEST_JSON = 64 << 20
_BROKEN = "the processor broke the zip off: ask again, or for a shorter time by --from and --to"


class _Summary(msgspec.Struct, rename="camel"):
    contact_center: str
    recordings: int
    media_files: int
    bytes: int
    damaged: int
    last: LastRecording | None
    place: str | None


class ZipRun(Run):
    """Fetches a zip; the report says what is in it."""

    async def run(self) -> None:
        """Fetch the zip. Raises `ArchiveFailed`."""
        # What a run before it could not finish has left no zip: the place behind it stands.
        query = dict(self._state.asked.filter)
        if self._state.since is not None:
            query["since"] = self._state.since
        with disk_failures(self._root):
            async with self._server.zip(query) as answer:
                path = self._root / _name_of(answer)
                if self._state.since is not None:
                    path = _free(path)
                self._file.save(self._state)
                try:
                    await self._fetch(answer, path)
                except (aiohttp.ClientError, TimeoutError):
                    raise ArchiveFailed(_BROKEN) from None
            self._take(path)
            self._file.save(self._state)

    async def _fetch(self, answer: aiohttp.ClientResponse, path: Path) -> None:
        with whole_file(path) as file:
            async for block in answer.content.iter_chunked(_BLOCK):
                file.write(block)
                self.report.fetched_bytes += len(block)
                self._on_progress(self.report)

    def _take(self, path: Path) -> None:
        """Read what the zip says of itself, into the report and the state."""
        summary, problems = _read(path)
        self._state.check_contact_center(summary.contact_center)
        report, state = self.report, self._state
        if summary.recordings == 0:
            path.unlink()  # A zip of nothing is no use to anybody.
        else:
            report.zip = str(path)
            state.after, state.last = summary.place, summary.last
        report.recordings, report.fetched = summary.recordings, summary.media_files
        report.damaged, report.last = problems, state.last
        _add(state.counts, summary)
        # What an earlier zip lacks no later one brings: it is not forgotten.
        state.problems = [*state.problems, *problems][:MAX_PROBLEMS]
        state.finished = True


def _add(counts: Counts, summary: _Summary) -> None:
    counts.recordings += summary.recordings
    counts.media_files += summary.media_files
    counts.bytes += summary.bytes


def _free(path: Path) -> Path:
    """Return `path`, numbered where there is such a file: an earlier zip of the same second."""
    others = (path.with_stem(f"{path.stem}-{number}") for number in itertools.count(2))
    return path if not path.exists() else next(other for other in others if not other.exists())


def _name_of(answer: aiohttp.ClientResponse) -> str:
    found = _NAME.fullmatch(answer.headers.get("Content-Disposition", ""))
    if found is None:
        raise ArchiveFailed("the processor's answer is not an archive's zip")
    return found[1]


def _read(path: Path) -> tuple[_Summary, list[Problem]]:
    try:
        with zipfile.ZipFile(path) as archive:
            summary = msgspec.convert(_json(archive, SUMMARY_FILE), _Summary)
            if not summary.damaged:
                return summary, []
            return summary, msgspec.convert(_json(archive, ERRORS_FILE), list[Problem])
    except (zipfile.BadZipFile, KeyError, msgspec.MsgspecError):
        path.unlink()
        raise ArchiveFailed(_BROKEN) from None


def _json(archive: zipfile.ZipFile, name: str) -> Any:
    if archive.getinfo(name).file_size > _LONGEST_JSON:
        raise KeyError(name)
    return msgspec.json.decode(archive.read(name))
