"""The calls that are being recorded now: found by id or conference, begun, and ended once.

Beginning a call reserves its id and its conference at once; only then anything is awaited. So two
INVITEs of one conference never make two recordings, and the limit holds for any burst.
"""

from __future__ import annotations

import asyncio
import secrets
import string
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

import msgspec
import structlog

from mcp_sim.admission.gauges import Gauges
from mcp_sim.admission.room import CallLimitError, NoRoomError, NoSpaceError
from mcp_sim.admission.sources import SourceLimits
from mcp_sim.call import Call
from mcp_sim.capture_fleet import CaptureFleet
from mcp_sim.config import LimitSettings, MpcSettings
from mcp_sim.invitation import Invitation
from mcp_sim.node import Node
from mcp_sim.planning import plan_recording, rtp_timeout, session_key_bits
from mcp_sim.recipients import Recipients
from mcp_sim.recording.capture.client import CaptureClient
from mcp_sim.recording.journal.frames import seal_session_key
from mcp_sim.recording.keyring import SpoolKeyring
from mcp_sim.recording.plan import RecordingPlan, SealedBox
from mcp_sim.recording.spool.space import SpoolFullError, SpoolSpace
from mcp_sim.recording.spool.spool import Spool, item_name
from mcp_sim.wall_clock import WallClock
from recording_format.envelope import encode_recipients, wrap_session_key
from recording_format.ivr_profile import IvrProfile
from recording_format.session_key import SessionKey

_log = structlog.get_logger()
_UUID_ALPHABET = string.digits + string.ascii_uppercase
PROFILE_PURPOSE = "profile"

OnCaptured = Callable[[str], None]


def new_call_uuid() -> str:
    """Return a call UUID as SIP Server makes them: 32 of 0-9A-Z."""
    return "".join(secrets.choice(_UUID_ALPHABET) for _ in range(32))


@dataclass(frozen=True)
class RecordingFacts:
    """What every recording of this platform takes from it."""

    node: Node
    mpc: MpcSettings
    keyring: SpoolKeyring
    siprec_left: str = ""
    wall: WallClock = field(default_factory=WallClock)


@dataclass(frozen=True)
class _Opening:
    """Kept from a call's beginning to its journal's: the session key, wrapped at once.

    The journal is begun `behind` that of the earlier segment, which has the same id.
    """

    key: SessionKey
    recipients: bytes
    box: SealedBox
    behind: Call | None


