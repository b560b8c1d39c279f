"""Real messages to begin with: the wire vectors of other tests, and what our own code writes."""

from __future__ import annotations

import json
import struct
from functools import cache
from pathlib import Path

import msgspec

from mcp_sim.recording.journal.frames import Preamble, encode_packets, encode_preamble
from mcp_sim.recording.plan import SealedBox, encode_event, encode_plan
from mcp_sim.sip.msml import MsmlResult, RecorderCommand
from mcp_sim.sip.siprec import RecordingSession, recording_body
from recording_format.archive import archive_prefix
from recording_format.envelope import Envelope
from tests.mcp_sim.recording.journals import EVENTS, a_plan, columns, some_packets
from tests.mcp_sim.recording.synthetic_call import Datagram, rtp, speech, stream
from tests.mcp_sim.sip.wire import message_text

_SIP = Path(__file__).parent.parent / "mcp_sim" / "sip" / "vectors"
_FORMAT = Path(__file__).parent.parent / "recording_format" / "vectors"


@cache
def sip_messages() -> list[bytes]:
    """Requests and responses, good ones, bad ones and tortured ones, and a SIPREC INVITE."""
    found = [path.read_bytes() for path in sorted(_SIP.glob("*/*.sip"))]
    session = RecordingSession.parse((_SIP / "metadata" / "complete.xml").read_bytes())
    kind, body = recording_body((_SIP / "sdp" / "siprec.sdp").read_bytes(), session)
    headers = (("Content-Type", kind), ("Require", "siprec"), ("Record-Route", "<sip:p@h;lr>"))
    found.append(message_text(headers=headers, body=body))
    for method in ("BYE", "CANCEL", "ACK", "INFO", "UPDATE", "OPTIONS", "PRACK"):
        found.append(message_text(f"{method} sip:record@192.0.2.1 SIP/2.0", to_tag="t"))
    return [data for data in found if len(data) < 9000]


@cache
def sdp_bodies() -> list[bytes]:
    """Descriptions of telephones and recording clients."""
    return _files("sdp")


@cache
def multipart_bodies() -> list[bytes]:
    """Multipart bodies, the Content-Type in front as the first line."""
    found = [
        f'multipart/mixed; boundary="{boundary}"\n'.encode() + body
        for body in _files("multipart")
        for boundary in (body.partition(b"--")[2].split()[0].decode(), "unique")
    ]
    session = RecordingSession.parse((_SIP / "metadata" / "complete.xml").read_bytes())
    kind, body = recording_body(b"v=0\r\n", session)
    return [*found, kind.encode() + b"\n" + body, b"application/sdp\nv=0\r\n"]


@cache
def metadata_documents() -> list[bytes]:
    """The rs-metadata of SIPREC."""
    return _files("metadata")


@cache
def msml_commands() -> list[bytes]:
    """Commands for a recorder."""
    parameters = {"ani": "+1", "dnis": "7001", "agentId": "ä<&>"}
    return [
        RecorderCommand("00A1", state, parameters, create).encode()
        for state in (None, "start", "pause", "resume", "stop")
        for create in (False, True)
    ]


@cache
def msml_answers() -> list[bytes]:
    """Answers to commands."""
    return [MsmlResult(200, "done", "00A1").encode(), MsmlResult(410).encode()]


