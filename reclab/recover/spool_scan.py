"""Looking through a spool without changing it, whoever holds it: what lies where, and how far.

Items move while a platform runs: one that is gone when it is looked at has moved on, and is met in
its next folder or was delivered.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import msgspec

from mcp_sim.recording.spool.folders import FAILURE, ITEM, JOURNAL, MEDIA, SpoolFolders, State
from mcp_sim.recording.spool.item import Part, Progress, SpoolItem, read_progress
from recording_format.errors import MetadataError
from recording_format.media_file import MediaFile
from recording_format.metadata import decode_metadata

_LONGEST_REASON = 2000
_NAME = re.compile(r"(.+)-[0-9a-f]{8}-[0-9a-f]{8}-[0-9]{8}")


class SpoolEntry(msgspec.Struct, frozen=True, kw_only=True):
    """One item as it lies there, without its metadata's weight.

    `unreadable` and `incomplete` say what is wrong with its metadata. `put_aside` is why it is in
    ``failed``. `part`, its addresses and its `progress` are of what is not delivered yet: the
    recording, or else its copy in a second store. What is empty is not known.
    """

    name: str
    state: State
    folder: str
    recording: str = ""
    media: str = ""
    tenant: str = ""
    profile_dbid: int = 0
    part: Part = Part.RECORDING
    storage_url: str = ""
    processor_url: str = ""
    aliases: tuple[str, ...] = ()
    pkcs7: str | None = None
    described: bool = False
    unreadable: str = ""
    incomplete: str = ""
    has_sound: bool = False
    has_journal: bool = False
    put_aside: str = ""
    progress: Progress = Progress()

    @property
    def deliverable(self) -> bool:
        """Whether there are sound and metadata, as far as a look tells."""
        return self.described and self.has_sound


def scan_spool(root: Path) -> Iterator[SpoolEntry]:
    """Yield every item; delivered ones too, of which only the description is left.

    Raises `OSError` for a spool that cannot be read.
    """
    folders = SpoolFolders(root)
    for state in State:
        if (root / state).is_dir():
            for name in folders.items(state):
                entry = look(folders, name, state)
                if entry is not None:
                    yield entry


def look(folders: SpoolFolders, name: str, state: State) -> SpoolEntry | None:
    """Return one item, or None when it has moved on. Raises `OSError`."""
    folder = folders.folder(name, state)
    entry = SpoolEntry(
        name=name,
        state=state,
        folder=str(folder),
        recording=_recording_of(name),
        has_sound=(folder / MEDIA).is_file(),
        has_journal=(folder / JOURNAL).is_file(),
        put_aside=_text(folder / FAILURE) if state is State.FAILED else "",
    )
    if state not in (State.CAPTURING, State.RENDERING):
        entry = _described(entry, folder)
    return entry if folder.is_dir() else None


def read_description(folder: Path) -> SpoolItem:
    """Return ``item.json``, whether there is sound beside it or not.

    Raises `OSError`, or `ValueError` with a sentence.
    """
    try:
        return msgspec.json.decode((folder / ITEM).read_bytes(), type=SpoolItem)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise ValueError(f"{folder / ITEM} cannot be read: {error}") from None


def _described(entry: SpoolEntry, folder: Path) -> SpoolEntry:
    try:
        item = read_description(folder)
    except FileNotFoundError:
        return entry
    except ValueError as error:
        return msgspec.structs.replace(entry, unreadable=str(error))
    progress = {part: read_progress(folder, part) for part in item.parts}
    part = next((one for one, known in progress.items() if not _is_there(known)), Part.RECORDING)
    entry = msgspec.structs.replace(
        entry,
        described=True,
        recording=item.recording_id,
        media=item.media_id,
        tenant=item.tenant,
        profile_dbid=item.profile_dbid,
        part=part,
        storage_url=item.for_part(part).storage_url,
        processor_url=item.processor_url,
        progress=progress[part],
    )
    return entry if entry.state is State.DELIVERED else _with_metadata(entry, item)


def _with_metadata(entry: SpoolEntry, item: SpoolItem) -> SpoolEntry:
    try:
        media: MediaFile = decode_metadata(bytes(item.metadata)).media_files[0]
    except MetadataError as error:
        sentence = f"the metadata of {item.media_id} cannot be used: {error}"
        # Where the error names a path, the JSON is there and something in it is not.
        field = "unreadable" if error.fault == "is not JSON" else "incomplete"
        return msgspec.structs.replace(entry, **{field: sentence}, described=False)
    return msgspec.structs.replace(entry, aliases=tuple(media.cert_alias), pkcs7=media.pkcs7)


def _recording_of(name: str) -> str:
    """Return the recording's id that an item's name begins with, where it ends as ours do."""
    found = _NAME.fullmatch(name)
    return found[1] if found else ""


def _is_there(progress: Progress) -> bool:
    return progress.settled and not progress.given_up


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")[:_LONGEST_REASON].strip()
    except OSError:
        return ""
