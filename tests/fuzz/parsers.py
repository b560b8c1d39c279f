"""Every parser that reads what strangers send, with what it may raise.

What was read is used as the services use it: an INVITE that was parsed is answered, metadata are
written again. `UserAgent` and the packets' parsers may raise nothing at all.
"""

from __future__ import annotations

import io
import itertools
import struct
from collections.abc import Iterator

import numpy as np

from mcp_sim.invitation import read_invitation
from mcp_sim.recording.journal.frames import (
    HEADER_SIZE,
    JournalError,
    decode_packets,
    decode_preamble,
    parse_header,
)
from mcp_sim.recording.plan import PlanError, decode_event, decode_plan
from mcp_sim.recording.timeline.timeline import Timeline
from mcp_sim.rtp.packets import parse_packets
from mcp_sim.sip.errors import BodyError
from mcp_sim.sip.framing import StreamFramer
from mcp_sim.sip.hop import Hop
from mcp_sim.sip.identity import AgentIdentity
from mcp_sim.sip.message import Malformed, SipRequest, parse_message
from mcp_sim.sip.msml import MsmlResult, parse_commands
from mcp_sim.sip.multipart import split_body
from mcp_sim.sip.offer_answer import build_answer, usable_lines
from mcp_sim.sip.sdp import SessionDescription
from mcp_sim.sip.siprec import RecordingSession
from mcp_sim.sip.user_agent import UserAgent
from recording_format.archive import open_archive, parse_archive_header
from recording_format.certificates import RecordingCertificate, certificate_alias
from recording_format.envelope import Envelope
from recording_format.errors import ArchiveError, CertificateError, EnvelopeError, MetadataError
from recording_format.metadata import decode_metadata, encode_metadata
from recording_processor.errors import BadParameter
from recording_processor.provisioning import decode_profile
from tests.fuzz import corpus
from tests.fuzz.trial import Parser
from tests.mcp_sim.recording.synthetic_call import Datagram, batch, call

UDP = Hop("udp", "192.0.2.10", 5070)
TCP = Hop("tcp", "192.0.2.10", 40123)
MOST_DATAGRAMS = 2000
"""More would measure how the input is cut, not how the packets are read."""
_DATAGRAM = struct.Struct(">HBB")


def _sip(data: bytes) -> None:
    message = parse_message(data, UDP)
    if isinstance(message, SipRequest):
        for name in ("Require", "Via", "Contact", "Record-Route"):
            message.header_values(name)
        read_invitation(message)


def _stream(data: bytes) -> None:
    framer = StreamFramer()
    for begin in range(0, len(data), 1000):
        for message in framer.feed(data[begin : begin + 1000]):
            parse_message(message, TCP)


def _agent(data: bytes) -> None:
    """A user agent's whole life: the message, its repetition, the answer, all timers."""
    tokens = itertools.count()
    identity = AgentIdentity(
        user_agent="fuzz",
        port=5060,
        local_host=lambda _: "192.0.2.1",
        token=lambda: f"t{next(tokens)}",
    )
    agent = UserAgent(identity)
    for source in (UDP, UDP, TCP):
        agent.receive(data, source, 1.0)
    for session, incoming in agent.take_calls():
        session.answer(incoming, 200, 1.0, body=b"v=0\r\n")
    agent.take_transmits()
    for _ in range(100):
        due = agent.next_deadline()
        if due is None:
            break
        agent.fire(due)
        agent.take_transmits()


def _sdp(data: bytes) -> None:
    offer = SessionDescription.parse(data)
    lines = usable_lines(offer)
    ports = {line.index: 4000 for line in lines}
    answer = build_answer(offer, lines, ports, host="192.0.2.1", session_id=1)
    SessionDescription.parse(answer.encode())


def _multipart(data: bytes) -> None:
    kind, _, body = data.partition(b"\n")
    split_body(kind.decode("utf-8", "replace"), body)


def _rs_metadata(data: bytes) -> None:
    session = RecordingSession.parse(data)
    session.updated(session).speakers()
    RecordingSession.parse(session.encode())


def _msml(data: bytes) -> None:
    parse_commands(data)


def _msml_result(data: bytes) -> None:
    MsmlResult.parse(data)


