"""Whether a catalogue is sound: SQLite's own checks, its form, and what must be true in ours.

Nothing is changed, and a processor may go on meanwhile: all is read from one view. Blocks.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from itertools import islice
from pathlib import Path

import msgspec
from alembic.script import ScriptDirectory

from recording_processor.catalogue import invariants
from recording_processor.catalogue.copying import Damaged, open_for_reading
from recording_processor.catalogue.invariants import Finding
from recording_processor.catalogue.opening import migrations
from service_shell.settings import SettingsError

_MOST = 1000
_ORIGIN = "SQLite"
_BATCH = 200
#: Told how many recordings were checked, and how many there are.
Watch = Callable[[int, int], None]


class Report(msgspec.Struct, frozen=True, rename="camel"):
    """What a check found. `form` is the version of the tables; `more` that there are more findings.

    `recordings` and `media_files` are how many were looked at.
    """

    file: str
    form: str
    current: bool
    recordings: int
    media_files: int
    findings: list[Finding]
    more: bool

    @property
    def sound(self) -> bool:
        """Whether nothing was found wrong."""
        return not self.findings


def check(file: Path, watch: Watch) -> Report:
    """Check the catalogue in `file`. Raises `SettingsError` when it is none that can be read."""
    form, current, counts = "", False, _Counts()
    try:
        with closing(open_for_reading(file)) as connection:
            form, current = _form(connection, file)
            found = _findings(connection, watch, counts)
            kept = list(islice(found, _MOST + 1))
    except Damaged as error:
        kept = [Finding(_ORIGIN, "the file", str(error))]
    return Report(
        file=str(file),
        form=form,
        current=current,
        recordings=counts.recordings,
        media_files=counts.media_files,
        findings=kept[:_MOST],
        more=len(kept) > _MOST,
    )


class _Counts:
    recordings = 0
    media_files = 0


def _form(connection: sqlite3.Connection, file: Path) -> tuple[str, bool]:
    """Return the version of the tables, and whether it is the newest."""
    script = ScriptDirectory.from_config(migrations())
    known = {step.revision for step in script.walk_revisions()}
    try:
        row = connection.execute("SELECT version_num FROM alembic_version").fetchone()
    except sqlite3.Error as error:
        raise Damaged(f"the version of its form cannot be read ({error})") from None
    form = "" if row is None else str(row[0])
    if form not in known:
        raise SettingsError(f"{file}: was made by a newer recording_processor")
    return form, form == script.get_current_head()


def _findings(connection: sqlite3.Connection, watch: Watch, counts: _Counts) -> Iterator[Finding]:
    try:
        connection.execute("BEGIN")
        yield from _damage(connection)
        yield from _lost_links(connection)
        yield from _ours(connection, watch, counts)
        connection.execute("COMMIT")
    except sqlite3.DatabaseError as error:
        # A damaged page ends the reading wherever it lies.
        yield Finding(_ORIGIN, "the file", str(error))


def _damage(connection: sqlite3.Connection) -> Iterator[Finding]:
    for (text,) in connection.execute(f"PRAGMA integrity_check({_MOST})"):
        if text != "ok":
            yield Finding(_ORIGIN, "the file", str(text).replace("\n", "; "))


def _lost_links(connection: sqlite3.Connection) -> Iterator[Finding]:
    for table, row, parent, _ in connection.execute("PRAGMA foreign_key_check"):
        yield Finding("link", f"{table}, row {row}", f"it belongs to nothing in {parent}")


def _ours(connection: sqlite3.Connection, watch: Watch, counts: _Counts) -> Iterator[Finding]:
    tables = {row[0] for row in connection.execute("SELECT name FROM sqlite_master")}
    total = connection.execute("SELECT count(*) FROM recordings").fetchone()[0]
    last = -1
    while batch := connection.execute(
        "SELECT * FROM recordings WHERE number > ? ORDER BY number LIMIT ?", (last, _BATCH)
    ).fetchall():
        last = batch[-1]["number"]
        rows = invariants.rows_of(connection, [row["number"] for row in batch])
        for row in batch:
            yield from invariants.recording_findings(row, rows)
        counts.recordings += len(batch)
        counts.media_files += sum(map(len, rows.media_files.values()))
        watch(counts.recordings, total)
    yield from invariants.profile_findings(connection)
    if "onward_posts" in tables:
        yield from invariants.outbox_findings(connection)
