"""Before a run: is anybody there?"""

from __future__ import annotations

import socket
from typing import Literal

import pytest

from mcp_sim.load.scenario import ScenarioError
from reclab.target import check_listening
from service_shell.settings import SettingsError


def closed_port(kind: socket.SocketKind) -> int:
    """A port on which nothing listens any more."""
    with socket.socket(socket.AF_INET, kind) as door:
        door.bind(("127.0.0.1", 0))
        return int(door.getsockname()[1])


async def test_nothing_listens_on_udp() -> None:
    """The host's refusal is one sentence."""
    port = closed_port(socket.SOCK_DGRAM)
    with pytest.raises(SettingsError, match=rf"^nothing listens at 127\.0\.0\.1, UDP port {port}$"):
        await check_listening(("127.0.0.1", port), "udp")


async def test_nothing_listens_on_tcp() -> None:
    """The host's refusal is one sentence."""
    port = closed_port(socket.SOCK_STREAM)
    with pytest.raises(SettingsError, match=rf"^nothing listens at 127\.0\.0\.1, TCP port {port}$"):
        await check_listening(("127.0.0.1", port), "tcp")


@pytest.mark.parametrize(
    ("kind", "transport"), [(socket.SOCK_DGRAM, "udp"), (socket.SOCK_STREAM, "tcp")]
)
async def test_silence_is_no_refusal(
    kind: socket.SocketKind, transport: Literal["udp", "tcp"]
) -> None:
    """Who listens and says nothing may be a recorder that takes its time."""
    with socket.socket(socket.AF_INET, kind) as door:
        door.bind(("127.0.0.1", 0))
        if kind is socket.SOCK_STREAM:
            door.listen()
        await check_listening(door.getsockname(), transport)


async def test_unknown_host() -> None:
    """A host that is not found is the scenario's error, as for the run itself."""
    with pytest.raises(ScenarioError, match=r"nowhere\.invalid was not found"):
        await check_listening(("nowhere.invalid", 5060), "udp")
