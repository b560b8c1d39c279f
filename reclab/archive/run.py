"""A run of an archive: what it reports, and how it writes recordings into folders.

After each recording the state is brought to the disk, so whatever ends the run, the next one loses
nothing and fetches nothing twice.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from reclab.archive.archived_recording import Outcome, RecordingWriter
from reclab.archive.failure import ArchiveFailed, disk_failures
from reclab.archive.server import PAGE, JsonDict, Server
from reclab.archive.state import Counts, LastRecording, State, StateFile
from recording_format.archive_entry import Problem

#: Problems that are remembered; with more, something is wrong with the store, not with recordings.
MAX_PROBLEMS = 10_000


class Report(msgspec.Struct, kw_only=True, rename="camel"):
    """What this run has done, and what the archive holds now (`archived`).

    `fetched` media files came over the network, `kept` were there and right. `damaged` are those
    that are missing, each with its sentence.
    """

    out: str
    zip: str | None = None
    recordings: int = 0
    fetched: int = 0
    fetched_bytes: int = 0
    kept: int = 0
    damaged: list[Problem] = msgspec.field(default_factory=list)
    archived: Counts = msgspec.field(default_factory=Counts)
    last: LastRecording | None = None


OnProgress = Callable[[Report], None]


class Run(ABC):
    """One run into `root`; `report` grows while it runs."""

    def __init__(
        self, server: Server, root: Path, state: State, file: StateFile, on_progress: OnProgress
    ) -> None:
        self.report = Report(out=str(root), archived=state.counts, last=state.last)
        self._server = server
        self._root = root
        self._state = state
        self._file = file
        self._on_progress = on_progress

    @abstractmethod
    async def run(self) -> None:
        """Archive everything that is still missing. Raises `ArchiveFailed`."""


class FolderRun(Run):
    """Archives into folders."""

    async def run(self) -> None:
        """Archive everything that is still missing. Raises `ArchiveFailed`."""
        with disk_failures(self._root):
            try:
                await self._try_again()
                while await self._page():
                    pass
            except (LookupError, TypeError, ValueError):
                raise ArchiveFailed("the processor's answer is not one of an archive") from None
            self._state.finished = True
            self._file.save(self._state)
        self.report.damaged = self._state.problems

    async def _try_again(self) -> None:
        """Try those recordings again of which an earlier run had not everything."""
        for recording_id in dict.fromkeys(problem.id for problem in self._state.problems):
            recording = await self._server.recording(recording_id)
            if recording is not None:
                tenant = str(recording["mediaFiles"][0]["tenant"])
                done = await self._write(recording, tenant)
                self._count(done, new=False)
            else:
                done = Outcome()
            others = [one for one in self._state.problems if one.id != recording_id]
            self._state.problems = others + done.problems
            self._file.save(self._state)

    async def _page(self) -> bool:
        """Archive one page; return whether there is another."""
        query = {**self._state.asked.filter, "limit": str(PAGE)}
        for name, place in (("since", self._state.since), ("after", self._state.after)):
            if place is not None:
                query[name] = place
        page = await self._server.page(query)
        self._state.check_contact_center(page["contactCenter"])
        # Not before: criteria that the processor refuses must not bind the folder.
        self._file.save(self._state)
        for entry in page["recordings"]:
            await self._entry(entry)
        return page["next"] is not None

    async def _entry(self, entry: dict[str, Any]) -> None:
        recording, state = entry["recording"], self._state
        done = await self._write(recording, entry["tenant"])
        # What a later run comes by again, because it was filed during the first, is counted once.
        self._count(done, new=state.since is None or done.changed)
        others = [one for one in state.problems if one.id != recording["id"]]
        state.problems = others + done.problems
        state.after = entry["place"]
        state.last = LastRecording(stop_time=entry["stopTime"], id=recording["id"])
        self.report.last = state.last
        self._file.save(state)
        if len(state.problems) > MAX_PROBLEMS:
            raise ArchiveFailed(
                f"more than {MAX_PROBLEMS} media files cannot be had: see to the store, "
                "and go on with --resume"
            )
        self._on_progress(self.report)

    async def _write(self, recording: JsonDict, tenant: str) -> Outcome:
        writer = RecordingWriter(self._server, self._root, self._state.contact_center)
        return await writer.write(recording, tenant)

    def _count(self, done: Outcome, *, new: bool) -> None:
        report, counts = self.report, self._state.counts
        report.recordings += 1
        report.fetched += done.fetched
        report.fetched_bytes += done.fetched_bytes
        report.kept += len(done.files) - done.fetched
        if new:
            counts.recordings += 1
            counts.media_files += len(done.files)
            counts.bytes += done.bytes
        else:
            counts.media_files += done.fetched
            counts.bytes += done.fetched_bytes