@cache
def rtp_datagrams() -> list[bytes]:
    """Groups of datagrams, each behind its length, leg and delay (see `parsers.datagrams`)."""
    payloads = speech(6)
    events = [rtp(9000 + n, 400, bytes((5, 10, 0, 160)), payload_type=101) for n in range(3)]
    extended = b"\x92\x08" + rtp(1, 1, b"")[2:] + bytes(8) + b"\xbe\xde\0\1" + bytes(4) + b"speech"
    padded = b"\xa0\x08" + rtp(2, 161, b"")[2:] + b"sound" + b"\0\0\3"
    sender_report = struct.pack(">BBHI", 0x80, 200, 6, 7) + bytes(20)
    goodbye = struct.pack(">BBHI", 0x81, 203, 1, 7)
    stun = b"\0\1\0\0\x21\x12\xa4\x42" + bytes(12)
    groups = [
        [d.data for d in stream(payloads)],
        [d.data for d in stream(payloads, ssrc=9, sequence=65_533, timestamp=2**32 - 200)],
        events,
        [extended, padded],
        [sender_report, goodbye, sender_report + goodbye, stun, b"", b"\0" * 200],
    ]
    return [packed([Datagram(20_000_000, n % 2, d) for n, d in enumerate(g)]) for g in groups]


def packed(datagrams: list[Datagram]) -> bytes:
    """Return datagrams as one input, each behind its length (2 bytes), leg and delay in ms."""
    return b"".join(
        struct.pack(">HBB", len(one.data), one.leg, one.at // 1_000_000) + one.data
        for one in datagrams
    )


@cache
def journal_parts() -> list[bytes]:
    """What lies within a journal's frames once they are opened, the kind in front as one byte."""
    box = SealedBox("0123", bytes(12), bytes(48))
    preamble = encode_preamble(Preamble(box, b"1\x82recipients", bytes(32)))
    packets = encode_packets([columns(some_packets(9))])
    events = [b"\2" + encode_event(event) for event in EVENTS]
    return [b"\0" + preamble, b"\1" + encode_plan(a_plan()), *events, b"\3" + packets]


@cache
def metadata_posts() -> list[bytes]:
    """What is posted to the processor."""
    names = ("metadata.json", "metadata_quirks.json")
    return [(_FORMAT / name).read_bytes() for name in names]


@cache
def _envelopes() -> list[Envelope]:
    told = json.loads((_FORMAT / "envelope.json").read_text())
    return [Envelope.from_der(bytes.fromhex(one["der"])) for one in told]


@cache
def envelopes() -> list[bytes]:
    """Detached envelopes in PEM and in DER."""
    return [
        *(one.to_pem().encode() for one in _envelopes()),
        *(one.to_der() for one in _envelopes()),
    ]


@cache
def archives() -> list[bytes]:
    """Archive files, in our form and with indefinite lengths."""
    found = [archive_prefix(one, 64) + bytes(64) for one in _envelopes()]
    detached = _envelopes()[0].to_der()
    return [*found, detached, *(_indefinite(data) for data in found)]


def _indefinite(data: bytes) -> bytes:
    """Give the outermost value an indefinite length."""
    size = 2 + (data[1] & 0x7F if data[1] > 0x80 else 0)
    return b"\x30\x80" + data[size:] + b"\0\0"


@cache
def certificates() -> list[bytes]:
    """Recording certificates in PEM."""
    pem = (Path(__file__).parent / "vectors" / "recorder.pem").read_bytes()
    return [pem, pem.replace(b"\n", b"\r\n")]


@cache
def profiles() -> list[bytes]:
    """IVR profiles as they are put."""
    profile = {
        "dbid": 101,
        "name": "record",
        "tenant": {"name": "Environment", "dbid": 1},
        "sections": {
            "gvp.general": {"service-type": "record", "geo-location": "east"},
            "gvp.service-parameters": {
                "recordingclient.recdest": "fixed,http://127.0.0.1:8801/recordings",
                "recordingclient.callrec_dest": "fixed,http://127.0.0.1:8802",
                "recordingclient.httpauthorization": "fixed,user:password",
                "recordingclient.channels": "fixed,2",
            },
            "recording-certificates": {"certificates-1": certificates()[0].decode()},
        },
    }
    return [msgspec.json.encode(profile), b'{"name":"a","tenant":{"name":"b","dbid":2}}']


def _files(folder: str) -> list[bytes]:
    return [path.read_bytes() for path in sorted((_SIP / folder).iterdir())]
