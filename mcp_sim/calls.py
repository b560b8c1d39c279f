"""The calls that are being recorded now: found by id or conference, begun, and ended once."""

from __future__ import annotations

import asyncio
import secrets
import string
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime

import msgspec
import structlog

from mcp_sim.call import Call
from mcp_sim.capture_fleet import CaptureFleet
from mcp_sim.config import MpcSettings
from mcp_sim.invitation import Invitation
from mcp_sim.node import Node
from mcp_sim.recipients import Recipients
from mcp_sim.recording.capture_client import CaptureClient
from mcp_sim.recording.journal import seal_session_key
from mcp_sim.recording.keyring import SpoolKeyring
from mcp_sim.recording.plan import RecordingPlan
from mcp_sim.recording.spool import Spool, item_name
from recording_format.envelope import encode_recipients, wrap_session_key
from recording_format.ivr_profile import IvrProfile
from recording_format.session_key import SessionKey

_log = structlog.get_logger()
_UUID_ALPHABET = string.digits + string.ascii_uppercase
PROFILE_PURPOSE = "profile"

OnCaptured = Callable[[str], Awaitable[None]]


def new_call_uuid() -> str:
    """Return a call UUID as SIP Server makes them: 32 of 0-9A-Z."""
    return "".join(secrets.choice(_UUID_ALPHABET) for _ in range(32))


class Calls:
    """Begins recordings, and knows those that run. `on_captured` gets each complete journal."""

    def __init__(
        self,
        *,
        fleet: CaptureFleet,
        spool: Spool,
        keyring: SpoolKeyring,
        node: Node,
        mpc: MpcSettings,
        siprec_left: str,
        on_captured: OnCaptured,
    ) -> None:
        self._fleet = fleet
        self._spool = spool
        self._keyring = keyring
        self._node = node
        self._mpc = mpc
        self._siprec_left = siprec_left
        self._on_captured = on_captured
        self._running: dict[str, Call] = {}
        self._conferences: dict[str, Call] = {}
        self._beginning = asyncio.Lock()
        self.begun = 0

    def __len__(self) -> int:
        return len(self._running)

    @property
    def running(self) -> list[Call]:
        """The calls that run now, oldest first."""
        return list(self._running.values())

    def get(self, recording_id: str) -> Call | None:
        """Return a running call by its recording's id."""
        return self._running.get(recording_id)

    def conference(self, conference: str) -> Call | None:
        """Return the running call of a conference, which a further INVITE joins."""
        call = self._conferences.get(conference) if conference else None
        return None if call is None or call.ending else call

    async def begin(
        self, invitation: Invitation, profile: IvrProfile, recipients: Recipients
    ) -> Call:
        """Begin a recording, or return the one of the same conference that began meanwhile.

        Raises `CaptureError` when no capture process takes it.
        """
        async with self._beginning:
            known = self.conference(invitation.conference)
            if known is not None:
                return known
            return await self._begin(invitation, profile, recipients)

    async def capture_died(self, client: CaptureClient) -> None:
        """End the calls of a capture process that is gone; their journals are rendered."""
        lost = [call for call in self.running if call.capture is client]
        await asyncio.gather(
            *(call.stop("the capture process ended") for call in lost), return_exceptions=True
        )

    async def stop_all(self, reason: str) -> None:
        """End every call from our side."""
        stops = [call.stop(reason) for call in self.running]
        await asyncio.gather(*stops, return_exceptions=True)

    async def wait_idle(self, seconds: float) -> bool:
        """Wait until no call runs, at most `seconds`; return whether none does."""
        try:
            async with asyncio.timeout(seconds):
                for call in self.running:
                    await call.ended.wait()
        except TimeoutError:
            return not self._running
        return not self._running

    async def _begin(
        self, invitation: Invitation, profile: IvrProfile, recipients: Recipients
    ) -> Call:
        capture = self._fleet.choose()
        plan = self._plan(invitation, profile, recipients)
        key = SessionKey.generate(128 if self._cipher(profile) == "aes-128-cbc" else 256)
        wrapped = wrap_session_key(key, recipients.certificates)
        item = item_name(plan)
        folder = await asyncio.to_thread(self._spool.create, item)
        try:
            box = seal_session_key(self._keyring, key)
            infos = encode_recipients(wrapped) if wrapped else b""
            await capture.open_call(folder, key, infos, box, plan)
        except BaseException:
            await asyncio.to_thread(self._spool.discard, item)
            raise
        call = Call(plan, item, capture, siprec_left=self._siprec_left, on_end=self._end)
        self._running[call.id] = call
        if invitation.conference:
            self._conferences[invitation.conference] = call
        self.begun += 1
        _log.info("A call began", call_id=call.id, profile=profile.name, kind=invitation.kind)
        return call

    def _plan(
        self, invitation: Invitation, profile: IvrProfile, recipients: Recipients
    ) -> RecordingPlan:
        uuid = invitation.call_uuid or new_call_uuid()
        # Two recordings of one call at a time need two ids; segments one after the other do not.
        identity = uuid if uuid not in self._running else new_call_uuid()
        parameters = {
            "id": identity,
            "callUuid": uuid,
            "dateTime": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            **invitation.parameters,
        }
        mpc = self._mpc
        template = profile.fixed("recordingclient.filename") or mpc.file_name_template
        channels = profile.override("mpc", "record.channels") or mpc.channels
        media_type = profile.fixed("recordingclient.type") or "audio/wav"
        return RecordingPlan(
            recording_id=identity,
            serial=self._node.next_serial(),
            file_name_template=template,
            media_type="audio/mp3" if media_type == "audio/mp3" else "audio/wav",
            channels="mono" if channels == "mono" else "stereo",
            tenant=profile.tenant.name,
            tenant_dbid=profile.tenant.dbid,
            profile=profile.name,
            profile_dbid=profile.dbid,
            storage_url=profile.fixed("recordingclient.recdest") or "",
            processor_url=profile.fixed("recordingclient.callrec_dest") or "",
            cert_aliases=list(recipients.aliases),
            skipped_certificates=list(recipients.skipped),
            encrypted=recipients.encrypted,
            parameters=parameters,
            profile_box=self._keyring.seal(msgspec.json.encode(profile), purpose=PROFILE_PURPOSE),
        )

    def _cipher(self, profile: IvrProfile) -> str:
        return profile.override("mpc", "lab.cipher") or self._mpc.cipher

    async def _end(self, call: Call) -> None:
        """The journal is complete: forget the call, hand the journal on."""
        self._running.pop(call.id, None)
        for conference, known in list(self._conferences.items()):
            if known is call:
                del self._conferences[conference]
        if call.started_wall_ns is None:
            # Nobody was answered (a CANCEL, a refusal): there is nothing to hear.
            await asyncio.to_thread(self._spool.discard, call.item)
            return
        await self._on_captured(call.item)
