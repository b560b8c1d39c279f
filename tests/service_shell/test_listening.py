"""Sockets: bound, inherited, or refused in one sentence."""

from __future__ import annotations

import contextlib
import socket

import pytest

from service_shell.listening import bind_pair, bind_tcp, bind_udp, display
from service_shell.settings import SettingsError


def test_port_zero_lets_the_kernel_choose() -> None:
    """Both sockets of a pair have one port, and it is not zero."""
    udp, tcp = bind_pair("127.0.0.1:0")
    with udp, tcp:
        assert display(udp) == display(tcp)
        assert udp.getsockname()[1] != 0


def test_port_in_use_is_one_sentence() -> None:
    """A taken port is named, with the reason."""
    with bind_tcp("127.0.0.1:0") as first, pytest.raises(SettingsError, match="address already in"):
        bind_tcp(display(first))


def test_inherited_socket() -> None:
    """`fd://N` takes over the socket that the parent bound."""
    parent = bind_tcp("127.0.0.1:0")
    where = parent.getsockname()
    child = bind_tcp(f"fd://{parent.detach()}")
    with child:
        assert child.getsockname() == where
        with socket.create_connection(where, timeout=5):
            pass


@pytest.mark.parametrize("address", ["", "here", "127.0.0.1", "127.0.0.1:99999", "fd://x", "a:b:c"])
def test_malformed_address(address: str) -> None:
    """What is not an address is refused by naming it."""
    with pytest.raises(SettingsError), contextlib.closing(bind_udp(address)):
        pass
