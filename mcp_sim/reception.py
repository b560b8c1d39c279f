"""Takes every INVITE: reads it, chooses the profile, admits or refuses, and begins the talk.

Each refusal has a status, a short cause for the metric and one sentence, which goes into the answer
(Reason header, RFC 3326), the log and the control API alike.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime

from structlog.contextvars import bind_contextvars

from mcp_sim.admission.room import OPEN_FILES, NoRoomError
from mcp_sim.ca_files import CaFiles
from mcp_sim.call import Call, CallOverError
from mcp_sim.calls import Calls
from mcp_sim.config import MpcSettings
from mcp_sim.conversation import Conversation
from mcp_sim.invitation import Invitation, UnknownBody, read_invitation
from mcp_sim.profiles import ProfileBook
from mcp_sim.recipients import RecordingRefused, choose_recipients
from mcp_sim.recording.capture.client import CaptureError, CaptureFullError
from mcp_sim.refusals import CallNotTaken, Refusal, Refusals
from mcp_sim.sip import IncomingCall
from mcp_sim.sip.admission import ACCEPT
from mcp_sim.sip.errors import BodyError, CallGone, NoCommonCodec

_ACCEPT = ("Accept", ", ".join(ACCEPT))


class Reception:
    """The handler of incoming calls. `host` is the address that answers name for RTP.

    `open` is set False when the platform stops: only further parties of running calls are let in.
    """

    def __init__(
        self,
        *,
        book: ProfileBook,
        calls: Calls,
        refusals: Refusals,
        mpc: MpcSettings,
        host: str,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._book = book
        self._calls = calls
        self._refusals = refusals
        self._mpc = mpc
        self._ca_files = CaFiles()
        self._host = host
        self._now = now
        self.open = True

    async def take(self, incoming: IncomingCall) -> None:
        """Handle one INVITE, and stay until its dialog is over."""
        bind_contextvars(call_id=incoming.call_id)
        try:
            await self._converse(incoming)
        except CallGone:
            return  # cancelled before it was answered
        except CallNotTaken as refused:
            await self._refuse(incoming, refused)

    async def _converse(self, incoming: IncomingCall) -> None:
        try:
            invitation = read_invitation(incoming.request)
        except NoCommonCodec as error:
            raise CallNotTaken(488, "codec", str(error)) from None
        except UnknownBody as error:
            raise CallNotTaken(415, "body", str(error)) from None
        except BodyError as error:
            raise CallNotTaken(400, "malformed", str(error)) from None
        source = str(incoming.remote.host)
        # Nothing is awaited from here until the dialog has entered the call.
        call = self._calls.conference(invitation.conference) or self._begin(invitation, source)
        try:
            await Conversation(incoming, invitation, call, host=self._host).run()
        except CallOverError as error:
            raise CallNotTaken(503, "ended", str(error)) from None
        except CaptureFullError as error:
            raise CallNotTaken(503, "limit", str(error)) from None
        except (CaptureError, OSError) as error:
            raise CallNotTaken(503, "capture", str(error)) from None

    def _begin(self, invitation: Invitation, source: str) -> Call:
        if not self.open:
            raise CallNotTaken(503, "stopping", "the platform is stopping")
        if not self._book.loaded:
            raise CallNotTaken(503, "profile", "no profiles are loaded yet")
        try:
            self._calls.sources.check(source)
            return self._admit(invitation, source)
        except RecordingRefused as error:
            raise CallNotTaken(403, error.cause, str(error)) from None
        except NoRoomError as error:
            raise CallNotTaken(error.status, error.cause, str(error), error.retry_after) from None
        except CaptureError as error:
            raise CallNotTaken(503, "capture", str(error)) from None
        except OSError:
            raise CallNotTaken(503, OPEN_FILES, "too many files are open") from None

    def _admit(self, invitation: Invitation, source: str) -> Call:
        profile = self._book.choose(
            dbid=invitation.profile_dbid,
            geo_location=invitation.geo_location,
            tenant_dbid=invitation.tenant_dbid,
        )
        if profile is None:
            dbid = invitation.profile_dbid
            which = "for this call" if dbid is None else f"with DBID {dbid}"
            raise CallNotTaken(404, "profile", f"there is no IVR profile {which}")
        self._calls.check_room()  # before the certificates: that costs less
        recipients = choose_recipients(profile, self._mpc, self._ca_files, self._now())
        return self._calls.begin(invitation, profile, recipients, source=source)

    async def _refuse(self, incoming: IncomingCall, refused: CallNotTaken) -> None:
        refusal = Refusal(
            at=self._now().isoformat(timespec="milliseconds"),
            call_id=incoming.call_id,
            source=str(incoming.remote.host),
            status=refused.status,
            cause=refused.cause,
            reason=str(refused),
        )
        headers = [*refused.headers, _ACCEPT] if refused.status == 415 else refused.headers
        self._refusals.add(refusal)
        with suppress(CallGone):  # cancelled meanwhile
            await incoming.reject(refused.status, headers=headers)
