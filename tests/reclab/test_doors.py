"""The doors of a lab: its usual ports, free ones, or those that its folder has had before."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from reclab.doors import Doors, Ports, open_doors
from reclab.preparation import Addresses
from service_shell.settings import SettingsError


@contextmanager
def opened(kept: Addresses | None, ports: Ports, said: list[str]) -> Iterator[Doors]:
    """Doors that are closed at the end."""
    doors = open_doors(kept, ports, said.append)
    try:
        yield doors
    finally:
        for door in doors:
            door.close()


@pytest.mark.parametrize("ports", list(Ports))
def test_a_folder_keeps_its_ports(ports: Ports) -> None:
    """Whatever is asked for, the addresses of an earlier start are taken again."""
    with opened(None, Ports.FREE, []) as doors:
        kept = doors.addresses
    with opened(kept, ports, []) as doors:
        assert doors.addresses == kept


def test_udp_and_tcp_of_sip_share_a_port() -> None:
    """SIP is one address, over UDP and TCP."""
    with opened(None, Ports.FREE, []) as doors:
        assert doors.sip_udp.getsockname() == doors.sip_tcp.getsockname()


@pytest.mark.parametrize("ports", [Ports.FREE, Ports.USUAL_OR_FREE])
def test_others_are_taken_where_allowed(ports: Ports) -> None:
    """Taken ports are left to their owner, free ones are used, and a person is told."""
    said: list[str] = []
    with opened(None, Ports.FREE, []) as there, opened(there.addresses, ports, said) as doors:
        assert not set(vars_of(doors.addresses)) & set(vars_of(there.addresses))
    assert said == [
        "The ports of this folder are taken; what is stored in it stays under the old ones."
    ]


def test_taken_ports_are_an_error_else() -> None:
    """Without leave to take others, a taken port is one sentence, and nothing stays bound."""
    with opened(None, Ports.FREE, []) as there:
        with pytest.raises(SettingsError, match=r"address already in use \(--ephemeral takes"):
            open_doors(there.addresses, Ports.USUAL, lambda _: None)
        kept = there.addresses
    with opened(kept, Ports.USUAL, []) as doors:
        assert doors.addresses == kept


def vars_of(addresses: Addresses) -> tuple[str, ...]:
    """The addresses, without their names."""
    return (
        addresses.sip,
        addresses.control,
        addresses.store,
        addresses.processor,
        addresses.crypto,
    )
