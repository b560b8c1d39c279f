"""Plain calls: a softphone's, with its offer or ours, over UDP and TCP."""

from __future__ import annotations

import time

import pytest

from mcp_sim.call import Call
from mcp_sim.calls import new_call_uuid
from mcp_sim.sip.gir import CALL_UUID
from mcp_sim.sip.sdp import PCMU, Codec, Direction, SessionDescription
from tests.mcp_sim.front.callers import INACTIVE, Caller, Stream, burst, hang_up, ports_of, sdp
from tests.mcp_sim.front.phone import Phone, description, phone
from tests.mcp_sim.front.recorder import Recorder, channels, check_span, masks, until

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest.mark.parametrize("transport", ["udp", "tcp"])
async def test_phone(recorder: Recorder, caller: Caller, transport: str) -> None:
    """One party on the left; From and the request-URI give the numbers."""
    placed = await caller.plain(transport="tcp" if transport == "tcp" else "udp")
    burst(placed.ports[0], 5)
    ended = await hang_up(placed)
    media = await recorder.recording(placed.uuid)
    check_span(media, placed.began, ended)
    assert channels(media) == {"0": "left"}
    assert (media.parameters["ani"], media.parameters["dnis"]) == ("+16175550101", "8005550199")
    assert media.lab is not None
    assert media.lab.legs[0].packets == 5


async def test_call_without_a_uuid_gets_one(recorder: Recorder, caller: Caller) -> None:
    """A phone sends no call UUID: the recording's id is 32 of 0-9A-Z all the same."""
    call = await caller.sip.invite(recorder.address, uri=f"sip:1@{caller.at}", body=sdp(Stream()))
    [running] = recorder.front.calls.running
    assert running.parameters["id"] == running.parameters["callUuid"] == running.id
    assert len(running.id) == 32
    await call.bye()
    await recorder.recording(running.id)


async def test_our_offer(recorder: Recorder) -> None:
    """An INVITE without an offer gets ours in the 2xx, which begins the call's clock."""
    async with phone(recorder.address) as far_end:
        uuid = new_call_uuid()
        asked = time.time()
        offer = await offered(far_end, uuid)
        began = (asked, time.time())
        assert [codec.name for codec in offer.media[0].codecs] == [
            "pcmu", "pcma", "telephone-event"
        ]  # fmt: skip
        assert offer.media[0].direction is Direction.RECVONLY
        await far_end.ack(sdp(Stream(codec=PCMU)))
        before = time.time()
        await far_end.bye()
        check_span(await recorder.recording(uuid), began, (before, time.time()))


async def test_answer_to_our_offer_is_on_hold(recorder: Recorder) -> None:
    """An answer that says inactive pauses the recording, the next one resumes it."""
    async with phone(recorder.address) as far_end:
        call = await delayed(recorder, far_end, Stream(direction=INACTIVE))
        await until(lambda: call.paused)
        await far_end.invite()
        status, text = await far_end.final()
        assert status == 200
        again = SessionDescription.parse(description(text))
        assert again.media[0].port == call.legs.all[0].port
        assert again.media[0].direction is Direction.RECVONLY
        await far_end.ack(sdp(Stream()))
        await until(lambda: not call.paused)
        await far_end.bye()
        assert [mask for mask, _ in masks(await recorder.recording(call.id))] == [
            "paused", "resume"
        ]  # fmt: skip


async def test_later_offer_of_ours_has_all_lines(recorder: Recorder) -> None:
    """Asked for an offer later, we offer as many lines as before (RFC 3264 §8)."""
    async with phone(recorder.address) as far_end:
        video = b"m=video 40010 RTP/AVP 96\r\na=rtpmap:96 VP8/90000\r\n"
        head, _, audio = sdp(Stream()).partition(b"m=audio")
        uuid = new_call_uuid()
        await far_end.invite(head + video + b"m=audio" + audio, f"{CALL_UUID}: {uuid}")
        _, text = await far_end.final()
        first = ports_of(description(text))
        await far_end.ack()
        await far_end.invite()
        _, text = await far_end.final()
        assert ports_of(description(text)) == first
        assert first[0] == 0
        assert first[1] != 0
        await far_end.ack()
        await far_end.bye()
        await recorder.recording(uuid)


@pytest.mark.parametrize(
    "answer", [sdp(Stream(codec=Codec(18, "g729"))), b"v=0\r\nm=", sdp(Stream(), Stream())]
)
async def test_unusable_answer_ends_the_dialog(recorder: Recorder, answer: bytes) -> None:
    """An answer that takes nothing of our offer is followed by BYE; the recording is kept."""
    async with phone(recorder.address) as far_end:
        uuid = new_call_uuid()
        await offered(far_end, uuid)
        await far_end.ack(answer)
        await far_end.hung_up()
        await recorder.recording(uuid)


async def test_other_info_is_acknowledged(recorder: Recorder, caller: Caller) -> None:
    """DTMF relay and a picture request by INFO are answered 200 and change nothing."""
    placed = await caller.plain()
    for kind in ("application/dtmf-relay", "application/media_control+xml"):
        response = await placed.call.info(kind, b"<x/>")
        assert (response.code, response.body) == (200, b"")
    await hang_up(placed)
    await recorder.recording(placed.uuid)


async def offered(far_end: Phone, uuid: str) -> SessionDescription:
    """Send an INVITE without an offer; return the recorder's."""
    await far_end.invite(b"", f"{CALL_UUID}: {uuid}")
    status, text = await far_end.final()
    assert status == 200
    return SessionDescription.parse(description(text))


async def delayed(recorder: Recorder, far_end: Phone, answer: Stream) -> Call:
    """A call with the recorder's offer and this answer."""
    uuid = new_call_uuid()
    await offered(far_end, uuid)
    await far_end.ack(sdp(answer))
    call = recorder.front.calls.get(uuid)
    assert call is not None
    return call
