"""``--impair``: what shall go wrong on the legs of a load run, from words or from a TOML file.

``customer:loss=0.02,jitter=30``, ``agent:one_way``, ``loss=0.01`` for both legs, or a file whose
fields are for both, with tables ``customer`` and ``agent`` over them. What comes later adds to what
came before, field by field.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import msgspec

from mcp_sim.load.impairments import Impairments
from mcp_sim.load.signature import LEGS
from mcp_sim.rtp.impairment import Impairment, ImpairmentError
from service_shell.settings import SettingsError

HELP: Final = (
    "Impair RTP on purpose: [customer:|agent:]FIELD=VALUE,… or FILE.toml; repeatable. Fields: "
    "loss, burst_loss, burst_length, duplicate, reorder, reorder_by, jitter (ms), ssrc_change_at "
    "(s), drift (ppm), one_way, nat_rebinding_at (s), talk and silence (s). See docs/impairment.md."
)
_BOTH: Final = "both"
_SHORT: Final = {"jitter": "jitter_ms", "drift": "drift_ppm"}
_FIELDS: Final = Impairment.__struct_fields__
Fields = dict[str, object]


def read_impairments(options: Sequence[str]) -> Impairments:
    """Return what all ``--impair`` options together say.

    Raises `SettingsError` with one sentence for what cannot be understood or makes no sense.
    """
    legs: dict[str, Fields] = {leg: {} for leg in LEGS}
    for option in options:
        for where, fields in _read_option(option):
            for leg in LEGS if where == _BOTH else [where]:
                legs[leg].update(fields)
    impairments = Impairments(**{leg: _convert(leg, said) for leg, said in legs.items() if said})
    try:
        impairments.check()
    except ImpairmentError as error:
        raise SettingsError(f"--impair {error}") from None
    return impairments


def _read_option(option: str) -> list[tuple[str, Fields]]:
    if option.endswith(".toml"):
        return _read_file(Path(option))
    where, colon, words = option.rpartition(":")
    where = where if colon else _BOTH
    if where not in (*LEGS, _BOTH):
        raise SettingsError(f"--impair {option}: the leg is customer, agent or both, not {where!r}")
    fields: Fields = {}
    for word in words.split(","):
        name, equals, value = (part.strip() for part in word.partition("="))
        name = _known(name, option)
        if not equals and name != "one_way":
            raise SettingsError(f"--impair {option}: {name} needs a value, as in {name}=…")
        fields[name] = _parse(value) if equals else True
    return [(where, fields)]


def _read_file(path: Path) -> list[tuple[str, Fields]]:
    try:
        said = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise SettingsError(f"--impair {path} cannot be read: {error.strerror}") from None
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise SettingsError(f"--impair {path} is not TOML: {error}") from None
    tables = {leg: said.pop(leg) for leg in (_BOTH, *LEGS) if leg in said}
    found: list[tuple[str, Fields]] = [(_BOTH, said)] if said else []
    for where, table in tables.items():
        if not isinstance(table, Mapping):
            raise SettingsError(f"--impair {path}: {where} has to be a table, [{where}]")
        found.append((where, dict(table)))
    if not found:
        raise SettingsError(f"--impair {path} names nothing that shall go wrong")
    return [
        (where, {_known(name, str(path)): value for name, value in fields.items()})
        for where, fields in found
    ]


def _known(name: str, option: str) -> str:
    name = _SHORT.get(name, name)
    if name not in _FIELDS:
        known = ", ".join(_FIELDS)
        raise SettingsError(f"--impair {option}: there is no {name!r}; there are {known}")
    return name


def _parse(value: str) -> object:
    """Return a number or a truth as TOML would, a little more generously; else the text."""
    for kind in (int, float):
        try:
            return kind(value)
        except ValueError:
            continue
    return {"true": True, "false": False}.get(value.lower(), value)


def _convert(leg: str, said: Fields) -> Impairment:
    for name, value in said.items():
        try:
            msgspec.convert({name: value}, Impairment)
        except msgspec.ValidationError:
            raise SettingsError(f"--impair {leg}: {name} cannot be {value!r}") from None
    return msgspec.convert(said, Impairment)
