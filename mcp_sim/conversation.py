"""One SIP dialog with the recorder: the answer to its INVITE, and everything until its end.

It turns offers into legs of a `Call` and answers them, obeys MSML commands, and leaves the call
when the dialog ends. Raises nothing once the INVITE is answered.
"""

from __future__ import annotations

import secrets

import structlog

from mcp_sim.call import Call, Dialog
from mcp_sim.invitation import Invitation, clean_parameters
from mcp_sim.recording.capture_client import CaptureError
from mcp_sim.sip import Acked, CallGone, Ended, IncomingCall, InfoReceived, Reinvited, Updated
from mcp_sim.sip.errors import BodyError, NoCommonCodec
from mcp_sim.sip.msml import CONTENT_TYPE as MSML
from mcp_sim.sip.msml import MsmlError, MsmlResult, RecorderCommand, parse_commands
from mcp_sim.sip.multipart import split_body
from mcp_sim.sip.offer_answer import (
    RECORDER_CODECS,
    AudioLine,
    OfferedStream,
    build_answer,
    build_offer,
    usable_lines,
)
from mcp_sim.sip.sdp import Direction, SessionDescription
from mcp_sim.sip.siprec import RecordingSession

_log = structlog.get_logger()
_SRS = ";+sip.srs"


class Conversation:
    """The recorder's side of one dialog. `host` is the address that the SDP names."""

    def __init__(
        self, incoming: IncomingCall, invitation: Invitation, call: Call, *, host: str
    ) -> None:
        self._incoming = incoming
        self._invitation = invitation
        self._call = call
        self._host = host
        self._session_id = secrets.randbits(31)
        self._version = 0
        self._siprec = invitation.kind == "siprec"
        self._dialog: Dialog | None = None

    async def run(self) -> None:
        """Answer the INVITE, and stay until the dialog ends.

        Raises `BodyError`, `NoCommonCodec` or `CaptureError` while the INVITE is unanswered.
        """
        try:
            await self._answer()
            async for event in self._incoming.events:
                await self._take(event)
        finally:
            ended = self._incoming.ended
            await self._leave(ended.by if ended else "stopped")

    async def _answer(self) -> None:
        invitation = self._invitation
        offer = SessionDescription.parse(invitation.sdp) if invitation.sdp else None
        lines = usable_lines(offer) if offer else (_our_line(),)
        self._dialog = await self._call.join(
            lines, self._incoming.bye, dn=invitation.dn, siprec=invitation.siprec
        )
        body = self._describe(offer, lines)
        parameters = _SRS if self._siprec else ""
        headers = [("Require", "siprec")] if self._siprec else []
        sent = await self._incoming.answer(
            body.encode(), headers=headers, contact_parameters=parameters
        )
        await self._call.started(sent)

    def _describe(
        self, offer: SessionDescription | None, lines: tuple[AudioLine, ...]
    ) -> SessionDescription:
        assert self._dialog is not None
        legs = {index: leg for index, leg in self._dialog.legs.items() if not leg.closed}
        self._version += 1
        if offer is not None:
            return build_answer(
                offer,
                lines,
                {index: leg.port for index, leg in legs.items()},
                host=self._host,
                session_id=self._session_id,
                version=self._version,
            )
        streams = [
            OfferedStream(leg.port, direction=Direction.RECVONLY, label=leg.label)
            for leg in legs.values()
        ]
        return build_offer(
            streams, host=self._host, session_id=self._session_id, version=self._version
        )

    async def _take(self, event: Reinvited | Updated | InfoReceived | Acked | Ended) -> None:
        try:
            if isinstance(event, (Reinvited, Updated)):
                await self._change(event)
            elif isinstance(event, InfoReceived):
                await self._obey(event)
        except CallGone:
            return  # the peer took it back, or hung up: the Ended event follows

    async def _change(self, event: Reinvited | Updated) -> None:
        """A new offer within the dialog; what cannot be taken leaves everything as it was."""
        assert self._dialog is not None
        try:
            bodies = split_body(event.content_type, event.body)
            metadata = bodies.rs_metadata
            siprec = RecordingSession.parse(metadata) if metadata else None
            offer = SessionDescription.parse(bodies.sdp) if bodies.sdp else None
            lines = usable_lines(offer) if offer else ()
            await self._call.change(self._dialog, lines if offer else None, siprec=siprec)
            # A re-INVITE without an offer asks for ours; an UPDATE without one asks for nothing.
            described = offer is not None or isinstance(event, Reinvited)
            await event.answer(self._describe(offer, lines).encode() if described else b"")
        except NoCommonCodec as error:
            await event.reject(488, str(error))
        except BodyError as error:
            await event.reject(400, str(error))
        except CaptureError as error:
            _log.warning("A change of a call was refused", call_id=self._call.id, fault=str(error))
            await event.reject(503, headers=[("Retry-After", "5")])

    async def _obey(self, event: InfoReceived) -> None:
        """Carry out MSML; other INFO is acknowledged and ignored, as phones send it."""
        if "xml" not in event.content_type.lower():
            await event.answer(b"")
            return
        try:
            for command in parse_commands(event.body):
                await self._command(command)
            result = MsmlResult(200)
        except MsmlError as error:
            result = MsmlResult(error.code, str(error))
        except CaptureError as error:
            result = MsmlResult(500, str(error))
        await event.answer(result.encode(), MSML)

    async def _command(self, command: RecorderCommand) -> None:
        conference = self._invitation.conference
        if conference and command.conference_id != conference:
            raise MsmlError(430, "the conference is not the one of this call")
        await self._call.set_parameters(clean_parameters(dict(command.parameters)))
        if command.state == "pause":
            await self._call.pause()
        elif command.state in ("resume", "start"):
            await self._call.resume()
        elif command.state == "stop":
            await self._call.end("stopped by MSML")

    async def _leave(self, reason: str) -> None:
        if self._dialog is None:
            await self._call.abandon()
        else:
            await self._call.leave(self._dialog, reason)


def _our_line() -> AudioLine:
    """The line of an offer that we make: the peer's side of it is not known yet."""
    return AudioLine(
        index=0, label="", codecs=RECORDER_CODECS, direction=Direction.SENDRECV,
        host="", port=9, ptime=None, held=False,
    )  # fmt: skip
