"""Takes every INVITE: reads it, chooses the profile, admits or refuses, and begins the talk.

Each refusal has a status, a short cause for the metric and one sentence, which goes into the answer
(Reason header, RFC 3326), the log and the control API alike.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

from mcp_sim.call import Call
from mcp_sim.calls import Calls
from mcp_sim.config import MpcSettings
from mcp_sim.conversation import Conversation
from mcp_sim.invitation import Invitation, read_invitation
from mcp_sim.profiles import ProfileBook
from mcp_sim.recipients import CaFiles, RecordingRefused, choose_recipients
from mcp_sim.recording.capture_client import CaptureError, CaptureFullError
from mcp_sim.refusals import Refusal, Refusals
from mcp_sim.sip import IncomingCall
from mcp_sim.sip.errors import BodyError, CallGone, NoCommonCodec

_RETRY_AFTER = ("Retry-After", "5")


class _Refused(Exception):
    def __init__(self, status: int, phrase: str, cause: str, reason: str) -> None:
        super().__init__(reason)
        self.status, self.phrase, self.cause, self.reason = status, phrase, cause, reason


class Reception:
    """The handler of incoming calls. `host` is the address that answers name for RTP.

    `limit` is the most recordings at a time. `open` is set False when the platform drains.
    """

    def __init__(
        self,
        *,
        book: ProfileBook,
        calls: Calls,
        refusals: Refusals,
        mpc: MpcSettings,
        host: str,
        limit: int,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._book = book
        self._calls = calls
        self._refusals = refusals
        self._mpc = mpc
        self._ca_files = CaFiles()
        self._host = host
        self._limit = limit
        self._now = now
        self.open = True

    async def take(self, incoming: IncomingCall) -> None:
        """Handle one INVITE, and stay until its dialog is over."""
        try:
            await self._converse(incoming)
        except CallGone:
            return  # cancelled while it was being answered
        except _Refused as refused:
            await self._refuse(incoming, refused)

    async def _converse(self, incoming: IncomingCall) -> None:
        try:
            invitation = read_invitation(incoming.request)
            call = self._calls.conference(invitation.conference) or await self._begin(invitation)
            await Conversation(incoming, invitation, call, host=self._host).run()
        except NoCommonCodec as error:
            raise _Refused(488, "Not Acceptable Here", "codec", str(error)) from None
        except BodyError as error:
            raise _Refused(400, "Bad Request", "malformed", str(error)) from None
        except CaptureFullError as error:
            raise _Refused(503, "Service Unavailable", "limit", str(error)) from None
        except (CaptureError, OSError) as error:
            raise _Refused(503, "Service Unavailable", "capture", str(error)) from None

    async def _begin(self, invitation: Invitation) -> Call:
        if not self.open:
            raise _Refused(503, "Service Unavailable", "stopping", "the platform is stopping")
        if len(self._calls) >= self._limit:
            reason = f"the limit of {self._limit} calls is reached"
            raise _Refused(503, "Service Unavailable", "limit", reason)
        profile = self._book.choose(
            dbid=invitation.profile_dbid, geo_location=invitation.geo_location
        )
        if profile is None:
            dbid = invitation.profile_dbid
            which = "for this call" if dbid is None else f"with DBID {dbid}"
            raise _Refused(404, "Not Found", "profile", f"there is no IVR profile {which}")
        try:
            recipients = choose_recipients(profile, self._mpc, self._ca_files, self._now())
        except RecordingRefused as error:
            raise _Refused(403, "Forbidden", error.cause, str(error)) from None
        if not profile.fixed("recordingclient.recdest"):
            reason = f"profile {profile.name!r} names no storage (recordingclient.recdest)"
            raise _Refused(403, "Forbidden", "profile-incomplete", reason)
        return await self._calls.begin(invitation, profile, recipients)

    async def _refuse(self, incoming: IncomingCall, refused: _Refused) -> None:
        reason = refused.reason.replace('"', "'")
        headers = [("Reason", f'SIP;cause={refused.status};text="{reason}"')]
        if refused.status == 503:
            headers.append(_RETRY_AFTER)
        refusal = Refusal(
            at=self._now().isoformat(timespec="milliseconds"),
            call_id=incoming.call_id,
            source=str(incoming.remote.host),
            status=refused.status,
            cause=refused.cause,
            reason=refused.reason,
        )
        self._refusals.add(refusal)
        if not incoming.answered:
            await incoming.reject(refused.status, refused.phrase, headers)
