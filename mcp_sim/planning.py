"""What a recording shall become, from its INVITE, its profile and the platform's settings.

Pure. The profile's options are checked here, before the first packet: one that cannot be followed
refuses the recording by name, instead of spoiling it when the call is over.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Literal, TypeVar
from urllib.parse import urlsplit

from mcp_sim.config import MpcSettings
from mcp_sim.invitation import Invitation
from mcp_sim.profile_options import RTP_TIMEOUT, ProfileOptionError, overridden_seconds
from mcp_sim.recipients import Recipients, RecordingRefused
from mcp_sim.recording.plan import RecordingPlan, SealedBox
from recording_format.errors import FileNameError
from recording_format.ivr_profile import IvrProfile
from recording_format.names import FileNameTemplate, MediaSerial

MediaType = Literal["audio/wav", "audio/mp3"]
Channels = Literal["stereo", "mono"]
Cipher = Literal["aes-256-cbc", "aes-128-cbc"]

_TYPE = "recordingclient.type"
_STORAGE = "recordingclient.recdest"
_SECOND_STORAGE = "recordingclient.recdest2"
_PROCESSOR = "recordingclient.callrec_dest"
_TEMPLATE = "recordingclient.filename"
_MEDIA_TYPES: tuple[MediaType, ...] = ("audio/wav", "audio/mp3")
_CHANNELS: tuple[Channels, ...] = ("stereo", "mono")
_KEY_BITS: dict[Cipher, int] = {"aes-256-cbc": 256, "aes-128-cbc": 128}

T = TypeVar("T", bound=str)


def plan_recording(
    invitation: Invitation,
    profile: IvrProfile,
    recipients: Recipients,
    mpc: MpcSettings,
    *,
    recording_id: str,
    call_uuid: str,
    serial: MediaSerial,
    profile_box: SealedBox,
    now: datetime,
) -> RecordingPlan:
    """Return the plan. Raises `RecordingRefused` for a profile that cannot be followed."""
    return RecordingPlan(
        recording_id=recording_id,
        serial=serial,
        file_name_template=_template(profile, mpc),
        media_type=_one_of(profile, _TYPE, profile.fixed(_TYPE) or "audio/wav", _MEDIA_TYPES),
        channels=_channels(profile, mpc),
        tenant=profile.tenant.name,
        tenant_dbid=profile.tenant.dbid,
        profile=profile.name,
        profile_dbid=profile.dbid,
        storage_url=_url(profile, _STORAGE),
        processor_url=_url(profile, _PROCESSOR),
        cert_aliases=list(recipients.aliases),
        skipped_certificates=list(recipients.skipped),
        encrypted=recipients.encrypted,
        parameters={
            **profile.processor_parameters,
            "dateTime": now.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            **invitation.parameters,
            "id": recording_id,
            "callUuid": call_uuid,
        },
        profile_box=profile_box,
        second_storage_url=_url(profile, _SECOND_STORAGE) if profile.second_storage else "",
    )


def session_key_bits(profile: IvrProfile, mpc: MpcSettings) -> int:
    """Return the length of the session key. Raises `RecordingRefused` for an unknown cipher."""
    name = "lab.cipher"
    said = profile.override("mpc", name) or mpc.cipher
    return _KEY_BITS[_one_of(profile, name, said, tuple(_KEY_BITS))]


def rtp_timeout(profile: IvrProfile, platform: float) -> float:
    """Return after how many seconds without a packet the call ends, 0: never.

    Raises `RecordingRefused` for what is no number of seconds.
    """
    try:
        return overridden_seconds(profile, RTP_TIMEOUT, platform)
    except ProfileOptionError as error:
        raise RecordingRefused(f"profile {profile.name!r}: {error}", "profile-option") from None


def _channels(profile: IvrProfile, mpc: MpcSettings) -> Channels:
    name = "record.channels"
    return _one_of(profile, name, profile.override("mpc", name) or mpc.channels, _CHANNELS)


def _template(profile: IvrProfile, mpc: MpcSettings) -> str:
    said = profile.override("mpc", _TEMPLATE) or profile.fixed(_TEMPLATE) or mpc.file_name_template
    try:
        return FileNameTemplate.parse(said).text
    except FileNameError as error:
        raise RecordingRefused(f"profile {profile.name!r}: {error}", "profile-option") from None


def _url(profile: IvrProfile, name: str) -> str:
    said = profile.fixed(name) or ""
    try:
        parts = urlsplit(said)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname)
    except ValueError:
        usable = False
    if not usable:
        # The URL itself is not told: it may hold a password.
        message = f"profile {profile.name!r} names no http address as {name}"
        raise RecordingRefused(message, "profile-option")
    return said


def _one_of(profile: IvrProfile, name: str, said: str, known: tuple[T, ...]) -> T:
    for value in known:
        if said == value:
            return value
    message = f"profile {profile.name!r}: {name} is {said[:40]!r}, not {' or '.join(known)}"
    raise RecordingRefused(message, "profile-option")
