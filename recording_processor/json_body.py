"""A request's JSON body as a typed value; whatever is wrong with it is told by its path.

Texts never repeat a value: it may be a password.
"""

from __future__ import annotations

import re
from typing import TypeVar

import msgspec

from recording_processor.errors import BadParameter

_T = TypeVar("_T", bound=msgspec.Struct)


def decode_body(body: bytes, kind: type[_T]) -> _T:
    """Return `body` as `kind`. Raises `BadParameter`."""
    try:
        return msgspec.json.decode(body, type=kind)
    except msgspec.ValidationError as error:
        raise BadParameter(path_first(str(error))) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise BadParameter("the body is not JSON") from None


_FIELD = re.compile(r"Object (?P<what>.*) field `(?P<field>[^`]*)`(?: - at `\$\.?(?P<at>.*)`)?")
_VALUE = re.compile(r"(?P<what>.*) - at `\$\.?(?P<at>.*)`")


def path_first(text: str) -> str:
    """Turn msgspec's message into one that names the path first."""
    if match := _FIELD.fullmatch(text):
        path = ".".join(part for part in (match["at"], match["field"]) if part)
        return f"{path}: it is {'missing' if 'missing' in match['what'] else 'unknown'}"
    if match := _VALUE.fullmatch(text):
        return f"{match['at']}: {match['what'][0].lower()}{match['what'][1:]}"
    return text[0].lower() + text[1:]
