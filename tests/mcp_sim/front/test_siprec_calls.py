"""SIPREC from the INVITE to what the processor hears: streams, updates, pauses, metadata."""

from __future__ import annotations

import time

import numpy as np
import pytest

from mcp_sim.call import Call
from mcp_sim.sip.sdp import PCMU, Codec, Direction
from mcp_sim.sip.siprec import CONTENT_TYPE
from recording_format.lab import LegReport
from recording_format.media_file import MediaFile
from recording_format.timestamps import parse_time
from tests.mcp_sim.front.callers import (
    AGENT,
    BOTH,
    CUSTOMER,
    INACTIVE,
    TWO,
    Caller,
    Placed,
    Stream,
    hang_up,
    ports_of,
    speak,
    speakers,
)
from tests.mcp_sim.front.recorder import (
    PLAIN,
    Recorder,
    channels,
    check_span,
    masks,
    recovered,
    until,
)

pytestmark = pytest.mark.asyncio(loop_scope="module")
G729 = Codec(18, "g729")


async def test_two_streams(recorder: Recorder, caller: Caller) -> None:
    """Both parties on their channels and in the parameters; the file's span is the call's."""
    placed = await caller.siprec()
    assert [m.label for m in placed.answer.media] == ["1", "2"]
    assert {m.direction for m in placed.answer.media} == {Direction.RECVONLY}
    assert "+sip.srs" in (placed.call.response.header("Contact") or "")
    ended = await hang_up(placed)
    media = await recorder.recording(placed.uuid)
    check_span(media, placed.began, ended)
    assert channels(media) == {"1": "right", "2": "left"}
    said = media.parameters
    assert (said["ani"], said["dnis"]) == ("+16175550101", "7001")
    assert said["id"] == said["callUuid"] == placed.uuid
    assert placed.asked - 1 <= _seconds(said["dateTime"]) <= placed.answered
    assert not recovered(media)
    assert masks(media) == []
    assert media.encrypted
    assert len(media.cert_alias) == 1
    await until(lambda: recorder.in_spool() == {})


async def test_stream_added_by_reinvite(recorder: Recorder, caller: Caller) -> None:
    """A third stream gets a port of its own; the others keep theirs; it is heard on the right."""
    placed = await caller.siprec()
    third = {**BOTH, "3": "sip:supervisor@pbx"}
    response = await placed.reinvite(*TWO, Stream("3"), session=speakers(third))
    assert response.code == 200
    ports = ports_of(response.body)
    assert ports[:2] == placed.ports
    assert ports[2] not in (0, *placed.ports)
    await speak(ports[2], 3)
    await hang_up(placed)
    media = await recorder.recording(placed.uuid)
    assert channels(media) == {"1": "right", "2": "left", "3": "right"}
    assert [leg.packets for leg in _legs(media)] == [0, 0, 3]


async def test_inactive_streams_pause(recorder: Recorder, caller: Caller) -> None:
    """All streams a=inactive is a pause with its two turns in `masks`; one of two is none."""
    placed = await caller.siprec()
    on_hold = [Stream(s.label, direction=INACTIVE) for s in TWO]
    await placed.reinvite(on_hold[0], TWO[1])
    assert not _running(recorder, placed).paused
    moments = [time.time()]
    response = await placed.reinvite(*on_hold)
    assert b"a=inactive" in response.body
    moments.append(time.time())
    await speak(placed.ports[0], 2)
    moments.append(time.time())
    await placed.reinvite(on_hold[0], TWO[1])
    moments.append(time.time())
    ended = await hang_up(placed)
    media = await recorder.recording(placed.uuid)
    check_span(media, placed.began, ended)
    (pause, begun), (resume, over) = masks(media)
    assert (pause, resume) == ("paused", "resume")
    assert moments[0] - 0.001 <= begun <= moments[1] + 0.001
    assert moments[2] - 0.001 <= over <= moments[3] + 0.001
    assert all(abs(leg.paused_ms - 1000 * (over - begun)) <= 2 for leg in _legs(media))


async def test_begun_on_hold(recorder: Recorder, caller: Caller) -> None:
    """A call that begins inactive is paused from its first moment, and nobody resumed it."""
    placed = await caller.siprec(*(Stream(s.label, direction=INACTIVE) for s in TWO))
    await hang_up(placed)
    media = await recorder.recording(placed.uuid)
    assert masks(media) == [("paused", media.started.timestamp())]


async def test_removed_stream(recorder: Recorder, caller: Caller) -> None:
    """Port 0 closes a stream; its line can be used again, by another leg on another port."""
    placed = await caller.siprec()
    response = await placed.reinvite(TWO[0], Stream("2", port=0))
    assert b"m=audio 0 " in response.body
    assert [leg.closed for leg in _running(recorder, placed).legs.all] == [False, True]
    response = await placed.reinvite(TWO[0], Stream("7"))
    assert b"a=label:7" in response.body
    assert [leg.label for leg in _running(recorder, placed).legs.open] == ["1", "7"]
    await hang_up(placed)
    assert list(channels(await recorder.recording(placed.uuid))) == ["1", "2", "7"]


