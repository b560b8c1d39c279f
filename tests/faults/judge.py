"""The verdict on a call: found exactly once, with nothing missing but what nobody could keep.

The content is proven against what the generator sent; what the recorder says of itself is only
compared with that. One call at a time, in a worker process.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from mcp_sim.load.check import check
from mcp_sim.load.decode import MediaError, Sound, decode_media
from mcp_sim.load.finding import Expectation, ExpectedLeg, LegFinding, Sent, Tolerances
from mcp_sim.load.measure import CELL_MS, trace
from mcp_sim.load.signature import Leg
from mcp_sim.load.track import Channel
from reclab.key_ring import KeyRing
from reclab.verification import open_media
from recording_format.errors import RecordingFormatError
from recording_format.media_file import MediaFile
from recording_format.metadata import decode_media_file
from tests.faults.expectation import Expected

_CHANNELS: Final[dict[Leg, int]] = {"customer": 0, "agent": 1}
_NAMES: Final[dict[Leg, str]] = {"customer": "left", "agent": "right"}
_TOO_SHORT: Final = 120
"""Packets: of so few, less the second that may be missing, no signature may be found."""
_EDGE: Final = 2
"""Cells that two files may both have: the one in which one ends and the other begins."""


@dataclass(frozen=True)
class Case:
    """What is known of a call: what was sent and arrived, and all media files with their bytes."""

    expected: Expected
    sent: Mapping[Leg, tuple[int, int]]
    """Number of the first packet, and how many were sent."""
    documents: Sequence[Mapping[str, Any]]
    stored: Sequence[bytes]
    keys: Mapping[str, Path]
    late_ms: float = 0.0
    """How late the generator's latest packet left: so far its sound may lie outside of the call."""

    @property
    def limit_ms(self) -> int:
        """How much may be missing, in whole packets."""
        return self.expected.may_miss_ms + int(self.late_ms) // CELL_MS * CELL_MS


@dataclass
class Verdict:
    """`missing_ms` is the worst leg's; `doubled` that something was recorded twice."""

    identity: str
    problems: list[str] = field(default_factory=list)
    missing_ms: int = 0
    absent: bool = False
    lost: bool = False
    doubled: bool = False
    recovered: bool = False
    files: int = 0


def judge(case: Case) -> Verdict:
    """Return the verdict on one call."""
    verdict = Verdict(case.expected.identity, files=len(case.documents))
    if not case.documents:
        verdict.absent = True
        verdict.lost = not case.expected.may_be_absent
        if verdict.lost:
            verdict.problems.append("it is not found")
        return verdict
    try:
        files = [decode_media_file(dict(document)) for document in case.documents]
        ring = KeyRing(case.keys)
        sounds = [
            decode_media(open_media(file, stored, ring), file.type)
            for file, stored in zip(files, case.stored, strict=True)
        ]
    except (RecordingFormatError, MediaError) as error:
        verdict.problems.append(str(error))
        return verdict
    verdict.recovered = any(file.lab is not None and file.lab.recovered for file in files)
    _compare_recovered(case.expected, verdict)
    _compare_counts(case, files, verdict)
    if len(files) == 1:
        _listen(case, files[0], sounds[0], verdict)
    else:
        _listen_to_parts(case, files, sounds, verdict)
    return verdict


def _compare_recovered(expected: Expected, verdict: Verdict) -> None:
    if expected.recovered is not None and verdict.recovered is not expected.recovered:
        said = "is" if verdict.recovered else "is not"
        verdict.problems.append(f"it {said} marked as recovered")


def _compare_counts(case: Case, files: Sequence[MediaFile], verdict: Verdict) -> None:
    """More packets than were sent are somebody else's."""
    for leg, (_, packets) in case.sent.items():
        found = _received(files, leg)
        if found > packets:
            verdict.problems.append(f"{leg}: {found} packets recorded, {packets} sent")


