"""What should be found in the recording of a call: from its metadata, and from the run's report.

Pure. With the report every packet counts; without it the recording's own metadata says at least how
many parties there were, and how long the call was.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from mcp_sim.load.decode import Sound
from mcp_sim.load.finding import Expectation, ExpectedLeg, Sent
from mcp_sim.load.measure import CELL_MS, LEAST_CELLS
from mcp_sim.load.report import CallReport, LegReport
from mcp_sim.load.signature import LEGS
from mcp_sim.rtp.impairment.account import Account
from recording_format.lab import LegReport as Counted
from recording_format.media_file import Mask, MediaFile
from recording_format.timestamps import parse_time

_SILENT = 50.0
_DURATION_MS = 40
_SILENCE_MS = 40
_QUIET_CELLS = 25
"""Half a second in which a recorder may correct the place of what comes behind."""


def expect(
    media: MediaFile, sound: Sound, call: CallReport | None, *, later_by_ms: float = 0.0
) -> Expectation:
    """Return what a media file should hold.

    `call` is the report of the call, if there is one. `later_by_ms` is how long after the start of
    the call's first media file this one began. Of a recovered recording and of a call in several
    files nobody can say to the packet what should be there: then what is found decides.
    """
    whole = later_by_ms == 0 and not (media.lab and media.lab.recovered)
    return Expectation(
        identity=identity_of(media),
        legs=_expected_legs(media, sound, call, whole=whole),
        duration_ms=media.duration_ms(),
        paused=paused_spans(media),
        around_ms=-later_by_ms,
    )


def identity_of(media: MediaFile) -> str:
    """Return the call's UUID, by which its signatures are made."""
    return media.parameter("callUuid") or media.recording_id


def paused_spans(media: MediaFile) -> tuple[tuple[float, float], ...]:
    """Return the paused spans in milliseconds from the media file's start."""
    return tuple(_spans(media.masks, media))


def _spans(masks: Sequence[Mask], media: MediaFile) -> Iterator[tuple[float, float]]:
    paused_at: float | None = None
    for mask in masks:
        at = (parse_time(mask.time) - media.started).total_seconds() * 1000
        if mask.type == "paused" and paused_at is None:
            paused_at = at
        elif mask.type != "paused" and paused_at is not None:
            yield paused_at, at
            paused_at = None
    if paused_at is not None:
        yield paused_at, float(media.duration_ms())


def _expected_legs(
    media: MediaFile, sound: Sound, call: CallReport | None, *, whole: bool
) -> tuple[ExpectedLeg, ...]:
    right = min(len(sound.samples) - 1, 1)
    if call is not None:
        return tuple(
            ExpectedLeg(
                leg.leg,
                right if leg.channel == "right" else 0,
                _sent(leg) if whole else None,
                leg.impaired.drift_ppm if leg.impaired else 0.0,
                _seams(leg.impaired) if leg.impaired else (),
            )
            for leg in call.legs
            if leg.packets
        )
    if media.lab is not None and media.lab.legs:
        parties = len(media.lab.legs)
    else:
        parties = 2 if right and _sounds(sound, right) else 1
    return tuple(
        ExpectedLeg(leg, right if leg == "agent" else 0) for leg in LEGS[: min(parties, 2)]
    )


def _sent(leg: LegReport) -> Sent:
    return Sent(leg.first, leg.cells, leg.impaired.unsent if leg.impaired else ())


def _seams(done: Account) -> tuple[tuple[int, int], ...]:
    sources = tuple((cell, cell) for cell in done.ssrc_changes)
    silences = ((first, first + count) for first, count in done.unsent if count >= _QUIET_CELLS)
    return (*sources, *silences)


def _sounds(sound: Sound, channel: int) -> bool:
    samples = sound.samples[channel]
    return bool(len(samples)) and float(np.abs(samples).max()) > _SILENT


def compare_metadata(
    media: MediaFile, call: CallReport | None, *, plaintext_size: int
) -> Iterator[str]:
    """Yield what does not fit between a media file's metadata, its bytes and the run's report."""
    if media.size_bytes != plaintext_size:
        yield f"the metadata says {media.size_bytes} bytes of sound, and there are {plaintext_size}"
    span = (media.stopped - media.started).total_seconds() * 1000
    if abs(span - media.duration_ms()) > _DURATION_MS:
        yield f"start and stop are {span:.0f} ms apart, the duration is {media.duration_ms()} ms"
    if media.encrypted and not media.cert_alias:
        yield "the recording is encrypted and names no certificate alias"
    if call is not None and not (media.lab and media.lab.recovered):
        yield from _compare_packets(media, call)


def _compare_packets(media: MediaFile, call: CallReport) -> Iterator[str]:
    if media.lab is None or not media.lab.legs:
        return
    recorded = {leg.channel: leg for leg in media.lab.legs}
    for leg in call.legs:
        counted = recorded.get(leg.channel)
        if counted is None:
            yield f"{leg.leg}: the recorder heard no leg on the {leg.channel}"
        elif counted.packets < leg.packets:
            yield (
                f"{leg.leg}: {leg.packets} packets were sent, "
                f"the recorder received {counted.packets}"
            )
        elif leg.impaired is not None and not leg.failed:
            yield from _compare_impaired(leg, leg.impaired, counted)


def _compare_impaired(leg: LegReport, done: Account, counted: Counted) -> Iterator[str]:
    """What was done on purpose has to stand in the metadata as what it is, to the packet."""
    for what, wanted, found in (
        ("received once", leg.packets, counted.packets),
        ("lost", done.lost, counted.lost),
        ("duplicate", done.duplicated, counted.duplicate),
        ("late", 0, counted.late),
    ):
        if wanted != found:
            yield f"{leg.leg}: {wanted} packets should count as {what}, the recorder says {found}"
    # Between two sources nobody can tell lost packets from silence, and a drifting clock measures
    # it otherwise than the recorder's.
    spread = _SILENCE_MS + done.cells * CELL_MS * abs(done.drift_ppm) / 1e6
    least = done.silent * CELL_MS - spread
    most = (done.silent + done.lost_at_ends) * CELL_MS + spread
    if not least <= counted.silent_ms <= most:
        yield (
            f"{leg.leg}: {done.silent * CELL_MS} ms were silence on purpose, "
            f"the recorder says {counted.silent_ms} ms"
        )


def long_enough(call: CallReport) -> bool:
    """Return whether enough was sent on any leg to tell whose call it is."""
    return any(leg.packets >= LEAST_CELLS for leg in call.legs)


def expected_calls(calls: Sequence[CallReport]) -> dict[str, CallReport]:
    """Return the calls of a run that should be stored, by identity.

    Those are the ones that sent something, or would have, but for an impairment.
    """
    return {
        call.identity: call
        for call in calls
        if any(leg.packets or leg.impaired for leg in call.legs)
    }