async def test_all_streams_removed_and_back(recorder: Recorder, caller: Caller) -> None:
    """An offer that takes all streams away is taken (RFC 3264 §8.2); the recording waits."""
    placed = await caller.siprec()
    response = await placed.reinvite(Stream("1", port=0), Stream("2", port=0))
    assert response.code == 200
    assert response.body.count(b"m=audio 0 ") == 2
    assert not _running(recorder, placed).paused
    assert (await placed.reinvite(*TWO)).code == 200
    await hang_up(placed)
    assert masks(await recorder.recording(placed.uuid)) == []


async def test_metadata_alone_by_update(recorder: Recorder, caller: Caller) -> None:
    """An UPDATE with metadata and no SDP names the speakers and changes no stream."""
    placed = await caller.siprec(session=speakers({}))
    assert channels_now(recorder, placed) == {0: "left", 1: "right"}
    update = speakers(BOTH)
    response = await placed.call.update(update.encode(), CONTENT_TYPE)
    assert (response.code, response.body) == (200, b"")
    assert channels_now(recorder, placed) == {0: "right", 1: "left"}
    await hang_up(placed)
    media = await recorder.recording(placed.uuid)
    assert (media.parameters["ani"], media.parameters["dnis"]) == ("+16175550101", "7001")


async def test_numbers_come_later_than_places(recorder: Recorder, caller: Caller) -> None:
    """Speakers who change no channel still give their numbers to the recording."""
    placed = await caller.siprec(session=speakers({}))
    swapped = {"1": CUSTOMER, "2": AGENT}
    await placed.call.update(speakers(swapped).encode(), CONTENT_TYPE)
    assert channels_now(recorder, placed) == {0: "left", 1: "right"}
    await hang_up(placed)
    media = await recorder.recording(placed.uuid)
    assert (media.parameters["ani"], media.parameters["dnis"]) == ("+16175550101", "7001")


async def test_partial_metadata_adds_to_what_is_known(recorder: Recorder, caller: Caller) -> None:
    """A partial update of one participant leaves the other as it was."""
    placed = await caller.siprec(session=speakers({"1": AGENT}))
    update = speakers({"2": CUSTOMER}, complete=False, prefix="q")
    await placed.reinvite(*TWO, session=update)
    assert channels_now(recorder, placed) == {0: "right", 1: "left"}
    assert [leg.aors for leg in _running(recorder, placed).legs.all] == [(AGENT,), (CUSTOMER,)]
    await hang_up(placed)


@pytest.mark.parametrize(
    ("streams", "code"), [((Stream("1", G729), Stream("2", G729)), 488)], ids=["codec"]
)
async def test_refused_change(
    recorder: Recorder, caller: Caller, streams: tuple[Stream, ...], code: int
) -> None:
    """An offer that cannot be taken is refused, and everything stays as it was."""
    placed = await caller.siprec()
    response = await placed.reinvite(*streams)
    assert response.code == code
    assert "codec" in (response.header("Warning") or "")
    assert [leg.port for leg in _running(recorder, placed).legs.open] == placed.ports
    await speak(placed.ports[1], 2)
    await hang_up(placed)
    assert [leg.packets for leg in _legs(await recorder.recording(placed.uuid))] == [0, 2]


async def test_malformed_metadata_in_a_call(recorder: Recorder, caller: Caller) -> None:
    """Metadata that is no XML is a 400 within the call, which goes on."""
    placed = await caller.siprec()
    response = await placed.call.update(b"<recording", CONTENT_TYPE)
    assert response.code == 400
    assert (await placed.reinvite(*TWO)).code == 200
    await hang_up(placed)
    await recorder.recording(placed.uuid)


async def test_codec_changed_in_the_call(recorder: Recorder, caller: Caller) -> None:
    """What is sent after a change from PCMA to PCMU is heard as well as what was sent before."""
    placed = await caller.siprec(dbid=PLAIN)
    await speak(placed.ports[0], 5)
    await placed.reinvite(Stream("1", PCMU), Stream("2", PCMU))
    await speak(placed.ports[0], 5, payload_type=0, ssrc=8)
    await hang_up(placed)
    media = await recorder.recording(placed.uuid)
    assert media.type == "audio/wav"
    left, right = recorder.samples(media)
    assert np.count_nonzero(np.abs(right.astype(int)) > 20_000) >= 9 * 160
    assert not left.any()


async def test_without_metadata_the_lowest_label_is_left(
    recorder: Recorder, caller: Caller
) -> None:
    """A recording client that says nothing of its speakers is placed by labels, not by order."""
    placed = await caller.siprec(Stream("9"), Stream("2"), session=speakers({}))
    await hang_up(placed)
    assert channels(await recorder.recording(placed.uuid)) == {"9": "right", "2": "left"}


def channels_now(recorder: Recorder, placed: Placed) -> dict[int, str]:
    return dict(_running(recorder, placed).channels)


def _running(recorder: Recorder, placed: Placed) -> Call:
    call = recorder.front.calls.get(placed.uuid)
    assert call is not None
    return call


def _legs(media: MediaFile) -> list[LegReport]:
    assert media.lab is not None
    return media.lab.legs


def _seconds(time_text: str) -> float:
    return parse_time(time_text).timestamp()
