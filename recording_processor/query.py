"""A query string's parameters, read one by one; whatever is wrong is told by the parameter's name.

Pure. Errors are `BadParameter`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import TypeVar

from recording_processor.errors import BadParameter

_T = TypeVar("_T")
_LONGEST_SHOWN = 64


def parameters(
    query: Iterable[tuple[str, str]], allowed: Collection[str], *, of: str = "this address"
) -> dict[str, str]:
    """Return the parameters; each is one of `allowed`, and given once. `of` is for messages."""
    given: dict[str, str] = {}
    for name, value in query:
        if name not in allowed:
            raise BadParameter(f"{name[:_LONGEST_SHOWN]!r} is not a parameter of {of}")
        if name in given:
            raise BadParameter(f"{name} is given twice")
        given[name] = value
    return given


def read(name: str, given: Mapping[str, str], parse: Callable[[str], _T]) -> _T | None:
    """Return a parameter as `parse` reads it, which may raise `ValueError`; None without one."""
    if name not in given:
        return None
    try:
        return parse(given[name])
    except ValueError as error:
        raise BadParameter(f"{name}: {error}") from None


def whole_number(least: int, most: int) -> Callable[[str], int]:
    """Return what reads a whole number from `least` to `most`; it raises `ValueError`."""

    def parse(text: str) -> int:
        if not re.fullmatch(r"[0-9]{1,16}", text) or not least <= int(text) <= most:
            raise ValueError(f"it is not a whole number from {least} to {most}")
        return int(text)

    return parse
