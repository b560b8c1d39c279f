"""Names inside an archive: the folders, the media files, and the zip itself.

    /{contact-centre id}/{tenant}/{year-month-day}/{recording id}/recording.json and media files

The day is that of the recording's start, in UTC. Every name is made of letters, digits and a few
signs, which any unzip and any file system takes; a name that cannot stay as it is ends in ``~`` and
a mark. Different names stay different even where letter case does not count.
"""

from __future__ import annotations

import base64
import hashlib
import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import UTC, datetime

#: The metadata beside the media files, and the two files that speak of the whole archive.
RECORDING_FILE = "recording.json"
SUMMARY_FILE = "archive.json"
ERRORS_FILE = "errors.json"

#: Longest names, in characters (which are bytes): a folder's and a media file's.
MAX_FOLDER_NAME = 64
MAX_FILE_NAME = 128

_PLAIN = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9 ._+=@,()-]*[A-Za-z0-9_+=@,()-])?")
_UNSAFE = re.compile(r"[^A-Za-z0-9 ._+=@,()-]")
_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_ENDING = re.compile(r".*[^.](\.[a-z0-9]{1,8})", re.DOTALL)
_WORD = re.compile(r"[a-z]+")
# Names that Windows keeps for devices, with whatever extension.
_DEVICES = {
    "con", "prn", "aux", "nul", "conin$", "conout$",
    *(f"{port}{digit}" for port in ("com", "lpt") for digit in range(10)),
}  # fmt: skip
_OURS = {RECORDING_FILE, SUMMARY_FILE, ERRORS_FILE}
_MARK = 20


def recording_folder(
    contact_center: str, tenant: str, started: datetime, recording_id: str
) -> tuple[str, str, str, str]:
    """Return the four folders of a recording, outermost first; `started` is an aware time."""
    day = started.astimezone(UTC)
    return (
        _folder(contact_center, str.lower),
        _folder(tenant, _capitalized),
        f"{day.year:04d}-{day.month:02d}-{day.day:02d}",
        _folder(recording_id, _usual_id),
    )


def media_file_names(media: Sequence[tuple[str, bool]]) -> list[str]:
    """Return the file name of each media file of one recording: (media id, encrypted).

    ``<media id>.bin`` where it is encrypted, else ``<media id>``. All are different.
    """
    names = [f"{media_id}.bin" if encrypted else media_id for media_id, encrypted in media]
    known = Counter(name.lower() for name in names)
    return [
        name
        if _is_plain(name, MAX_FILE_NAME) and known[name.lower()] == 1
        else _marked(name, MAX_FILE_NAME, _ending(media_id) + (".bin" if encrypted else ""))
        for name, (media_id, encrypted) in zip(names, media, strict=True)
    ]


def zip_name(
    tenant: str | None, filter_type: str, max_age: int | None, min_age: int, made: datetime
) -> str:
    """Return ``<Tenant>-<FilterType>-<MaxAge>-<MinAge>-<yyyyMMddHHmmss>.zip``, the time in UTC.

    Ages are whole days before `made`. Without a tenant it says ``All``, without a greatest age
    ``Any``.
    """
    who = "All" if tenant is None else _folder(tenant, _capitalized)
    oldest = "Any" if max_age is None else str(max_age)
    moment = made.astimezone(UTC).strftime("%Y%m%d%H%M%S")
    return f"{who}-{filter_type}-{oldest}-{min_age}-{moment}.zip"


def _folder(text: str, usual: Callable[[str], str]) -> str:
    """Return a folder's name for `text`; `usual` gives the letter case that needs no mark.

    Other cases get the bits of which letters are capitals, so that nothing is confused where case
    does not count.
    """
    if not _is_plain(text, MAX_FOLDER_NAME):
        return _marked(text, MAX_FOLDER_NAME)
    if text == usual(text.lower()):
        return text
    capitals = "".join("1" if letter.isupper() else "0" for letter in text if letter.isalpha())
    return f"{text}~{int(capitals, 2):x}"


def _capitalized(text: str) -> str:
    return _WORD.sub(lambda word: word[0].capitalize(), text)


def _usual_id(text: str) -> str:
    """A UUID is written small, a call's id (32 of 0-9A-Z) large."""
    return text if _UUID.fullmatch(text) else text.upper()


def _is_plain(text: str, longest: int) -> bool:
    return len(text) <= longest and _PLAIN.fullmatch(text) is not None and not _is_reserved(text)


def _is_reserved(text: str) -> bool:
    small = text.lower()
    return small in _OURS or small.partition(".")[0].strip() in _DEVICES


def _marked(text: str, longest: int, ending: str = "") -> str:
    """Return what can be kept of `text`, and 100 bits of its SHA-256 behind ``~``."""
    digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()
    mark = f"~{base64.b32encode(digest).decode().lower()[:_MARK]}{ending}"
    letters = unicodedata.normalize("NFKD", text[: 4 * longest].removesuffix(ending))
    kept = "".join(letter for letter in letters if not unicodedata.combining(letter))
    kept = _UNSAFE.sub("_", kept).strip(" .")[: longest - len(mark) - 1]
    if _PLAIN.match(kept) is None or _is_reserved(kept):
        kept = f"_{kept}"
    return kept + mark


def _ending(media_id: str) -> str:
    found = _ENDING.fullmatch(media_id)
    return found[1] if found else ""
