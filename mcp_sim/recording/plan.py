"""What one recording shall become, and what happened to it while its call ran.

`RecordingPlan` is fixed when the call begins; events follow in the journal. Both carry all that a
restarted process needs to finish the recording. Every `at_ns` is CLOCK_MONOTONIC of this machine in
nanoseconds; the wall clock appears once, in `Started`, and only labels.
"""

from __future__ import annotations

from typing import Literal, TypeAlias

import msgspec

from recording_format.errors import FileNameError
from recording_format.names import MediaSerial

MAX_LEGS = 256


class PlanError(ValueError):
    """Bytes that should be a plan or an event are not one."""


class SealedBox(msgspec.Struct, frozen=True):
    """Bytes sealed under one key of the spool keyring, named by `kid`."""

    kid: str
    nonce: bytes
    box: bytes

    def __repr__(self) -> str:
        return f"SealedBox(kid={self.kid!r}, {len(self.box)} bytes)"


class RecordingPlan(msgspec.Struct, frozen=True):
    """How the recording shall be rendered, sealed, named and delivered.

    `cert_aliases` are the recipients in order; `skipped_certificates` say why others are missing.
    `encrypted` False (the profile says so) makes a plain media file; journal and spool stay sealed.
    `parameters` are GIR's, as known at the start; `ParametersChanged` events add to them.
    `profile_box` is the IVR profile as the call began with it (it holds passwords).
    `second_storage_url` is the collection that gets a copy, empty where none does.
    """

    recording_id: str
    serial: MediaSerial
    file_name_template: str
    media_type: Literal["audio/wav", "audio/mp3"]
    channels: Literal["stereo", "mono"]
    tenant: str
    tenant_dbid: int
    profile: str
    profile_dbid: int
    storage_url: str
    processor_url: str
    cert_aliases: list[str]
    skipped_certificates: list[str]
    encrypted: bool
    parameters: dict[str, str]
    profile_box: SealedBox | None = None
    second_storage_url: str = ""

    def __repr__(self) -> str:
        # One of the parameters may be a password.
        return f"RecordingPlan({self.recording_id!r}, profile={self.profile!r})"


class LegOpened(msgspec.Struct, frozen=True, tag="leg-opened"):
    """A leg (0..255, never used twice in a recording) may send from now on.

    `payload_types` maps RTP payload types to ``pcmu``, ``pcma`` or ``telephone-event``.
    """

    leg: int
    label: str
    payload_types: dict[int, str]
    clock_rate: int
    at_ns: int

    def __post_init__(self) -> None:
        if not 0 <= self.leg < MAX_LEGS:
            raise ValueError(f"leg {self.leg} is outside 0..{MAX_LEGS - 1}")


class LegClosed(msgspec.Struct, frozen=True, tag="leg-closed"):
    """The leg's socket was closed; what had happened on it until then.

    `received` counts datagrams. Of them, `overflowed` were given up because the disk was too slow.
    `dropped` never reached this process: the socket's queue was full. `oversized` were cut away.
    """

    leg: int
    at_ns: int
    received: int = 0
    overflowed: int = 0
    dropped: int = 0
    oversized: int = 0


class LegsPlaced(msgspec.Struct, frozen=True, tag="legs-placed"):
    """Which channel each leg belongs to. The last one counts; legs on one channel are mixed."""

    channels: dict[int, Literal["left", "right"]]


class Started(msgspec.Struct, frozen=True, tag="started"):
    """t0 of the call's clock: the first leg's 2xx was sent. `wall_ns` is Unix time."""

    at_ns: int
    wall_ns: int


class Paused(msgspec.Struct, frozen=True, tag="paused"):
    """Nothing that arrives from now on may be heard, or even be kept."""

    at_ns: int


class Resumed(msgspec.Struct, frozen=True, tag="resumed"):
    """The end of a pause."""

    at_ns: int


class ParametersChanged(msgspec.Struct, frozen=True, tag="parameters-changed"):
    """Further parameters of the recording; a later value replaces an earlier one."""

    parameters: dict[str, str]

    def __repr__(self) -> str:
        # A value may be a password.
        return f"ParametersChanged({sorted(self.parameters)})"


class Ended(msgspec.Struct, frozen=True, tag="ended"):
    """The end of the call's clock: the last BYE, or the stop."""

    at_ns: int
    reason: str


Event: TypeAlias = (
    LegOpened | LegClosed | LegsPlaced | Started | Paused | Resumed | ParametersChanged | Ended
)

_encoder = msgspec.msgpack.Encoder()
_plan_decoder = msgspec.msgpack.Decoder(RecordingPlan)
_event_decoder: msgspec.msgpack.Decoder[Event] = msgspec.msgpack.Decoder(Event)
# The serial of a media id checks itself; nesting too deep is no fault of MessagePack's grammar.
_UNREADABLE = (msgspec.MsgspecError, FileNameError, RecursionError, ValueError)


def encode_plan(plan: RecordingPlan) -> bytes:
    """Return `plan` as MessagePack."""
    return _encoder.encode(plan)


def decode_plan(data: bytes) -> RecordingPlan:
    """Read a plan; fields of later versions are ignored. Raises `PlanError`."""
    try:
        return _plan_decoder.decode(data)
    except _UNREADABLE as error:
        raise PlanError(f"a recording plan cannot be read: {error}") from None


def encode_event(event: Event) -> bytes:
    """Return `event` as MessagePack."""
    return _encoder.encode(event)


def decode_event(data: bytes) -> Event:
    """Read an event. Raises `PlanError`."""
    try:
        return _event_decoder.decode(data)
    except _UNREADABLE as error:
        raise PlanError(f"a recording event cannot be read: {error}") from None
