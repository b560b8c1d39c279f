"""docs/tls.md is a rehearsal too: every command in it is typed here, on a lab that speaks TLS."""

from __future__ import annotations

import os
import signal
from contextlib import suppress
from pathlib import Path

import pytest

from service_shell.listening import bind_tcp, display
from tests.end_to_end.administrator import Desk
from tests.end_to_end.guide import type_all
from tests.end_to_end.lab_under_test import LabUnderTest, lab_up
from tests.peers import peer

GUIDE = Path(__file__).parents[2] / "docs" / "tls.md"


def addresses(lab: LabUnderTest) -> dict[str, str]:
    """The usual addresses, and those of this lab; the guide's own store gets a free port."""
    with bind_tcp("127.0.0.1:0") as sock:
        free = display(sock)
    return {
        "https://127.0.0.1:8802": lab.lab["processor"],
        "127.0.0.1:5061": lab.lab["sip_tls"],
        "127.0.0.1:8901": free,
        "localhost:8901": f"localhost:{free.rpartition(':')[2]}",
    }


@pytest.mark.peer
@pytest.mark.slow
def test_the_guide_can_be_rehearsed(tmp_path: Path) -> None:
    """All commands, in the order of the guide, on a fresh lab in the folder `reclab-data`."""
    for program in ("openssl", "curl"):
        peer(program)
    with lab_up(tmp_path / "reclab-data", "--tls") as lab:
        try:
            type_all(GUIDE, Desk(tmp_path), addresses(lab))
        finally:  # where a block failed, the store that the guide starts still runs
            with suppress(OSError, ValueError):
                os.kill(int((tmp_path / "store.pid").read_text()), signal.SIGTERM)
