"""Settings of a service: one TOML file, environment variables over it, command line over both.

A settings type is a frozen `msgspec.Struct` that forbids unknown fields, with one nested struct per
section. Whatever is wrong is told in one sentence that names the file and the setting's path.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

import msgspec

T = TypeVar("T", bound=msgspec.Struct)


class SettingsError(Exception):
    """A setting, an address or a folder cannot be used; the text is one sentence for the user."""


def load_settings(
    kind: type[T],
    file: Path | None,
    *,
    prefix: str,
    environ: Mapping[str, str],
    overrides: Mapping[str, object] | None = None,
) -> T:
    """Read settings of type `kind`.

    `prefix` names the service: ``RECLAB_<PREFIX>__<SECTION>__<KEY>`` overrides ``[section] key``.
    `overrides` maps dotted paths (``"log.level"``) to values and wins over both.

    Raises `SettingsError` for an unreadable file, an unknown setting or a value of the wrong type.
    """
    data = {} if file is None else _read(file)
    variables = _from_environment(prefix, environ)
    for parts, value in variables.values():
        _put(data, parts, value)
    for dotted, override in (overrides or {}).items():
        _put(data, dotted.split("."), override)
    try:
        return msgspec.convert(data, kind, strict=False)
    except msgspec.ValidationError as error:
        path, sentence = _fault(str(error))
        source = _named_by(path, variables) or file or "settings"
        raise SettingsError(f"{source}: {sentence}") from None


def _read(file: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise SettingsError(f"{file}: cannot be read ({error.strerror})") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"{file}: is not valid TOML ({error})") from None


def _from_environment(
    prefix: str, environ: Mapping[str, str]
) -> dict[str, tuple[list[str], object]]:
    """Return path and value of each variable, by its name."""
    start = f"RECLAB_{prefix.upper()}__"
    return {
        name: (name[len(start) :].lower().split("__"), _value(environ[name]))
        for name in sorted(environ)
        if name.startswith(start)
    }


def _named_by(path: str, variables: Mapping[str, tuple[list[str], object]]) -> str | None:
    """Return the variable that gave the setting at `path`, which may lie deeper in it."""
    for name, (parts, _) in variables.items():
        dotted = ".".join(parts)
        if path == dotted or path.startswith((f"{dotted}.", f"{dotted}[")):
            return f"the variable {name}"
    return None


def _value(text: str) -> object:
    """Return a variable's text, or the list that it is in JSON; ``[::1]:8801`` is none."""
    if text.startswith("["):
        with suppress(ValueError):
            value: object = msgspec.json.decode(text)
            return value
    return text


def _put(data: dict[str, Any], path: list[str], value: object) -> None:
    *sections, key = path
    for section in sections:
        data = data.setdefault(section, {})
        if not isinstance(data, dict):
            raise SettingsError(f"`{'.'.join(path)}`: `{section}` is not a section")
    data[key] = value


_UNKNOWN = re.compile(
    r"Object contains unknown field `(?P<field>[^`]*)`(?: - at `\$\.?(?P<at>.*)`)?"
)
_MISSING = re.compile(
    r"Object missing required field `(?P<field>[^`]*)`(?: - at `\$\.?(?P<at>.*)`)?"
)
_OTHER = re.compile(r"(?P<what>.*) - at `\$\.?(?P<at>.*)`")


def _fault(text: str) -> tuple[str, str]:
    """Turn msgspec's message into the setting's path, and a sentence that names it first."""
    for pattern, what in ((_UNKNOWN, "is an unknown setting"), (_MISSING, "is missing")):
        if match := pattern.fullmatch(text):
            path = ".".join(part for part in (match["at"], match["field"]) if part)
            return path, f"`{path}` {what}"
    if match := _OTHER.fullmatch(text):
        return match["at"], f"`{match['at']}`: {match['what'][0].lower()}{match['what'][1:]}"
    return "", text
