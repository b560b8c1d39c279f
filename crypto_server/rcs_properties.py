"""The crypto server's settings from ``rcs.properties``, the file of the real product.

``cacertstorepath`` and ``cacertstorepassword`` are known names, the others are this lab's. A real
file has many more keys: they are told by name and refused by nobody. Paths are relative to the
file's own folder. Passwords stay in the file: settings only say that they are there.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from crypto_server.keystore.password_files import PROPERTIES
from crypto_server.properties import PropertiesError, parse_properties
from crypto_server.settings import Settings
from service_shell.settings import SettingsError, load_settings

PREFIX = "crypto"
_MOST_BYTES = 1 << 20
_VALUES = {
    "listen": "listen",
    "processorurl": "processor.url",
    "processoruser": "processor.user",
    "minimumkeybits": "validation.minimum_key_bits",
    "allowsha1": "validation.allow_sha1",
    "sessionminutes": "administration.session_minutes",
    "expiringdays": "administration.expiring_days",
}
_PATHS = {
    "cacertstorepath": "validation.ca_file",
    "keystorepath": "keystore.folder",
    "auditfile": "audit.file",
}
_PASSWORDS = {
    "cacertstorepassword": "validation.ca_password_file",
    "keystorepassword": "keystore.password_file",
    "processorpassword": "processor.password_file",
}
NAMES = tuple(sorted([*_VALUES, *_PATHS, *_PASSWORDS]))


class LoadedSettings(NamedTuple):
    """Settings, and sentences for the log about what was not understood."""

    settings: Settings
    notes: tuple[str, ...]


def load_crypto_settings(config: Path, environ: Mapping[str, str]) -> LoadedSettings:
    """Read `config`: TOML, which may name an ``rcs_properties`` file, or such a file itself.

    What the TOML file says goes over the properties, the environment over both.

    Raises `SettingsError`.
    """
    if config.suffix == PROPERTIES:
        return _with_properties(None, config, environ)
    settings = load_settings(Settings, config, prefix=PREFIX, environ=environ)
    if not settings.rcs_properties:
        return LoadedSettings(settings, ())
    return _with_properties(config, Path(settings.rcs_properties), environ)


def _with_properties(
    toml: Path | None, properties: Path, environ: Mapping[str, str]
) -> LoadedSettings:
    found = _read(properties)
    said = _names_in(tomllib.loads(toml.read_text(encoding="utf-8"))) if toml else set()
    overrides: dict[str, object] = {}
    for key, value in found.items():
        name, setting = _setting(key, value, properties)
        if name is not None and name not in said and not _in_environment(name, environ):
            overrides[name] = setting
    try:
        settings = load_settings(
            Settings, toml, prefix=PREFIX, environ=environ, overrides=overrides
        )
    except SettingsError as error:
        raise SettingsError(f"{error} (with {properties})") from None
    return LoadedSettings(settings, _notes(properties, found))


def _read(path: Path) -> dict[str, str]:
    try:
        with path.open("rb") as file:
            data = file.read(_MOST_BYTES + 1)
    except OSError as error:
        raise SettingsError(f"{path}: cannot be read ({error.strerror})") from None
    if len(data) > _MOST_BYTES:
        raise SettingsError(f"{path}: is too large for a properties file")
    try:
        return parse_properties(data)
    except PropertiesError as error:
        raise SettingsError(f"{path}: is not a properties file: {error}") from None


def _setting(key: str, value: str, properties: Path) -> tuple[str | None, object]:
    """Return the setting that a property stands for, by its dotted name, and its value."""
    value = value.strip()
    if not value:
        return None, value
    if key in _PATHS:
        return _PATHS[key], str(properties.parent / value)
    if key in _PASSWORDS:
        return _PASSWORDS[key], str(properties)
    return _VALUES.get(key), value


def _notes(properties: Path, found: Mapping[str, str]) -> tuple[str, ...]:
    unknown = sorted(key for key in found if key not in NAMES)
    if not unknown:
        return ()
    listed = ", ".join(repr(key[:40]) for key in unknown[:20])
    more = f" and {len(unknown) - 20} more" if len(unknown) > 20 else ""
    return (f"{properties} has keys that mean nothing here: {listed}{more}",)


def _names_in(data: Mapping[str, Any], prefix: str = "") -> set[str]:
    names: set[str] = set()
    for key, value in data.items():
        names |= _names_in(value, f"{prefix}{key}.") if isinstance(value, dict) else {prefix + key}
    return names


def _in_environment(name: str, environ: Mapping[str, str]) -> bool:
    return f"RECLAB_{PREFIX}__{name.replace('.', '__')}".upper() in environ
