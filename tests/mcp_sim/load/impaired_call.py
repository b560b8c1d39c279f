"""A call of the load generator without sockets and without waiting: sent, recorded, judged.

The packets are those that the sender would send, at its steps of 4 ms; the recorder is the real
timeline; the verdict is that of `verify`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mcp_sim.load.check import check
from mcp_sim.load.comparison import compare_metadata, expect
from mcp_sim.load.decode import Sound
from mcp_sim.load.finding import Finding
from mcp_sim.load.impairments import Impairments
from mcp_sim.load.payload import LegPayload
from mcp_sim.load.report import CallReport, LegReport
from mcp_sim.load.signature import LEGS
from mcp_sim.recording.journal.frames import PacketBatch
from mcp_sim.recording.timeline.outline import Leg, Outline
from mcp_sim.recording.timeline.timeline import Timeline
from mcp_sim.rtp.impaired_packets import ImpairedPackets
from mcp_sim.rtp.impairment import Impairment
from mcp_sim.rtp.impairment.account import Account
from mcp_sim.rtp.impairment.fate import LegFate
from mcp_sim.rtp.packet_block import StreamFormat
from mcp_sim.rtp.sender import SLOT_MS
from recording_format.lab import Lab
from recording_format.lab import LegReport as Counted
from recording_format.media_file import MediaDescriptor, MediaFile

T0 = 70_000_000_000_000
MS = 1_000_000
LEAD_NS = 40 * MS
"""From the answer to the first packet."""
IDENTITY = "IMPAIRED0CALL0000000000000000042"


@dataclass(frozen=True, eq=False)
class SentLeg:
    """What left on one leg: packets with the time of leaving, and the generator's account."""

    packets: list[tuple[int, bytes]]
    account: Account


def send(leg: str, wrong: Impairment, seconds: float, *, seed: int = 1) -> SentLeg:
    """Send a leg for so long, by the sender's steps."""
    name = "agent" if leg == "agent" else "customer"
    payload = LegPayload(IDENTITY, "agent" if leg == "agent" else "customer", "pcmu")
    form = StreamFormat(0, ssrc=len(leg), first_sequence=65_000, first_timestamp=2**32 - 5000)
    stream = ImpairedPackets(payload.packets, form, LegFate(wrong, seed, IDENTITY, name))
    packets: list[tuple[int, bytes]] = []
    if not wrong.one_way:
        for elapsed in range(0, round(seconds * 1000) * MS, SLOT_MS * MS):
            packets += [(elapsed, bytes(packet)) for packet in stream.leaving(elapsed)]
    done = Account(one_way=True) if wrong.one_way else stream.account(0)
    return SentLeg(packets, done)


def record(legs: list[SentLeg], seconds: float) -> tuple[npt.NDArray[np.int16], list[Counted]]:
    """Record the legs as the platform does: int16[2, samples], and its counts."""
    end_ns = T0 + 2 * LEAD_NS + round(seconds * 1e9)
    outline = Outline(
        start_ns=T0,
        end_ns=end_ns,
        wall_ns=1_767_348_000_000_000_000,
        legs={n: Leg(n, LEGS[n], {0: "pcmu"}, ("left", "right")[n], T0) for n in range(2)},
        pauses=(),
        parameters={"id": IDENTITY, "callUuid": IDENTITY},
        reason="bye",
        recovered=False,
    )
    arrived = sorted(
        ((at, n, data) for n, leg in enumerate(legs) for at, data in leg.packets),
        key=lambda packet: packet[0],
    )
    timeline = Timeline(outline, channels=2)
    blocks = [np.zeros((2, 0), np.int16)]
    for begin in range(0, len(arrived), 500):
        blocks += timeline.write(_batch(arrived[begin : begin + 500]))
    blocks += timeline.finish()
    return np.concatenate(blocks, axis=1), timeline.reports()


def _batch(packets: list[tuple[int, int, bytes]]) -> PacketBatch:
    length = np.array([len(data) for _, _, data in packets], np.int64)
    return PacketBatch(
        np.array([T0 + LEAD_NS + at for at, _, _ in packets], np.int64),
        np.array([leg for _, leg, _ in packets], np.uint8),
        np.cumsum(length) - length,
        length,
        np.zeros(len(packets), np.bool_),
        b"".join(data for _, _, data in packets),
    )


def report_of(legs: list[SentLeg]) -> CallReport:
    """Return what ``reclab load`` would report of the call."""
    return CallReport(
        identity=IDENTITY,
        number=0,
        caller="1",
        dialed="2",
        agent="3",
        connection_id="0" * 16,
        result="completed",
        legs=tuple(
            LegReport(
                leg=LEGS[n],
                channel=("left", "right")[n],
                codec="pcmu",
                packets=len(leg.packets) - leg.account.duplicated,
                impaired=leg.account,
            )
            for n, leg in enumerate(legs)
        ),
    )


def judge(
    sound: npt.NDArray[np.int16], counted: list[Counted], call: CallReport
) -> tuple[Finding, tuple[str, ...]]:
    """Return what ``reclab verify`` finds in the sound, and all that it calls a problem."""
    media = _media(sound, counted)
    heard = Sound(sound.astype(np.float32))
    finding = check(heard, expect(media, heard, call))
    return finding, (*compare_metadata(media, call, plaintext_size=1), *finding.problems)


def _media(sound: npt.NDArray[np.int16], counted: list[Counted]) -> MediaFile:
    ms = round(sound.shape[1] / 8)
    return MediaFile(
        media_descriptor=MediaDescriptor(path="http://store/x.wav"),
        start_time="2026-01-02T10:00:00.000Z",
        stop_time=f"2026-01-02T{10 + ms // 3_600_000:02d}:{ms // 60_000 % 60:02d}:"
        f"{ms // 1000 % 60:02d}.{ms % 1000:03d}Z",
        media_id="x.wav",
        type="audio/wav",
        duration=str(ms),
        size="1",
        tenant="Environment",
        ivrprofile="recording",
        parameters={"id": IDENTITY, "callUuid": IDENTITY},
        masks=[],
        pkcs7=None,
        cert_alias=[],
        lab=Lab(size=1, sha256="0" * 64, chunks=[], legs=counted),
    )


def play(impairments: Impairments, seconds: float, *, seed: int = 1) -> tuple[str, ...]:
    """Send, record and judge a call; return the problems."""
    legs = [send(leg, impairments.of(leg) or Impairment(), seconds, seed=seed) for leg in LEGS]
    sound, counted = record(legs, seconds)
    return judge(sound, counted, report_of(legs))[1]
