"""Settings of the media control platform, one frozen struct per section of its TOML file.

Names that the vendor's documents use (``[mpc] mediamgr.CA_file``) are kept as they are there.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import msgspec

from mcp_sim.recording.capture.options import Durability
from service_shell.accounts import Account, basic_header
from service_shell.faults.settings import FaultSettings
from service_shell.log import LogSettings
from service_shell.settings import SettingsError
from service_shell.sign_in import SignInSettings
from service_shell.tls import TlsSettings
from service_shell.trust import TrustSettings

Count = Annotated[int, msgspec.Meta(ge=1)]
Seconds = Annotated[float, msgspec.Meta(ge=0)]
SMALLEST_KEY_BITS, LARGEST_KEY_BITS = 1024, 16384
KeyBits = Annotated[int, msgspec.Meta(ge=SMALLEST_KEY_BITS, le=LARGEST_KEY_BITS)]
Ports = Annotated[str, msgspec.Meta(pattern=r"^(\d{1,5}-\d{1,5})?$")]


class SipSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``[sip]``: where calls are taken. `listen` serves UDP and TCP on one port.

    `listen_tcp` is needed only where the sockets are inherited (``fd://``). `listen_tls` serves SIP
    over TLS, with the certificate of ``[sip.tls]``, on a port of its own (5061 by custom).
    `contact_host` is what the Contact and the SDP name when `listen` is a wildcard.
    """

    listen: str = "127.0.0.1:5060"
    listen_tcp: str = ""
    listen_tls: str = ""
    contact_host: str = ""
    tls: TlsSettings = TlsSettings()


class SiprecSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``[siprec]``: `left` is the stream's label, or a pattern of the participant's aor (``*``)."""

    left: str = ""


class CaptureSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``[capture]``: capture processes and their RTP ports.

    `host` is where RTP is received (default: the SIP host); `ports` is ``first-last`` or empty,
    which lets the kernel choose.
    """

    processes: Count = 1
    host: str = ""
    ports: Ports = ""

    @property
    def port_range(self) -> tuple[int, int]:
        """First and last port, both 0 where the kernel chooses. Raises `SettingsError`."""
        if not self.ports:
            return 0, 0
        first, last = (int(number) for number in self.ports.split("-"))
        if not 0 < first <= last <= 65535:
            raise SettingsError(f"`capture.ports`: {self.ports} is no range of ports")
        return first, last


class SpoolSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``[spool]``: the folder of recordings on their way, and the key file outside of it.

    `durability` says what running calls survive: the death of processes (``process``), a power
    loss after their end (``call``) or at any time (``power``).
    """

    folder: str
    keyring: str
    render_workers: Count = 2
    durability: Durability = "process"


class DeliverySettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``[delivery]``: uploads at a time, and how long to wait between tries, in seconds.

    After `circuit_failures` in a row a destination gets one probe after each pause, no more.
    """

    concurrency: Count = 8
    first_retry: Seconds = 1.0
    longest_retry: Seconds = 300.0
    timeout: Seconds = 30.0
    circuit_failures: Count = 5
    circuit_pause: Seconds = 5.0
    longest_circuit_pause: Seconds = 30.0


class ProcessorSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``[processor]``: where profiles are loaded from, and as whom (role ``mcp``)."""

    url: str
    user: str = "mcp"
    password_file: str = ""

    def authorization(self) -> str:
        """Return the ``Authorization`` value. Raises `SettingsError`."""
        try:
            password = Path(self.password_file).read_text(encoding="utf-8").rstrip("\r\n")
        except (OSError, UnicodeDecodeError):
            message = f"`processor.password_file`: {self.password_file!r} cannot be read"
            raise SettingsError(message) from None
        return basic_header(self.user, password)


class MpcSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``[mpc]``: the vendor's media options. A profile overrides each of them for its calls."""

    ca_file: str = msgspec.field(name="mediamgr.CA_file", default="")
    channels: Literal["stereo", "mono"] = msgspec.field(name="record.channels", default="stereo")
    minimum_key_bits: KeyBits = msgspec.field(name="lab.minimum-key-bits", default=2048)
    allow_sha1: bool = msgspec.field(name="lab.allow-sha1", default=False)
    file_name_template: str = msgspec.field(
        name="recordingclient.filename", default="$id$_$MCPDateTime$"
    )
    cipher: Literal["aes-256-cbc", "aes-128-cbc"] = msgspec.field(
        name="lab.cipher", default="aes-256-cbc"
    )


class LimitSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``[limits]``: above `calls` at a time an INVITE gets 503; 0: as many as descriptors allow.

    So it does while the spool's disk has less than `reserved_bytes` free, while a process has more
    than its share `open_files` of descriptors in use, and while a lag (seconds) is too long; 0
    switches each of these off. `source_calls` at a time, and `source_rate` new ones per second, are
    what one address may place: 486 beyond, 0: no limit.
    A call ends by itself when no packet came for `rtp_timeout`, or after `longest_call`, in
    seconds; 0: never. `grace` is how long a stop waits for calls and deliveries, in seconds.
    """

    calls: Annotated[int, msgspec.Meta(ge=0)] = 0
    reserved_bytes: Annotated[int, msgspec.Meta(ge=0)] = 64 * 1024**2
    open_files: Annotated[float, msgspec.Meta(ge=0, le=1)] = 0.9
    loop_lag: Seconds = 1.0
    capture_lag: Seconds = 1.0
    flush_lag: Seconds = 3.0
    source_calls: Annotated[int, msgspec.Meta(ge=0)] = 0
    source_rate: Annotated[float, msgspec.Meta(ge=0)] = 0.0
    sip_connections: Count = 2000
    rtp_timeout: Seconds = 300.0
    longest_call: Seconds = 86400.0
    grace: Seconds = 20.0


class McpSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Everything that ``python -m mcp_sim --config FILE`` reads. `listen` is the control API."""

    spool: SpoolSettings
    processor: ProcessorSettings
    listen: str = "127.0.0.1:8800"
    node: str = ""
    sip: SipSettings = SipSettings()
    siprec: SiprecSettings = SiprecSettings()
    capture: CaptureSettings = CaptureSettings()
    delivery: DeliverySettings = DeliverySettings()
    mpc: MpcSettings = MpcSettings()
    limits: LimitSettings = LimitSettings()
    tls: TlsSettings = TlsSettings()
    trust: TrustSettings = TrustSettings()
    faults: FaultSettings = FaultSettings()
    accounts: list[Account] = []
    sign_in: SignInSettings = SignInSettings()
    log: LogSettings = LogSettings()