def datagrams(data: bytes) -> Iterator[Datagram]:
    """Cut an input into datagrams: length (2 bytes), leg, milliseconds since the last (1 each)."""
    at = now = 0
    for _ in range(MOST_DATAGRAMS):
        if len(data) - at < _DATAGRAM.size:
            return
        length, leg, delay = _DATAGRAM.unpack_from(data, at)
        at += _DATAGRAM.size
        now += delay * 1_000_000
        yield Datagram(now, leg & 0x03, data[at : at + length % 2048], header_only=leg >= 0xF0)
        at += length


def _rtp(data: bytes) -> None:
    taken = batch(list(datagrams(data)))
    found = parse_packets(taken.data, taken.offset, taken.length, taken.header_only)
    end = taken.offset[found.index] + taken.length[found.index]
    assert np.all(found.payload_length >= 0)
    assert np.all(found.payload_offset + found.payload_length <= end)


def _timeline(data: bytes) -> None:
    outline = call(2000, legs=2, pauses=[(500_000_000, 700_000_000)])
    timeline = Timeline(outline, channels=2)
    taken = batch(list(datagrams(data)))
    blocks = [*timeline.write(taken), *timeline.finish()]
    assert sum(block.shape[1] for block in blocks) == outline.samples
    timeline.reports()


def _journal(data: bytes) -> None:
    kind, rest = data[:1], data[1:]
    if kind == b"\0":
        decode_preamble(rest)
    elif kind == b"\1":
        decode_plan(rest)
    elif kind == b"\2":
        decode_event(rest)
    else:
        parse_header(rest[:HEADER_SIZE].ljust(HEADER_SIZE))
        decode_packets(rest)


def _metadata(data: bytes) -> None:
    metadata = decode_metadata(data)
    repr(metadata)
    for media in metadata.media_files:
        _use(media.started, media.stopped, media.recording_id, media.encrypted)
    decode_metadata(encode_metadata(metadata))


def _envelope(data: bytes) -> None:
    pem = data.lstrip().startswith(b"-----")
    envelope = Envelope.from_pem(data.decode("latin-1")) if pem else Envelope.from_der(data)
    Envelope.from_der(envelope.to_der())


def _archive(data: bytes) -> None:
    envelope, pieces = open_archive(io.BytesIO(data))
    assert sum(len(piece) for piece in pieces) < len(data)
    envelope.to_pem()


def _archive_header(data: bytes) -> None:
    header = parse_archive_header(data)
    assert header.offset <= len(data)


def _certificate(data: bytes) -> None:
    certificate = RecordingCertificate.load(data.decode("latin-1"), name="certificates-1")
    certificate_alias(certificate, "Environment", 1)
    _use(certificate.described, certificate.fingerprint, certificate.pem, certificate.key_bits)


def _profile(data: bytes) -> None:
    profile = decode_profile(data, dbid=101)
    _use(profile.certificates, profile.storage_credentials, profile.processor_parameters)


def _use(*_: object) -> None:
    """Take properties that are computed when they are asked for."""


PARSERS = (
    Parser("sip", corpus.sip_messages, _sip, (Malformed, BodyError)),
    Parser("sip-stream", corpus.sip_messages, _stream, (Malformed,)),
    Parser("sip-agent", corpus.sip_messages, _agent, ()),
    Parser("sdp", corpus.sdp_bodies, _sdp, (BodyError,)),
    Parser("multipart", corpus.multipart_bodies, _multipart, (BodyError,)),
    Parser("rs-metadata", corpus.metadata_documents, _rs_metadata, (BodyError,)),
    Parser("msml", corpus.msml_commands, _msml, (BodyError,)),
    Parser("msml-result", corpus.msml_answers, _msml_result, (BodyError,)),
    Parser("rtp", corpus.rtp_datagrams, _rtp, ()),
    Parser("timeline", corpus.rtp_datagrams, _timeline, ()),
    Parser("journal", corpus.journal_parts, _journal, (JournalError, PlanError)),
    Parser("metadata", corpus.metadata_posts, _metadata, (MetadataError,)),
    Parser("envelope", corpus.envelopes, _envelope, (EnvelopeError,)),
    Parser("archive", corpus.archives, _archive, (ArchiveError, EnvelopeError)),
    Parser("archive-header", corpus.archives, _archive_header, (ArchiveError, EnvelopeError)),
    Parser("certificate", corpus.certificates, _certificate, (CertificateError,)),
    Parser("profile", corpus.profiles, _profile, (BadParameter,)),
)
