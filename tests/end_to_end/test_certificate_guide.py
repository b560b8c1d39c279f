"""docs/certificates.md is a rehearsal: every command in it is typed here, in its order."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.end_to_end.administrator import Desk
from tests.end_to_end.gnupg import gnupg_homes
from tests.end_to_end.guide import said_as_written, type_all
from tests.end_to_end.lab_under_test import LabUnderTest, lab_up
from tests.peers import peer

GUIDE = Path(__file__).parents[2] / "docs" / "certificates.md"
PROGRAMS = ("openssl", "curl", "keytool", "gpgsm", "unzip", "faketime")


def addresses(lab: LabUnderTest) -> dict[str, str]:
    """The usual addresses, and those of this lab."""
    doors = {"8800": "control", "8801": "store", "8802": "processor", "8803": "crypto"}
    usual = {f"http://127.0.0.1:{port}": lab.lab[door] for port, door in doors.items()}
    usual["http://127.0.0.1:8801"] = lab.lab["store"].removesuffix("/recordings")
    return {**usual, "127.0.0.1:5060": lab.sip}


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
        type_all(GUIDE, Desk(tmp_path), addresses(lab))


def test_what_is_expected_is_compared() -> None:
    """The comparison of this test itself finds what was not said, and minds the order."""
    assert said_as_written("one … three\nfour", "one two three\nfour\n") is None
    assert said_as_written("four\none", "one\nfour\n") == "one"
    assert said_as_written("one … four", "one\nfour\n") == "one … four"
