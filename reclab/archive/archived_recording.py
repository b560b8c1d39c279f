"""One recording into its folder: each media file, proven while it is written, and the metadata.

A file that is there and right is not fetched again. One that cannot be had is told in
``recording.json``; the others are archived all the same.
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import aiohttp
import msgspec

from reclab.archive.server import JsonDict, Server, Unavailable
from reclab.archive.whole_file import clear_rests, holds, make_folders, whole_file, write_whole
from recording_format.archive_entry import (
    ArchivedFile,
    ArchiveFacts,
    Problem,
    file_prefix,
    lab_of,
    recording_document,
    stored_size,
)
from recording_format.archive_layout import RECORDING_FILE, media_file_names, recording_folder
from recording_format.checked_stream import CheckedStream
from recording_format.errors import RecordingFormatError
from recording_format.lab import Lab
from recording_format.timestamps import parse_time

_BLOCK = 1 << 18
_TRIES = 3


class Outcome(msgspec.Struct):
    """What became of one recording. `fetched` of its `files` were not there before."""

    files: list[ArchivedFile] = msgspec.field(default_factory=list)
    problems: list[Problem] = msgspec.field(default_factory=list)
    bytes: int = 0
    fetched: int = 0
    fetched_bytes: int = 0
    changed: bool = False


class RecordingWriter:
    """Writes recordings of one contact centre below `root`."""

    def __init__(self, server: Server, root: Path, contact_center: str) -> None:
        self._server = server
        self._root = root
        self._contact_center = contact_center

    async def write(self, recording: JsonDict, tenant: str) -> Outcome:
        """Bring a recording to the disk; `recording` is the processor's answer.

        Raises `OSError` for the disk and `ArchiveFailed` for a processor that does not answer.
        """
        started = parse_time(recording["startTime"])
        parts = recording_folder(self._contact_center, tenant, started, recording["id"])
        folder = make_folders(self._root, parts)
        clear_rests(folder)
        media: list[JsonDict] = recording["mediaFiles"]
        names = media_file_names([(one["mediaId"], bool(one.get("pkcs7"))) for one in media])
        known = _known_files(folder)
        done = Outcome()
        for one, name in zip(media, names, strict=True):
            try:
                await self._media(one, folder / name, known.get(name), done)
            except (Unavailable, RecordingFormatError) as fault:
                done.problems.append(
                    Problem(id=recording["id"], media_id=one["mediaId"], problem=str(fault))
                )
        facts = ArchiveFacts(
            contact_center=self._contact_center,
            tenant=tenant,
            files=done.files,
            problems=done.problems,
        )
        document = recording_document(recording, facts)
        done.changed = done.fetched > 0 or not _is(folder / RECORDING_FILE, document)
        if done.changed:
            write_whole(folder / RECORDING_FILE, document)
        return done

    async def _media(
        self, media: JsonDict, path: Path, known: ArchivedFile | None, done: Outcome
    ) -> None:
        lab = lab_of(media)
        there = _present(path, media, lab, known)
        if there is None:
            there = await self._fetch_again(media, path, lab)
            done.fetched += 1
            done.fetched_bytes += _length(path)
        done.files.append(there)
        done.bytes += _length(path)

    async def _fetch_again(self, media: JsonDict, path: Path, lab: Lab | None) -> ArchivedFile:
        for _ in range(_TRIES - 1):
            with suppress(aiohttp.ClientError, TimeoutError):
                return await self._fetch(media, path, lab)
        try:
            return await self._fetch(media, path, lab)
        except (aiohttp.ClientError, TimeoutError):
            raise Unavailable("the processor broke off") from None

    async def _fetch(self, media: JsonDict, path: Path, lab: Lab | None) -> ArchivedFile:
        async with self._server.stored(media) as answer:
            size = stored_size(lab, answer.content_length)
            check = CheckedStream(size, lab)
            prefix = file_prefix(media.get("pkcs7"), size)
            with whole_file(path) as file:
                file.write(prefix)
                async for block in answer.content.iter_chunked(_BLOCK):
                    for chunk in check.take(block):
                        file.write(chunk)
                for chunk in check.finish():
                    file.write(chunk)
        return _archived(media, path, size, check.sha256, lab)


def _present(
    path: Path, media: JsonDict, lab: Lab | None, known: ArchivedFile | None
) -> ArchivedFile | None:
    """Return the file that is there, when it is right; without digests, as it was written once."""
    right = lab or known
    if right is None or not path.is_file():
        return None
    prefix = file_prefix(media.get("pkcs7"), right.size)
    if not holds(path, prefix, right.size, right.sha256):
        return None
    return _archived(media, path, right.size, right.sha256, lab)


def _archived(media: JsonDict, path: Path, size: int, sha256: str, lab: Lab | None) -> ArchivedFile:
    return ArchivedFile(
        media_id=media["mediaId"],
        name=path.name,
        encrypted=bool(media.get("pkcs7")),
        size=size,
        sha256=sha256.lower(),
        verified=lab is not None,
    )


def _length(path: Path) -> int:
    return path.stat().st_size


class _Archive(msgspec.Struct):
    files: list[ArchivedFile] = []


class _Document(msgspec.Struct):
    archive: _Archive


def _known_files(folder: Path) -> dict[str, ArchivedFile]:
    """Return the files that an earlier run has written."""
    try:
        data = (folder / RECORDING_FILE).read_bytes()
        files = msgspec.json.decode(data, type=_Document).archive.files
    except (FileNotFoundError, msgspec.MsgspecError):
        return {}
    return {file.name: file for file in files}


def _is(path: Path, data: bytes) -> bool:
    try:
        return path.stat().st_size == len(data) and path.read_bytes() == data
    except FileNotFoundError:
        return False
