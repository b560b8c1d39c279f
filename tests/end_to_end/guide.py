"""Guides that are typed from top to bottom: their blocks of commands, and what they say.

A block of ``sh`` has to succeed, one of ``sh refused`` has to end with exit code 1. The block of
``text`` behind it, where there is one, has to be found in what was said, line by line; ``…`` stands
for any text. Only the usual addresses are changed to those of the lab that the test started.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from tests.end_to_end.administrator import Desk

# What is kept from one block to the next, as in a terminal: the variables.
BEGIN = "set -a; [ ! -f .variables ] || . ./.variables\n"
END = "\nexport -p > .variables"


class Block(NamedTuple):
    """Some command lines of the guide: where they stand, how they end, what they say."""

    line: int
    commands: str
    refused: bool
    expected: str


def blocks(text: str) -> Iterator[Block]:
    """The blocks of a document, in order."""
    found = list(re.finditer(r"^```(.*)\n((?:.*\n)*?)```$", text, re.MULTILINE))
    for block, following in zip(found, [*found[1:], None], strict=True):
        if not block[1].startswith("sh"):
            continue
        adjacent = following and following[1] == "text" and following.start() - block.end() < 3
        expected = following[2] if following and adjacent else ""
        line = text.count("\n", 0, block.start()) + 1
        yield Block(line, block[2], block[1] == "sh refused", expected)


def said_as_written(expected: str, said: str) -> str | None:
    """Return the first expected line that was not said after those before it, or None."""
    position = 0
    for line in filter(None, map(str.strip, expected.splitlines())):
        pattern = r"[^\n]*".join(re.escape(part.strip()) for part in line.split("…"))
        found = re.compile(pattern).search(said, position)
        if found is None:
            return line
        position = found.end()
    return None


def type_all(guide: Path, desk: Desk, addresses: Mapping[str, str]) -> None:
    """Type every command of a guide, with `addresses` in place of the usual ones."""
    for block in blocks(guide.read_text(encoding="utf-8")):
        commands, expected = block.commands, block.expected
        for usual, here in addresses.items():
            commands, expected = commands.replace(usual, here), expected.replace(usual, here)
        types = desk.is_refused if block.refused else desk.types
        said = types(BEGIN + commands + ("" if block.refused else END))
        missing = said_as_written(expected, said)
        assert missing is None, f"{guide.name}:{block.line}: {missing!r} not in\n{said}"
