"""Where the platform is reached, and what is refused at start in one sentence."""

from __future__ import annotations

import socket

import pytest

from mcp_sim.addresses import open_addresses
from mcp_sim.config import (
    CaptureSettings,
    McpSettings,
    ProcessorSettings,
    SipSettings,
    SpoolSettings,
)
from service_shell.settings import SettingsError


def settings(
    sip: SipSettings | None = None,
    capture: CaptureSettings | None = None,
    listen: str = "127.0.0.1:0",
) -> McpSettings:
    return McpSettings(
        spool=SpoolSettings(folder="spool", keyring="keyring"),
        processor=ProcessorSettings(url="http://127.0.0.1:9"),
        listen=listen,
        sip=sip or SipSettings(listen="127.0.0.1:0"),
        capture=capture or CaptureSettings(),
    )


async def test_usual() -> None:
    """SIP on one port for UDP and TCP; Contact, SDP and RTP on its host."""
    with await open_addresses(settings()) as addresses:
        assert addresses.sip_udp.getsockname() == addresses.sip_tcp.getsockname()
        assert addresses.sip == f"127.0.0.1:{addresses.sip_udp.getsockname()[1]}"
        assert (addresses.contact_host, addresses.media_host) == ("127.0.0.1", "127.0.0.1")
        assert addresses.capture.host == "127.0.0.1"
        assert (addresses.capture.first_port, addresses.capture.last_port) == (0, 0)
    assert addresses.control.fileno() == -1


async def test_rtp_on_an_address_of_its_own() -> None:
    """Where RTP is received elsewhere, the SDP says so, and Contact does not."""
    capture = CaptureSettings(host="127.0.0.2", ports="20000-20100")
    with await open_addresses(settings(capture=capture)) as addresses:
        assert (addresses.contact_host, addresses.media_host) == ("127.0.0.1", "127.0.0.2")
        assert addresses.capture.host == "127.0.0.2"
        assert (addresses.capture.first_port, addresses.capture.last_port) == (20000, 20100)


async def test_tcp_of_its_own() -> None:
    """TCP is where `listen_tcp` says, as with sockets that are inherited."""
    sip = SipSettings(listen="127.0.0.1:0", listen_tcp="127.0.0.2:0")
    with await open_addresses(settings(sip)) as addresses:
        assert addresses.sip_udp.getsockname()[0] == "127.0.0.1"
        assert addresses.sip_tcp.getsockname()[0] == "127.0.0.2"


async def test_all_addresses() -> None:
    """Bound to all addresses, Contact and SDP name the host that the settings name."""
    sip = SipSettings(listen="0.0.0.0:0", contact_host="localhost")
    capture = CaptureSettings(host="0.0.0.0")
    with await open_addresses(settings(sip, capture)) as addresses:
        assert (addresses.contact_host, addresses.media_host) == ("127.0.0.1", "127.0.0.1")
        assert addresses.capture.host == "0.0.0.0"


@pytest.mark.parametrize(
    ("sip", "capture", "sentence"),
    [
        (SipSettings(listen="0.0.0.0:0"), None, "`sip.contact_host` has to be set"),
        (SipSettings(listen="127.0.0.1:0", contact_host="no.such.host.invalid"), None,
         "`sip.contact_host`: no.such.host.invalid is not a known host"),
        (SipSettings(listen="nonsense"), None, "`nonsense` is not an address"),
        (None, CaptureSettings(host="192.0.2.1"), "cannot listen on UDP 192.0.2.1:0"),
        (None, CaptureSettings(host="no.such.host.invalid"), "`capture.host`"),
        (None, CaptureSettings(ports="2-1"), "`capture.ports`: 2-1 is no range of ports"),
        (None, CaptureSettings(ports="0-70000"), "`capture.ports`"),
    ],
)  # fmt: skip
async def test_what_cannot_be_used(
    sip: SipSettings | None, capture: CaptureSettings | None, sentence: str
) -> None:
    """Each fault is one sentence that names the setting, and leaves no socket behind."""
    with pytest.raises(SettingsError) as refused:
        await open_addresses(settings(sip, capture))
    assert sentence in str(refused.value)
    assert "\n" not in str(refused.value)


async def test_port_in_use() -> None:
    """A port that is taken is named; what was bound before is free again."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        sip = f"127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(SettingsError, match=f"cannot listen on TCP {sip}"):
            await open_addresses(settings(SipSettings(listen=sip)))