def _received(files: Sequence[MediaFile], leg: Leg) -> int:
    return sum(
        one.packets
        for file in files
        if file.lab is not None
        for one in file.lab.legs
        if one.channel == _NAMES[leg]
    )


def _listen(case: Case, file: MediaFile, sound: Sound, verdict: Verdict) -> None:
    expected = case.expected
    wanted = {leg: count for leg, count in expected.arrived.items() if count}
    finding = check(
        sound,
        Expectation(
            identity=expected.identity,
            legs=tuple(
                ExpectedLeg(leg, _CHANNELS[leg], Sent(case.sent[leg][0], count))
                for leg, count in wanted.items()
            ),
            duration_ms=float(file.duration_ms()),
        ),
        Tolerances(missing_ms=case.limit_ms),
    )
    unheard: list[Leg] = []
    for leg in finding.legs:
        missing = leg.missing_ms
        if leg.channel is None and _may_be_unheard(expected, leg, wanted[leg.leg]):
            # Too little for a signature: then the recorder's own count has to do.
            unheard.append(leg.leg)
            missing = max(0, wanted[leg.leg] - _received([file], leg.leg)) * CELL_MS
            if missing > case.limit_ms:
                verdict.problems.append(f"{leg.leg}: {missing} ms missing")
        verdict.missing_ms = max(verdict.missing_ms, missing)
    excused = [f"{leg}:" for leg in unheard]
    excused += [
        f"{leg.leg}: the signature begins"
        for leg in finding.legs
        if -case.late_ms <= leg.shift_ms < 0
    ]
    if len(wanted) < len(case.sent):
        excused.append("unexpected sound")
    verdict.problems += [one for one in finding.problems if not one.startswith(tuple(excused))]


def _may_be_unheard(expected: Expected, leg: LegFinding, arrived: int) -> bool:
    return leg.channel is None and arrived <= (
        _TOO_SHORT if expected.may_miss_ms else _TOO_SHORT // 2
    )


def _listen_to_parts(
    case: Case, files: Sequence[MediaFile], sounds: Sequence[Sound], verdict: Verdict
) -> None:
    """Of a call in several files: together all of it, and no part of it twice."""
    for leg, arrived in case.expected.arrived.items():
        first, _ = case.sent[leg]
        heard = [_heard(case, leg, files, number, sounds) for number in range(len(files))]
        times = np.sum([_window(one, first, arrived) for one in heard], axis=0)
        if int(np.count_nonzero(times > 1)) > _EDGE:
            verdict.doubled = True
            verdict.problems.append(f"{leg}: {int((times > 1).sum()) * CELL_MS} ms are there twice")
        missing = int(np.count_nonzero(times == 0)) * CELL_MS
        if arrived <= _TOO_SHORT and not times.any():
            missing = max(0, arrived - _received(files, leg)) * CELL_MS
        verdict.missing_ms = max(verdict.missing_ms, missing)
        if missing > case.limit_ms:
            verdict.problems.append(f"{leg}: {missing} ms missing in {len(files)} files")


def _heard(
    case: Case, leg: Leg, files: Sequence[MediaFile], number: int, sounds: Sequence[Sound]
) -> tuple[int, npt.NDArray[np.bool_]]:
    later = round((files[number].started - files[0].started).total_seconds() * 8000)
    samples = sounds[number].samples[_CHANNELS[leg]].astype(np.float32)
    channel = Channel(samples, case.expected.identity, leg)
    found = trace(channel, lossy=sounds[number].lossy, around=-later)
    return (0, np.zeros(0, np.bool_)) if found is None else (found.first, found.there)


def _window(
    heard: tuple[int, npt.NDArray[np.bool_]], first: int, count: int
) -> npt.NDArray[np.int64]:
    """Return, for cells `first` … `first + count - 1`, 1 where it was heard."""
    start, there = heard
    cells = np.zeros(count, np.int64)
    index = start + np.flatnonzero(there) - first
    cells[index[(index >= 0) & (index < count)]] = 1
    return cells
