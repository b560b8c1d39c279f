"""SIPREC recording metadata (RFC 7865): who takes part, and who is heard on which stream.

Pure. Reads the standard's form and the older drafts' (participants that carry their own
`send`), merges partial updates, and writes what a recording client sends.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from typing import TypeVar

from .errors import BodyError
from .multipart import BodyPart, build_multipart
from .xml_body import Element, escaped, parse_xml

MAX_OBJECTS = 200
NAMESPACE = "urn:ietf:params:xml:ns:recording:1"
CONTENT_TYPE = "application/rs-metadata+xml"
REQUIRE = ("Require", "siprec")
CLIENT_PARAMETER = ";+sip.src"  # on the Contact of a recording client (RFC 7866 §6.1.1)
SERVER_PARAMETER = ";+sip.srs"  # on the Contact of a recording server (RFC 7866 §6.2)


@dataclasses.dataclass(frozen=True, slots=True)
class Participant:
    """One party; `aor` is its first address, as a URI."""

    id: str
    aor: str = ""
    name: str = ""


@dataclasses.dataclass(frozen=True, slots=True)
class MediaStream:
    """One recorded stream; `label` is the a=label of its SDP line."""

    id: str
    label: str
    session: str = ""


@dataclasses.dataclass(frozen=True, slots=True)
class CommunicationSession:
    """The call that is recorded; `sip_session_id` is that of RFC 7989, empty when missing."""

    id: str
    sip_session_id: str = ""
    group: str = ""


@dataclasses.dataclass(frozen=True, slots=True)
class RecordingSession:
    """All metadata known of one recording session, by the objects' ids.

    `sends` and `receives` give stream ids by participant id; an ended association is absent.
    `ended` names the associations that an update took away.
    """

    complete: bool = True
    sessions: Mapping[str, CommunicationSession] = dataclasses.field(default_factory=dict)
    participants: Mapping[str, Participant] = dataclasses.field(default_factory=dict)
    streams: Mapping[str, MediaStream] = dataclasses.field(default_factory=dict)
    sends: Mapping[str, tuple[str, ...]] = dataclasses.field(default_factory=dict)
    receives: Mapping[str, tuple[str, ...]] = dataclasses.field(default_factory=dict)
    ended: frozenset[str] = frozenset()

    @classmethod
    def parse(cls, body: bytes) -> RecordingSession:
        """Read a metadata document; raises BodyError."""
        root = parse_xml(body, "the recording metadata")
        if root.name != "recording":
            raise BodyError("the recording metadata does not begin with <recording>")
        if len(root.children) > 4 * MAX_OBJECTS:
            raise BodyError("the recording metadata has too many objects")
        return _read(root)

    def speakers(self) -> dict[str, tuple[Participant, ...]]:
        """Who is heard on which label: label → participants that send the stream."""
        heard: dict[str, tuple[Participant, ...]] = {}
        for participant_id, streams in self.sends.items():
            participant = self.participants.get(participant_id, Participant(participant_id))
            for stream_id in streams:
                stream = self.streams.get(stream_id)
                if stream is not None and stream.label:
                    heard[stream.label] = (*heard.get(stream.label, ()), participant)
        return heard

    def updated(self, update: RecordingSession) -> RecordingSession:
        """This state after an update: a complete one replaces it, a partial one is merged."""
        if update.complete:
            return update
        sends = {**self.sends, **update.sends}
        receives = {**self.receives, **update.receives}
        for participant_id in update.ended:
            if participant_id not in update.sends and participant_id not in update.receives:
                sends.pop(participant_id, None)
                receives.pop(participant_id, None)
        return RecordingSession(
            complete=self.complete,
            sessions={**self.sessions, **update.sessions},
            participants={**self.participants, **update.participants},
            streams={**self.streams, **update.streams},
            sends=sends,
            receives=receives,
        )

    def encode(self) -> bytes:
        """The metadata document of a recording client (RFC 7865 §10)."""
        lines = [
            '<?xml version="1.0" encoding="UTF-8"?>',
            f'<recording xmlns="{NAMESPACE}">',
            f"<datamode>{'complete' if self.complete else 'partial'}</datamode>",
        ]
        for session in self.sessions.values():
            lines.append(f'<session session_id="{escaped(session.id)}">')
            if session.sip_session_id:
                lines.append(f"<sipSessionID>{escaped(session.sip_session_id)}</sipSessionID>")
            if session.group:
                lines.append(f"<group-ref>{escaped(session.group)}</group-ref>")
            lines.append("</session>")
        for participant in self.participants.values():
            lines.append(f'<participant participant_id="{escaped(participant.id)}">')
            lines.append(f'<nameID aor="{escaped(participant.aor)}">')
            if participant.name:
                lines.append(f"<name>{escaped(participant.name)}</name>")
            lines.append("</nameID></participant>")
        for stream in self.streams.values():
            ids = f'stream_id="{escaped(stream.id)}" session_id="{escaped(stream.session)}"'
            lines.append(f"<stream {ids}><label>{escaped(stream.label)}</label></stream>")
        for participant_id in {**self.sends, **self.receives}:
            lines.append(f'<participantstreamassoc participant_id="{escaped(participant_id)}">')
            lines += [f"<send>{escaped(i)}</send>" for i in self.sends.get(participant_id, ())]
            lines += [f"<recv>{escaped(i)}</recv>" for i in self.receives.get(participant_id, ())]
            lines.append("</participantstreamassoc>")
        return "\r\n".join([*lines, "</recording>", ""]).encode()


Object = TypeVar("Object", CommunicationSession, Participant, MediaStream)


def _read(root: Element) -> RecordingSession:
    sends: dict[str, tuple[str, ...]] = {}
    receives: dict[str, tuple[str, ...]] = {}
    ended: set[str] = set()
    # The older drafts put send and recv into the participant itself.
    for element in root.all("participantstreamassoc", "participant"):
        participant_id = _id(element, "participant_id", "participant", "id")
        sent, received = _texts(element, "send"), _texts(element, "recv")
        gone = any(True for _ in element.all("disassociate-time"))
        if gone and element.name == "participantstreamassoc":
            ended.add(participant_id)
        elif sent or received or element.name == "participantstreamassoc":
            sends[participant_id] = (*sends.get(participant_id, ()), *sent)
            receives[participant_id] = (*receives.get(participant_id, ()), *received)
    return RecordingSession(
        complete=root.text_of("datamode").lower() != "partial",
        sessions=_by_id(_session(element) for element in root.all("session")),
        participants=_by_id(_participant(element) for element in root.all("participant")),
        streams=_by_id(_stream(element) for element in root.all("stream")),
        sends=sends,
        receives=receives,
        ended=frozenset(ended),
    )


def _by_id(objects: Iterable[Object]) -> dict[str, Object]:
    return {item.id: item for item in objects}


def _session(element: Element) -> CommunicationSession:
    return CommunicationSession(
        id=_id(element, "session_id", "id"),
        sip_session_id=element.text_of("sipsessionid"),
        group=element.text_of("group-ref"),
    )


def _participant(element: Element) -> Participant:
    named = element.first("nameid")
    aor = named.attributes.get("aor", "") if named is not None else element.text_of("aor")
    name = named.text_of("name") if named is not None else element.text_of("name")
    return Participant(_id(element, "participant_id", "id"), aor.strip(), name)


def _stream(element: Element) -> MediaStream:
    session = element.attributes.get("session_id") or element.attributes.get("session", "")
    return MediaStream(_id(element, "stream_id", "id"), element.text_of("label"), session)


def _texts(element: Element, name: str) -> tuple[str, ...]:
    return tuple(child.text.strip() for child in element.all(name) if child.text.strip())


def _id(element: Element, *names: str) -> str:
    for name in names:
        value = element.attributes.get(name, "").strip()
        if value:
            return value
    raise BodyError(f"an element <{element.name}> of the recording metadata has no id")


def recording_body(
    sdp: bytes, metadata: RecordingSession, boundary: str = "recording-boundary"
) -> tuple[str, bytes]:
    """(Content-Type, body) of a recording client's INVITE (RFC 7866 §6.1.1, §9.1)."""
    disposition = ("Content-Disposition", "recording-session")
    parts = [
        BodyPart("application/sdp", sdp),
        BodyPart(CONTENT_TYPE, metadata.encode(), (disposition,)),
    ]
    return build_multipart(parts, boundary)
