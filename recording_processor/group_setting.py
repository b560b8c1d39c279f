"""Settings of a group, each for a location: read from a request, checked, and chosen. Pure.

Known are ``decrypt-uri-prefix`` (where recordings are decrypted for playback) and ``storage``
(where screen recordings are kept). A storage's value may hold a password: it is kept, and left out
of every answer.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from urllib.parse import urlsplit

import msgspec

from recording_format.metadata import is_secret_parameter
from recording_processor.errors import BadParameter
from recording_processor.json_body import decode_body
from recording_processor.location import ROOT, covers, parse_location
from recording_processor.profile_options import is_plain_url

SCREEN_RECORDING = "screen-recording"
DECRYPT_URI_PREFIX = "decrypt-uri-prefix"
STORAGE = "storage"
_LONGEST_VALUE = 64 * 1024
_DEEPEST_VALUE = 8
# What stores call their passwords, beside what metadata calls them.
_SECRET = re.compile(r"^auth$|token|(access|account|api|private)[ _-]?key", re.IGNORECASE)

#: Text, or a JSON object or array.
Value = str | dict[str, object] | list[object]


class GroupSetting(msgspec.Struct, frozen=True):
    """A value that holds at `location` and below it."""

    name: str
    location: str
    value: Value

    def __repr__(self) -> str:
        return f"<GroupSetting {self.name} at {self.location}>"


class _Body(msgspec.Struct, forbid_unknown_fields=True):
    name: str
    location: str | None = None
    value: Value | None = None


class Key(msgspec.Struct, frozen=True):
    """Which setting is meant."""

    name: str
    location: str


def read_setting(body: bytes, query: Mapping[str, str]) -> GroupSetting:
    """Read a setting that is put; its location may stand in the query instead.

    Raises `BadParameter`.
    """
    read = decode_body(body, _Body)
    key = _key(read.name, read.location, query.get("location"))
    if read.value is None:
        raise BadParameter("value: it is missing")
    if len(msgspec.json.encode(read.value)) > _LONGEST_VALUE:
        raise BadParameter(f"value: it is longer than {_LONGEST_VALUE} bytes")
    fault = _CHECKS[key.name](read.value)
    if fault is not None:
        raise BadParameter(f"value: {fault}")
    return GroupSetting(key.name, key.location, read.value)


def read_key(body: bytes, query: Mapping[str, str]) -> Key:
    """Read which setting is deleted, from the body, the query or both. Raises `BadParameter`."""
    read = decode_body(body, _Body) if body.strip() else _Body(query.get("name", ""))
    if query.get("name", read.name) != read.name:
        raise BadParameter("name: the body and the address differ")
    return _key(read.name, read.location, query.get("location"))


def location_of(text: str) -> str:
    """Read a location. Raises `BadParameter`."""
    try:
        return parse_location(text)
    except ValueError as error:
        raise BadParameter(f"location: {error}") from None


def effective(settings: Iterable[GroupSetting], node: str) -> dict[str, GroupSetting]:
    """Return what holds at the location `node`, by name: the longest location that covers it."""
    found: dict[str, GroupSetting] = {}
    for setting in settings:
        known = found.get(setting.name)
        nearer = known is None or len(setting.location) > len(known.location)
        if nearer and covers(setting.location, node):
            found[setting.name] = setting
    return found


def answer_of(setting: GroupSetting) -> dict[str, object]:
    """Return a setting as it is answered, without the passwords of its value."""
    return {
        "name": setting.name,
        "location": setting.location,
        "value": _without_secrets(setting.value),
    }


def _key(name: str, *locations: str | None) -> Key:
    if name not in _CHECKS:
        raise BadParameter(f"name: it is not one of {', '.join(_CHECKS)}")
    said = {location_of(text) for text in locations if text is not None}
    if len(said) > 1:
        raise BadParameter("location: the body and the address differ")
    return Key(name, said.pop() if said else ROOT)


def _decrypt_uri_prefix(value: Value) -> str | None:
    if not isinstance(value, str) or not value.isascii() or not is_plain_url(value):
        return "it is not an http or https URL without a password in it"
    return "it has a query or a fragment" if "?" in value or "#" in value else None


def _storage(value: Value) -> str | None:
    if isinstance(value, str):
        return _place_fault(value)
    return _nested_fault(value, _DEEPEST_VALUE)


def _place_fault(text: str) -> str | None:
    """A place is a URL, or the name of a folder."""
    if not text.strip() or not text.isprintable():
        return "it is empty or holds a control character"
    if "://" not in text:
        return None
    try:
        parts = urlsplit(text)
    except ValueError:
        return "it is not a URL"
    return "a URL of it holds a name or a password" if "@" in parts.netloc else None


def _nested_fault(value: object, depth: int) -> str | None:
    if depth == 0:
        return "it is nested too deeply"
    inner: Iterable[object] = ()
    if isinstance(value, dict):
        inner = value.values()
    elif isinstance(value, list):
        inner = value
    elif isinstance(value, str) and "://" in value:
        return _place_fault(value)
    return next((fault for part in inner if (fault := _nested_fault(part, depth - 1))), None)


def _without_secrets(value: object) -> object:
    if isinstance(value, dict):
        return {k: _without_secrets(v) for k, v in value.items() if not _is_secret(k)}
    return [_without_secrets(part) for part in value] if isinstance(value, list) else value


def _is_secret(name: str) -> bool:
    return is_secret_parameter(name) or _SECRET.search(name) is not None


_CHECKS: Mapping[str, Callable[[Value], str | None]] = {
    DECRYPT_URI_PREFIX: _decrypt_uri_prefix,
    STORAGE: _storage,
}
