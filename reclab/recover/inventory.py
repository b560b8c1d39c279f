"""What store, catalogue, spool and papers hold, side by side, whatever their number.

The rows lie in a temporary database that disappears with the process; memory stays bounded.
Papers are metadata that somebody kept as files.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing
from types import TracebackType
from typing import Any, NamedTuple, Self

_TABLES = """
CREATE TABLE object (path TEXT PRIMARY KEY, name TEXT, size INTEGER) WITHOUT ROWID;
CREATE TABLE media (id TEXT PRIMARY KEY, recording TEXT, path TEXT, size INTEGER, sha256 TEXT)
  WITHOUT ROWID;
CREATE INDEX media_path ON media (path);
CREATE TABLE item (media TEXT, recording TEXT, name TEXT, state TEXT, sound INTEGER);
CREATE INDEX item_media ON item (media);
CREATE TABLE paper (media TEXT, recording TEXT, file TEXT, position INTEGER);
CREATE INDEX paper_media ON paper (media);
"""
_ORPHANS = """
SELECT path, name, size FROM object
WHERE NOT EXISTS (SELECT 1 FROM media WHERE media.path = object.path)
  AND NOT EXISTS (SELECT 1 FROM media WHERE id = object.name)
  AND NOT EXISTS (SELECT 1 FROM media WHERE id = substr(object.name, 1, length(object.name) - 4)
                  AND object.name LIKE '%.bin')
ORDER BY path
"""
_MISSING = """
SELECT id, recording, media.path, media.size, sha256 FROM media
WHERE media.path <> '' AND NOT EXISTS (SELECT 1 FROM object WHERE object.path = media.path)
ORDER BY recording, id
"""
_DIFFERENT = """
SELECT id, recording, media.path, media.size, sha256 FROM media
JOIN object ON object.path = media.path
WHERE media.size IS NOT NULL AND object.size IS NOT NULL AND object.size <> media.size
ORDER BY recording, id
"""
_STORED = """
SELECT id, recording, media.path, media.size, sha256 FROM media
JOIN object ON object.path = media.path WHERE sha256 <> '' ORDER BY recording, id
"""


class ObjectRow(NamedTuple):
    """An object of the store: decoded path, last part of it, length where the store tells it."""

    path: str
    name: str
    size: int | None

    @property
    def media(self) -> str:
        """The media id that the name tells."""
        return self.name.removesuffix(".bin")


class MediaRow(NamedTuple):
    """A media file of the catalogue. `path` is empty for one in another store; `size` and `sha256`
    are the object's where the metadata tell them.
    """

    id: str
    recording: str
    path: str
    size: int | None
    sha256: str


class ItemRow(NamedTuple):
    """An item of the spool whose metadata can be read; `sound`: its media file is there."""

    media: str
    recording: str
    name: str
    state: str
    sound: bool


class PaperRow(NamedTuple):
    """The media file at `position` of a metadata file."""

    media: str
    recording: str
    file: str
    position: int


class Inventory:
    """The four tables, within the block."""

    def __init__(self) -> None:
        # An empty name: a temporary file that only this connection knows.
        self._database = sqlite3.connect("", isolation_level=None)
        self._database.executescript(_TABLES)

    def __enter__(self) -> Self:
        self._database.execute("BEGIN")
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        self._database.close()

    def add_objects(self, rows: Iterable[ObjectRow]) -> None:
        """Add what the store holds."""
        self._database.executemany("INSERT OR REPLACE INTO object VALUES (?, ?, ?)", rows)

    def add_media(self, rows: Iterable[MediaRow]) -> None:
        """Add what the catalogue knows."""
        self._database.executemany("INSERT OR REPLACE INTO media VALUES (?, ?, ?, ?, ?)", rows)

    def add_items(self, rows: Iterable[ItemRow]) -> None:
        """Add what the spool describes."""
        self._database.executemany("INSERT INTO item VALUES (?, ?, ?, ?, ?)", rows)

    def add_papers(self, rows: Iterable[PaperRow]) -> None:
        """Add metadata of files."""
        self._database.executemany("INSERT INTO paper VALUES (?, ?, ?, ?)", rows)

    def count(self, table: str) -> int:
        """Return how many rows ``object`` or ``media`` has."""
        [(count,)] = self._database.execute(f"SELECT count(*) FROM {table}")  # noqa: S608 - ours
        return int(count)

    def elsewhere(self) -> int:
        """Return how many media files the catalogue has in other stores."""
        [(count,)] = self._database.execute("SELECT count(*) FROM media WHERE path = ''")
        return int(count)

    def orphans(self) -> Iterator[ObjectRow]:
        """Yield the objects that no media file of the catalogue names."""
        return (ObjectRow(*row) for row in self._rows(_ORPHANS))

    def missing(self) -> Iterator[MediaRow]:
        """Yield the media files whose object the store does not hold."""
        return (MediaRow(*row) for row in self._rows(_MISSING))

    def different(self) -> Iterator[MediaRow]:
        """Yield the media files whose object has another length."""
        return (MediaRow(*row) for row in self._rows(_DIFFERENT))

    def stored(self) -> Iterator[MediaRow]:
        """Yield the media files whose object is there and whose digest is known."""
        return (MediaRow(*row) for row in self._rows(_STORED))

    def is_well(self, media: str) -> bool:
        """Return whether the catalogue knows a media id, and the store holds its object."""
        return any(
            self._rows(
                "SELECT 1 FROM media JOIN object ON object.path = media.path WHERE id = ?", media
            )
        )

    def items(self, media: str) -> list[ItemRow]:
        """Return what the spool has of a media id."""
        rows = self._rows("SELECT * FROM item WHERE media = ? ORDER BY state", media)
        return [ItemRow(*row) for row in rows]

    def papers(self, media: str) -> list[PaperRow]:
        """Return the metadata files that speak of a media id, the last one first."""
        rows = self._rows("SELECT * FROM paper WHERE media = ? ORDER BY file DESC", media)
        return [PaperRow(*row) for row in rows]

    def _rows(self, query: str, *values: str) -> Iterator[tuple[Any, ...]]:
        with closing(self._database.cursor()) as cursor:
            yield from cursor.execute(query, values)
