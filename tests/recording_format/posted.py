"""The posted metadata of wire-formats, to be changed by tests."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TypeAlias

from recording_format.metadata import RecordingMetadata, decode_metadata

VECTORS = Path(__file__).parent / "vectors"
PASSWORD = "agent007:topsecret"
Json: TypeAlias = "bool | int | float | str | list[Json] | dict[str, Json] | None"
Root: TypeAlias = dict[str, "Json"]


def example() -> Root:
    """Return the posted example of wire-formats §6, with everything in it."""
    loaded: Root = json.loads((VECTORS / "metadata.json").read_text())
    return loaded


def file_of(root: Root) -> dict[str, Json]:
    """Return the first media file."""
    files = root["mediaFiles"]
    assert isinstance(files, list)
    assert isinstance(files[0], dict)
    return files[0]


def part(value: Json, *steps: str | int) -> dict[str, Json]:
    """Return an object inside."""
    for step in steps:
        value = value[step]  # type: ignore[index]  # the tests know their example
    assert isinstance(value, dict)
    return value


def read(root: Json) -> RecordingMetadata:
    """Decode a JSON value."""
    return decode_metadata(json.dumps(root).encode())