class Calls:
    """Begins recordings, and knows those that run.

    `on_captured` gets the item of each journal that is complete, or as complete as it can be.
    `certificates_skipped` counts, by reason, the certificates that recordings were made without.
    """

    def __init__(
        self,
        facts: RecordingFacts,
        fleet: CaptureFleet,
        spool: Spool,
        *,
        limit: int,
        space: SpoolSpace,
        on_captured: OnCaptured,
        gauges: Gauges | None = None,
        sources: SourceLimits | None = None,
        rtp_timeout: float = 0.0,
    ) -> None:
        self.limit = limit
        self.space = space
        self.gauges = gauges or Gauges(LimitSettings())
        self.sources = sources or SourceLimits()
        self._rtp_timeout = rtp_timeout
        self.begun = 0
        self.certificates_skipped: Counter[str] = Counter()
        self._facts = facts
        self._fleet = fleet
        self._spool = spool
        self._on_captured = on_captured
        self._running: dict[str, Call] = {}
        self._conferences: dict[str, Call] = {}
        self._ending: set[Call] = set()
        self._openings: dict[Call, _Opening] = {}

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
        return None if call is None or call.over else call

    def check_room(self) -> None:
        """Raise `NoRoomError` unless one more call may begin."""
        if len(self._running) >= self.limit:
            raise CallLimitError(self.limit)
        try:
            self.space.check()
        except (SpoolFullError, OSError) as error:
            raise NoSpaceError(str(error)) from None
        self.gauges.check()

    @property
    def refusing(self) -> str:
        """Why no call may begin now, empty while one may."""
        try:
            self.check_room()
        except NoRoomError as error:
            return str(error)
        return ""

    def begin(
        self,
        invitation: Invitation,
        profile: IvrProfile,
        recipients: Recipients,
        *,
        source: str = "",
    ) -> Call:
        """Begin a recording; its journal is opened when its first dialog changes it.

        `source` is the address that asks for it.

        Raises `NoRoomError`, `RecordingRefused` or `CaptureFullError`.
        """
        earlier = self._running.get(invitation.call_uuid)
        if earlier is not None and earlier.over:
            self.release(earlier)
        else:
            earlier = None
        self.check_room()
        plan = self._plan(invitation, profile, recipients)
        opening = self._prepare(profile, recipients, earlier)
        call = Call(
            plan,
            item_name(plan),
            self._fleet.choose(),
            self,
            kind=invitation.kind,
            conference=invitation.conference,
            siprec_left=self._facts.siprec_left,
            source=source,
            rtp_timeout=rtp_timeout(profile, self._rtp_timeout),
            wall=self._facts.wall,
        )
        self._openings[call] = opening
        self._running[call.id] = call
        self.sources.began(call.source)
        if call.conference:
            self._conferences[call.conference] = call
        self.begun += 1
        self.certificates_skipped.update(recipients.skipped_reasons)
        for fault in recipients.skipped:
            _log.warning("A certificate was skipped", recording_id=call.id, fault=fault)
        _log.info("A call began", recording_id=call.id, profile=profile.name, kind=call.kind)
        return call

    async def capture_died(self, client: CaptureClient) -> None:
        """End the calls of a capture process that is gone; their journals are rendered."""
        lost = [call for call in self._all() if call.capture is client]
        await _stop(lost, "the capture process ended")

    async def stop_all(self, reason: str) -> None:
        """End every call from our side."""
        await _stop(self._all(), reason)

    async def wait_idle(self, seconds: float) -> bool:
        """Wait until no call runs, at most `seconds`; return whether none does."""
        try:
            async with asyncio.timeout(seconds):
                while calls := self._all():
                    await calls[0].ended.wait()
        except TimeoutError:
            return False
        return True

    # What a call asks of its owner

    async def open_journal(self, call: Call) -> None:
        """Make the call's folder and have its journal begun."""
        chosen = self._openings.pop(call)
        if chosen.behind is not None:
            await chosen.behind.ended.wait()
        folder = await asyncio.to_thread(self._spool.create, call.item)
        await call.capture.open_call(folder, chosen.key, chosen.recipients, chosen.box, call.plan)

    def release(self, call: Call) -> None:
        """The call ends: its id and its conference are free for the next one."""
        if self._running.get(call.id) is call:
            del self._running[call.id]
            self.sources.ended(call.source)
        if self._conferences.get(call.conference) is call:
            del self._conferences[call.conference]
        self._openings.pop(call, None)
        self._ending.add(call)

    async def complete(self, call: Call, *, closed: bool) -> None:
        """Hand the journal on, or forget a call that nobody was answered for."""
        try:
            if not closed:
                return
            if call.started_wall_ns is not None:
                self._on_captured(call.item)
            else:
                await asyncio.to_thread(self._spool.discard, call.item)
        except OSError as error:
            _log.error("An unanswered call was left in the spool", item=call.item, fault=str(error))
        finally:
            self._ending.discard(call)

    def _all(self) -> list[Call]:
        return [*self._running.values(), *self._ending]

    def _prepare(
        self, profile: IvrProfile, recipients: Recipients, behind: Call | None
    ) -> _Opening:
        key = SessionKey.generate(session_key_bits(profile, self._facts.mpc))
        wanted = recipients.certificates  # none where the recording shall not be encrypted
        infos = encode_recipients(wrap_session_key(key, wanted)) if wanted else b""
        return _Opening(key, infos, seal_session_key(self._facts.keyring, key), behind)

    def _plan(
        self, invitation: Invitation, profile: IvrProfile, recipients: Recipients
    ) -> RecordingPlan:
        facts = self._facts
        uuid = invitation.call_uuid or new_call_uuid()
        return plan_recording(
            invitation,
            profile,
            recipients,
            facts.mpc,
            # Two recordings of one call at a time need two ids; one after the other share theirs.
            recording_id=uuid if uuid not in self._running else new_call_uuid(),
            call_uuid=uuid,
            serial=facts.node.next_serial(),
            profile_box=facts.keyring.seal(msgspec.json.encode(profile), purpose=PROFILE_PURPOSE),
            now=facts.wall.moment(),
        )


async def _stop(calls: list[Call], reason: str) -> None:
    await asyncio.gather(*(call.stop(reason) for call in calls), return_exceptions=True)
