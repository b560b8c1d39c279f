"""Sockets: bound, inherited, or refused in one sentence."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Callable
from pathlib import Path

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


@pytest.mark.parametrize(
    "address",
    ["", "here", "127.0.0.1", "127.0.0.1:99999", "fd://x", "a:b:c", "fd://-1", "fd://99999", ":80",
     "127.0.0.1:80/x", "127.0.0.1:80?x", "127.0.0.1:80#x", "@127.0.0.1:80", "u:p@127.0.0.1:80",
     "[::1:80", "127.0.0.1:http", "127.0.0.1 :80"],
)  # fmt: skip
@pytest.mark.parametrize("bind", [bind_tcp, bind_udp])
def test_malformed_address(bind: Callable[[str], socket.socket], address: str) -> None:
    """What is not an address is refused by naming it."""
    with pytest.raises(SettingsError) as caught, contextlib.closing(bind(address)):
        pass
    assert f"`{address}`" in str(caught.value)


@pytest.mark.parametrize("host", ["a..b", "x" * 70, "no-such-host.invalid"])
def test_unknown_host(host: str) -> None:
    """A host that nobody knows, or that cannot be one, is named in one sentence."""
    with pytest.raises(SettingsError, match=host), contextlib.closing(bind_tcp(f"{host}:0")):
        pass


def test_address_of_another_machine() -> None:
    """An address that is not this machine's is refused with the reason."""
    with pytest.raises(SettingsError, match="cannot assign requested address"):
        bind_tcp("192.0.2.1:0")


def test_a_port_that_is_bound_but_not_listening() -> None:
    """Another program may have bound the port and not listen yet: that is one sentence too."""
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        other.bind(("127.0.0.1", 0))
        where = display(other)
        with bind_tcp(where) as first:
            assert display(first) == where
            with pytest.raises(SettingsError, match="address already in use"):
                bind_tcp(where)


def test_a_pair_whose_udp_port_is_taken() -> None:
    """A named port that is free for one of the two only is refused, and nothing stays bound."""
    with bind_udp("127.0.0.1:0") as taken:
        with pytest.raises(SettingsError, match="UDP"):
            bind_pair(display(taken))
        with bind_tcp(display(taken)):
            pass


@pytest.mark.parametrize(
    ("bind", "kind", "sentence"),
    [
        (bind_tcp, socket.SOCK_DGRAM, "is not a TCP socket"),
        (bind_udp, socket.SOCK_STREAM, "is not a UDP socket"),
    ],
)
def test_inherited_socket_of_the_other_kind(
    bind: Callable[[str], socket.socket], kind: socket.SocketKind, sentence: str
) -> None:
    """A descriptor of the wrong kind is refused."""
    other = socket.socket(type=kind)
    with pytest.raises(SettingsError, match=sentence):
        bind(f"fd://{other.detach()}")


def test_inherited_descriptor_that_is_no_internet_socket(tmp_path: Path) -> None:
    """Neither a file nor a socket of the machine's own is served."""
    with (tmp_path / "file").open("wb") as file:
        with pytest.raises(SettingsError, match="is not an inherited socket"):
            bind_tcp(f"fd://{file.fileno()}")
        file.write(b"still open")
    one, other = socket.socketpair()
    with other, pytest.raises(SettingsError, match="not a socket of the internet"):
        bind_tcp(f"fd://{one.detach()}")


def test_ipv6_in_brackets() -> None:
    """An IPv6 address is written in brackets, and shown so."""
    try:
        sock = bind_tcp("[::1]:0")
    except SettingsError as error:
        pytest.skip(f"no IPv6 here: {error}")
    with sock:
        assert display(sock).startswith("[::1]:")
