"""docs/certificates.md is a rehearsal: every command in it is typed here, in its order.

A block of ``sh`` has to succeed, one of ``sh refused`` has to end with exit code 1. The block of
``text`` behind it, where there is one, has to be found in what was said, line by line; ``…`` stands
for any text. Only the usual addresses are changed to those of the lab that the test started.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.end_to_end.administrator import Desk
from tests.end_to_end.gnupg import gnupg_homes
from tests.end_to_end.lab_under_test import LabUnderTest, lab_up
from tests.peers import peer

GUIDE = Path(__file__).parents[2] / "docs" / "certificates.md"
PROGRAMS = ("openssl", "curl", "keytool", "gpgsm", "unzip", "faketime")
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


def addresses(lab: LabUnderTest) -> dict[str, str]:
    """The usual addresses, and those of this lab."""
    doors = {"8800": "control", "8801": "store", "8802": "processor", "8803": "crypto"}
    usual = {f"http://127.0.0.1:{port}": lab.lab[door] for port, door in doors.items()}
    usual["http://127.0.0.1:8801"] = lab.lab["store"].removesuffix("/recordings")
    return {**usual, "127.0.0.1:5060": lab.sip}


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


@pytest.fixture
def homes(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Where the guide's `mktemp -d` makes a home of GnuPG."""
    with gnupg_homes() as folder:
        monkeypatch.setenv("TMPDIR", str(folder))
        yield


@pytest.mark.peer
@pytest.mark.slow
@pytest.mark.usefixtures("homes")
def test_the_guide_can_be_rehearsed(tmp_path: Path) -> None:
    """All commands, in the order of the guide, on a fresh lab in the folder `reclab-data`."""
    for program in PROGRAMS:
        peer(program)
    with lab_up(tmp_path / "reclab-data") as lab:
        desk = Desk(tmp_path)
        for block in blocks(GUIDE.read_text(encoding="utf-8")):
            commands, expected = block.commands, block.expected
            for usual, here in addresses(lab).items():
                commands, expected = commands.replace(usual, here), expected.replace(usual, here)
            types = desk.is_refused if block.refused else desk.types
            said = types(BEGIN + commands + ("" if block.refused else END))
            missing = said_as_written(expected, said)
            assert missing is None, f"{GUIDE.name}:{block.line}: {missing!r} not in\n{said}"


def test_what_is_expected_is_compared() -> None:
    """The comparison of this test itself finds what was not said, and minds the order."""
    assert said_as_written("one … three\nfour", "one two three\nfour\n") is None
    assert said_as_written("four\none", "one\nfour\n") == "one"
    assert said_as_written("one … four", "one\nfour\n") == "one … four"
