"""docs/faults.md is a rehearsal: every command in it is typed here, on a lab with faults enabled.

The blocks are read, and what they have to say is compared, as those of the certificates' guide are.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.end_to_end.administrator import Desk
from tests.end_to_end.guide import type_all
from tests.end_to_end.lab_under_test import lab_up
from tests.end_to_end.test_certificate_guide import addresses
from tests.peers import peer

GUIDE = Path(__file__).parents[2] / "docs" / "faults.md"


@pytest.mark.peer
@pytest.mark.slow
def test_the_guide_can_be_rehearsed(tmp_path: Path) -> None:
    """All commands, in the order of the guide; at the end nothing is broken any more."""
    peer("curl")
    with lab_up(tmp_path / "reclab-data", "--faults") as lab:
        desk = Desk(tmp_path)
        type_all(GUIDE, desk, addresses(lab))
        states = json.loads(lab.reclab("faults", "show", "--json").stdout)
        assert [states[target]["seconds"] for target in states] == [None] * 4
        cleared = lab.reclab("faults", "clear")
        assert (cleared.returncode, cleared.stdout) == (0, "no faults are in force\n")
