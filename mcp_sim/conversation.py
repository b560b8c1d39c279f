"""One SIP dialog with the recorder: the answer to its INVITE, and everything until its end.

It turns offers into legs of a `Call` and answers them, obeys MSML commands, and leaves the call
when the dialog ends. A dialog that cannot go on is hung up: none is left behind.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from contextlib import suppress

import structlog

from mcp_sim.call import Call, CallOverError, Dialog, TooManyParametersError
from mcp_sim.invitation import Invitation, clean_parameters
from mcp_sim.negotiation import OUR_LINE, Negotiation, read_change
from mcp_sim.recording.capture.client import CaptureError
from mcp_sim.refusals import quotable
from mcp_sim.sip import (
    Acked,
    CallError,
    CallEvent,
    CallGone,
    IncomingCall,
    InfoReceived,
    Reinvited,
    Updated,
)
from mcp_sim.sip.errors import BodyError, NoCommonCodec
from mcp_sim.sip.msml import (
    BAD_REQUEST,
    INTERNAL_ERROR,
    NO_SUCH_OBJECT,
    OK,
    MsmlError,
    MsmlResult,
    RecorderCommand,
    parse_commands,
)
from mcp_sim.sip.msml import CONTENT_TYPE as MSML
from mcp_sim.sip.msml import CONTENT_TYPES as MSML_TYPES
from mcp_sim.sip.multipart import media_type, split_body
from mcp_sim.sip.sdp import SessionDescription
from mcp_sim.sip.siprec import REQUIRE, SERVER_PARAMETER, RecordingSession

_log = structlog.get_logger()
_HANG_UP_SECONDS = 3.0
_RETRY_AFTER = ("Retry-After", "5")


class Conversation:
    """The recorder's side of one dialog. `host` is the address that the SDP names for RTP.

    Making it takes the dialog into the call; `run` has to follow.
    """

    def __init__(
        self, incoming: IncomingCall, invitation: Invitation, call: Call, *, host: str
    ) -> None:
        self._incoming = incoming
        self._invitation = invitation
        self._call = call
        self._sdp = Negotiation(host, secrets.randbits(31))
        self._dialog = Dialog(
            incoming.call_id,
            hang_up=incoming.bye,
            gone=lambda: incoming.ended is not None,
            dn=invitation.dn,
        )
        call.enter(self._dialog)

    async def run(self) -> None:
        """Answer the INVITE, and stay until the dialog ends.

        Raises `CaptureError`, `OSError`, `CallOverError` or `CallGone` while the INVITE is
        unanswered, and nothing of these later.
        """
        try:
            sent = await self._answer()
            await self._stay(sent)
        finally:
            ended = self._incoming.ended
            at_ns = self._incoming.ended_ns if ended else time.monotonic_ns()
            await self._call.leave(self._dialog, ended.by if ended else "abandoned", at_ns)
            await self._hang_up()

    async def _answer(self) -> int:
        invitation = self._invitation
        await self._call.change(
            self._dialog, invitation.lines if invitation.offer else (OUR_LINE,), invitation.siprec
        )
        said = self._call.parameters
        new = {k: v for k, v in invitation.parameters.items() if k not in said}
        await self._call.set_parameters(new)
        siprec = self._call.kind == "siprec"
        return await self._incoming.answer(
            self._describe(invitation.offer),
            headers=[REQUIRE] if siprec else [],
            contact_parameters=SERVER_PARAMETER if siprec else "",
        )

    async def _stay(self, sent: int) -> None:
        try:
            await self._call.started(sent)
            if self._call.ending:  # it was stopped while we answered
                return
            async for event in self._incoming.events:
                await self._take(event)
        except CaptureError as error:
            _log.error("A dialog could not go on", recording_id=self._call.id, fault=str(error))

    def _describe(self, offer: SessionDescription | None) -> bytes:
        """Answer `offer`, or make one."""
        ports = {index: leg.port for index, leg in self._dialog.legs.items()}
        if offer is None:
            return self._sdp.offer(ports.get(0, 0))
        return self._sdp.answer(offer, read_change(offer), ports)

    async def _take(self, event: CallEvent) -> None:
        try:
            if isinstance(event, (Reinvited, Updated)):
                await self._change(event)
            elif isinstance(event, InfoReceived):
                await self._obey(event)
            elif isinstance(event, Acked) and event.body and self._sdp.waiting:
                await self._take_answer(event.body)
        except CallGone:
            return  # the peer took it back, or hung up: the Ended event follows

    async def _change(self, event: Reinvited | Updated) -> None:
        """A new offer within the dialog; what cannot be taken leaves everything as it was."""
        try:
            bodies = split_body(event.content_type, event.body)
            metadata = bodies.rs_metadata
            siprec = RecordingSession.parse(metadata) if metadata else None
            offer = SessionDescription.parse(bodies.sdp) if bodies.sdp else None
            lines = read_change(offer) if offer else None
            await self._call.change(self._dialog, lines, siprec)
            # A re-INVITE without an offer asks for ours; an UPDATE without one asks for nothing.
            wanted = offer is not None or isinstance(event, Reinvited)
            await event.answer(self._describe(offer) if wanted else b"")
        except (NoCommonCodec, CallOverError) as error:
            await event.reject(488, headers=[_warning(error)])
        except BodyError as error:
            await event.reject(400, headers=[_warning(error)])
        except CaptureError as error:
            _log.warning(
                "A change of a call was refused", recording_id=self._call.id, fault=str(error)
            )
            await event.reject(503, headers=[_RETRY_AFTER])

    async def _take_answer(self, body: bytes) -> None:
        """The answer to our offer came with the ACK; one that is none ends the dialog."""
        try:
            await self._call.change(self._dialog, self._sdp.read_answer(body))
        except CallOverError:
            return
        except (BodyError, CaptureError) as error:
            _log.warning(
                "The answer of a peer was not usable", recording_id=self._call.id, fault=str(error)
            )
            await self._hang_up()

    async def _obey(self, event: InfoReceived) -> None:
        """Carry out MSML; other INFO is acknowledged and ignored, as phones send it."""
        if media_type(event.content_type) not in MSML_TYPES:
            await event.answer(b"")
            return
        try:
            created = [await self._command(c) for c in parse_commands(event.body)]
            result = MsmlResult(OK, conference_id=next(filter(None, created), ""))
        except MsmlError as error:
            result = MsmlResult(error.code, str(error))
        except TooManyParametersError as error:
            result = MsmlResult(BAD_REQUEST, str(error))
        except CallOverError as error:
            result = MsmlResult(NO_SUCH_OBJECT, str(error))
        except CaptureError as error:
            result = MsmlResult(INTERNAL_ERROR, str(error))
        await event.answer(result.encode(), MSML)

    async def _command(self, command: RecorderCommand) -> str:
        """Obey; return the name of the conference that it means to create."""
        conference = self._call.conference
        if conference and command.conference_id != conference:
            raise MsmlError(NO_SUCH_OBJECT, "the conference is not the one of this call")
        await self._call.set_parameters(clean_parameters(dict(command.parameters)))
        if command.state == "pause":
            await self._call.pause()
        elif command.state in ("resume", "start"):
            await self._call.resume()
        elif command.state == "stop":
            await self._call.end("stopped by MSML")
        return command.conference_id if command.create else ""

    async def _hang_up(self) -> None:
        """End the dialog if it is up; a peer that does not answer the BYE is not waited for."""
        if self._incoming.answered and self._incoming.ended is None:
            with suppress(CallError, TimeoutError):
                async with asyncio.timeout(_HANG_UP_SECONDS):
                    await self._incoming.bye()


def _warning(error: Exception) -> tuple[str, str]:
    """Say why (RFC 3261 §20.43): 399 is a text for people."""
    return "Warning", f'399 reclab "{quotable(str(error))}"'
