"""``archive.json`` in an archive's folder: what was asked for, and how far it has come.

It is written after each recording, so a run that was killed goes on behind the last one.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

import msgspec

from reclab.archive.failure import ArchiveFailed, disk_failures
from reclab.archive.whole_file import write_whole
from recording_format.archive_entry import Problem
from recording_format.archive_layout import SUMMARY_FILE

Form = Literal["folders", "zip"]


class Asked(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What an archive holds: `filter` are the processor's parameters, as they were said."""

    form: Form
    filter: dict[str, str]


class LastRecording(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The recording that the archive has come to, in the order of stop times and ids."""

    stop_time: str
    id: str


class Counts(msgspec.Struct, kw_only=True, rename="camel"):
    """What lies in an archive; `bytes` are the media files'."""

    recordings: int = 0
    media_files: int = 0
    bytes: int = 0


class State(msgspec.Struct, kw_only=True, rename="camel"):
    """How far an archive has come.

    `after` is the place that this run has reached, `since` the one where the last finished run
    ended; both are the processor's. `problems` are tried again by the next run that resumes.
    """

    asked: Asked
    contact_center: str = ""
    since: str | None = None
    after: str | None = None
    finished: bool = False
    last: LastRecording | None = None
    counts: Counts = msgspec.field(default_factory=Counts)
    problems: list[Problem] = msgspec.field(default_factory=list)

    def begin_run(self, *, resume: bool) -> None:
        """Go on where the last run was, behind it when it was finished; or start over."""
        if not resume:
            self.since = self.after = self.last = None
            self.counts = Counts()
            self.problems = []
        elif self.finished:
            self.since, self.after = self.after or self.since, None
        self.finished = False

    def check_contact_center(self, told: str) -> None:
        """Raise `ArchiveFailed` when the processor keeps another contact centre's recordings."""
        if self.contact_center not in ("", told):
            raise ArchiveFailed(
                f"the folder holds an archive of the contact centre {self.contact_center}, "
                f"and this is {told}"
            )
        self.contact_center = told


class StateFile:
    """The state of the archive in `folder`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._path = folder / SUMMARY_FILE

    def load(self, asked: Asked, *, resume: bool) -> State:
        """Return the state to begin a run with. Raises `ArchiveFailed` when it is another's.

        A run that resumes and names no criteria takes those of the run before.
        """
        state = self._read()
        if state is None:
            return State(asked=asked)
        if resume and not asked.filter:
            asked = msgspec.structs.replace(asked, filter=state.asked.filter)
        if state.asked != asked:
            raise ArchiveFailed(
                f"{self._folder} holds an archive of {_said(state.asked)}, not of {_said(asked)}: "
                "ask for the same, or name another folder"
            )
        state.begin_run(resume=resume)
        return state

    def save(self, state: State) -> None:
        """Bring the state to the disk."""
        write_whole(self._path, msgspec.json.format(msgspec.json.encode(state), indent=2) + b"\n")

    def _read(self) -> State | None:
        try:
            return msgspec.json.decode(self._path.read_bytes(), type=State)
        except FileNotFoundError:
            return None
        except msgspec.MsgspecError:
            raise ArchiveFailed(
                f"{self._path} is not an archive's state: name another folder"
            ) from None


@contextmanager
def held_folder(folder: Path) -> Iterator[None]:
    """Make `folder` where it is missing, and hold it: one run at a time writes an archive."""
    with disk_failures(folder):
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(folder / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ArchiveFailed(f"another archive is being written to {folder}") from None
        yield
    finally:
        os.close(descriptor)


def _said(asked: Asked) -> str:
    criteria = " ".join(f"{name}={value}" for name, value in asked.filter.items())
    return f"{criteria or 'everything'} as {'a zip' if asked.form == 'zip' else 'folders'}"
