"""Names of media files: the template's fields, the serial that makes them unique, the extension.

A name has only POSIX portable characters (letters, digits, ``.``, ``_``, ``-``), never begins with
a dot and is short enough for any file system and URL.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from .errors import FileNameError

#: The fields that a template may name, as the vendor writes them.
FIELDS = (
    "id",
    "sipsAppName",
    "ANI",
    "DNIS",
    "dateTime",
    "callUuid",
    "connId",
    "agentId",
    "MCPDateTime",
)
DEFAULT_TEMPLATE = "$id$_$dateTime$"
#: File name extension by media type.
EXTENSIONS = {"audio/wav": "wav", "audio/mp3": "mp3"}
MAX_MEDIA_ID = 200
EMPTY = "-"
_FIELD = re.compile(r"\$([^$]*)\$")
_UNSAFE = re.compile(r"[^A-Za-z0-9._-]")
_SAFE_NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]*")
_HEX8 = re.compile(r"[0-9a-f]{8}")
_SERIAL = re.compile(r".*-([0-9a-f]{8})-([0-9a-f]{8})-([0-9]{8})\.[a-z0-9]{1,8}(?:\.bin)?")


@dataclass(frozen=True, slots=True)
class MediaSerial:
    """What makes a media id unique: the node, its boot and the segment (1 to 99999999).

    `node` and `boot` are 8 lower-case hex digits. `str()` gives ``-<node>-<boot>-<segment>``.
    """

    node: str
    boot: str
    segment: int

    def __post_init__(self) -> None:
        for label, text in (("node", self.node), ("boot", self.boot)):
            if not _HEX8.fullmatch(text):
                raise FileNameError(f"the {label} of a media serial is not 8 hex digits")
        if not 0 < self.segment < 10**8:
            raise FileNameError(f"{self.segment} is not a segment number of up to 8 digits")

    @classmethod
    def of(cls, media: str) -> MediaSerial | None:
        """Return the serial in a media id or a stored name; None when it has none."""
        found = _SERIAL.fullmatch(media)
        if found is None or not int(found[3]):
            return None
        return cls(found[1], found[2], int(found[3]))

    def __str__(self) -> str:
        return f"-{self.node}-{self.boot}-{self.segment:08d}"


@dataclass(frozen=True, slots=True)
class FileNameTemplate:
    """A template such as ``$id$_$ANI$_$dateTime$``. `parse` makes it."""

    text: str

    @classmethod
    def parse(cls, text: str = DEFAULT_TEMPLATE) -> FileNameTemplate:
        """Check a template: known fields and safe characters; else `FileNameError`."""
        for found in _FIELD.finditer(text):
            if found[1].lower() not in _FIELDS_BY_CASE:
                raise FileNameError(f"the file name template names an unknown field ${found[1]}$")
        rest = _FIELD.sub("", text)
        if "$" in rest:
            raise FileNameError(f"the file name template {text!r} has a $ without its partner")
        if _UNSAFE.search(rest):
            raise FileNameError(f"the file name template {text!r} has characters that are not safe")
        if rest == text:
            raise FileNameError(f"the file name template {text!r} names no field")
        return cls(text)

    def render(self, fields: Mapping[str, str]) -> str:
        """Fill the template; the case of field names does not matter.

        Unsafe characters of a value become ``-``, and so does a field that is empty or missing.
        """
        values = {name.lower(): value for name, value in fields.items()}
        filled = _FIELD.sub(lambda found: _clean(values.get(found[1].lower(), "")), self.text)
        return "-" + filled[1:] if filled.startswith(".") else filled


def media_id(
    template: FileNameTemplate, fields: Mapping[str, str], serial: MediaSerial, extension: str
) -> str:
    """Return a media id of at most 200 characters, for example
    ``ABC_2026-01-02T10-00-00Z-0a1b2c3d-00000001-00000001.wav``.

    `extension` is ``wav`` or ``mp3``, without a dot. A long stem is cut; the serial never is.
    """
    if extension not in EXTENSIONS.values():
        raise FileNameError(f"{extension!r} is not the extension of a media type")
    ending = f"{serial}.{extension}"
    return template.render(fields)[: MAX_MEDIA_ID - len(ending)] + ending


def stored_name(media: str) -> str:
    """Return the name under which an encrypted media file is stored: ``<media id>.bin``."""
    return f"{media}.bin"


def is_safe_name(name: str) -> bool:
    """Return whether `name` could be one of ours: safe characters, no leading dot, not too long."""
    return len(name) <= MAX_MEDIA_ID + 4 and _SAFE_NAME.fullmatch(name) is not None


def _clean(text: str) -> str:
    return _UNSAFE.sub(EMPTY, text) or EMPTY


_FIELDS_BY_CASE = {name.lower() for name in FIELDS}
