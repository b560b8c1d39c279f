"""GIR: one INVITE per party, joined by their conference; leaving, coming back, next segments."""

from __future__ import annotations

import asyncio

import pytest

from mcp_sim.calls import new_call_uuid
from recording_format.media_file import MediaFile
from recording_format.names import MediaSerial
from tests.mcp_sim.front.callers import INACTIVE, Caller, Placed, Stream, burst, hang_up
from tests.mcp_sim.front.recorder import (
    Recorder,
    channels,
    check_span,
    recovered,
    until,
)

pytestmark = pytest.mark.asyncio(loop_scope="module")
SAID = {
    "ani": "+16175550101",
    "dnis": "8005550199",
    "agentId": "7001",
    "connId": "0123456789abcdef",
    "recordDN": "7001",
}


async def both(caller: Caller, uuid: str) -> tuple[Placed, Placed]:
    """The customer's and the agent's INVITE, one after the other."""
    customer = await caller.gir(uuid, "+16175550101", uuid=uuid)
    return customer, await caller.gir(uuid, "7001", uuid=uuid)


async def test_two_invites_make_one_recording(recorder: Recorder, caller: Caller) -> None:
    """From the first 2xx to the last BYE; each party on its channel, what was said in it."""
    customer, agent = await both(caller, uuid := new_call_uuid())
    assert [call.id for call in recorder.front.calls.running] == [uuid]
    result = await customer.command(None, uuid, SAID)
    assert result.code == 200
    burst(agent.ports[0], 4)
    await hang_up(customer)
    assert len(recorder.front.calls) == 1
    ended = await hang_up(agent)
    media = await recorder.recording(uuid)
    check_span(media, customer.began, ended)
    assert channels(media) == {"+16175550101": "left", "7001": "right"}
    assert media.parameters.items() >= (SAID | {"id": uuid, "callUuid": uuid}).items()
    assert media.lab is not None
    assert [leg.packets for leg in media.lab.legs] == [0, 4]
    assert not recovered(media)
    assert len(recorder.posted(uuid)) == 1
    assert len(recorder.front.calls) == 0


async def test_parameters_of_the_request_uri(recorder: Recorder, caller: Caller) -> None:
    """What either INVITE's URI says is the recording's; the second adds what the first left out."""
    uuid = new_call_uuid()
    first = await caller.gir(uuid, "5551234", uuid=uuid, said={"ani": "1", "dnis": "2"})
    further = {"dnis": "3", "agentid": "5551234"}
    second = await caller.gir(uuid, "5554321", uuid=uuid, said=further)
    await hang_up(first, second)
    media = await recorder.recording(uuid)
    said = media.parameters
    assert (said["ani"], said["dnis"], said["agentId"]) == ("1", "2", "5551234")
    assert channels(media) == {"5551234": "right", "5554321": "left"}


async def test_both_at_once(recorder: Recorder, caller: Caller) -> None:
    """INVITEs of one conference that come at the same moment make one call."""
    uuid = new_call_uuid()
    begun = recorder.front.calls.begun
    parties = await asyncio.gather(
        *(caller.gir(uuid, dn, uuid=uuid) for dn in ("+16175550101", "7001"))
    )
    assert recorder.front.calls.begun == begun + 1
    assert [call.id for call in recorder.front.calls.running] == [uuid]
    await hang_up(*parties)
    assert len(channels(await recorder.recording(uuid))) == 2
    assert len(recorder.posted(uuid)) == 1


async def test_second_segment(recorder: Recorder, caller: Caller) -> None:
    """A later INVITE of the conference adds a second media file to the same recording."""
    first = await both(caller, uuid := new_call_uuid())
    await hang_up(*first)
    second = await both(caller, uuid)
    ended = await hang_up(*second)
    one, two = await recorder.recordings(uuid, 2)
    assert _segment(one) < _segment(two)
    assert two.started >= one.stopped
    check_span(two, second[0].began, ended)
    assert two.parameters["id"] == two.parameters["callUuid"] == uuid


async def test_next_segment_while_the_first_still_closes(
    recorder: Recorder, caller: Caller
) -> None:
    """An INVITE that comes with the last BYE begins the next segment, or is in the first one."""
    first = await caller.gir(uuid := new_call_uuid(), "7001", uuid=uuid)
    _, second = await asyncio.gather(hang_up(first), caller.gir(uuid, "7001", uuid=uuid))
    await hang_up(second)
    await until(lambda: len(recorder.front.calls) == 0)
    await until(lambda: recorder.in_spool() == {})
    labs = [media.lab for media in recorder.posted(uuid)]
    assert [leg.label for lab in labs if lab for leg in lab.legs] == ["7001", "7001"]


async def test_party_leaves_and_comes_back(recorder: Recorder, caller: Caller) -> None:
    """Who comes back with the same dn is heard on the same channel, by a leg of its own."""
    customer, agent = await both(caller, uuid := new_call_uuid())
    await hang_up(customer)
    again = await caller.gir(uuid, "+16175550101", uuid=uuid)
    assert again.ports != customer.ports
    burst(again.ports[0], 3)
    await hang_up(agent)
    await hang_up(again)
    media = await recorder.recording(uuid)
    assert media.lab is not None
    placed = [(leg.label, leg.channel, leg.packets) for leg in media.lab.legs]
    assert placed == [
        ("+16175550101", "left", 0),
        ("7001", "right", 0),
        ("+16175550101", "left", 3),
    ]


async def test_who_remains_on_hold_is_a_pause(recorder: Recorder, caller: Caller) -> None:
    """When the speaking party leaves and the other is on hold, nothing is to be heard."""
    customer, agent = await both(caller, uuid := new_call_uuid())
    await agent.reinvite(Stream(direction=INACTIVE))
    call = recorder.front.calls.get(uuid)
    assert call is not None
    assert not call.paused
    await hang_up(customer)
    await until(lambda: call.paused)
    await hang_up(agent)
    [mask] = (await recorder.recording(uuid)).masks
    assert mask.type == "paused"


async def test_one_call_uuid_in_two_calls_at_once(recorder: Recorder, caller: Caller) -> None:
    """Two conferences with one call UUID at once get two ids; the call UUID is in both."""
    uuid = new_call_uuid()
    one = await caller.gir("one" + uuid, "7001", uuid=uuid)
    two = await caller.gir("two" + uuid, "7002", uuid=uuid)
    ids = [call.id for call in recorder.front.calls.running]
    assert ids[0] == uuid
    assert ids[1] != uuid
    await hang_up(one, two)
    for recording_id in ids:
        media = await recorder.recording(recording_id)
        assert media.parameters["callUuid"] == uuid


@pytest.mark.parametrize("kind", ["plain", "siprec"])
async def test_one_call_uuid_twice_after_another(
    recorder: Recorder, caller: Caller, kind: str
) -> None:
    """Calls of one call UUID one after the other are media files of one recording."""
    uuid = new_call_uuid()
    place = caller.plain if kind == "plain" else caller.siprec
    for _ in range(2):
        await hang_up(await place(uuid=uuid))
    for media in await recorder.recordings(uuid, 2):
        assert media.parameters["id"] == uuid


def _segment(media: MediaFile) -> int:
    serial = MediaSerial.of(media.media_id)
    assert serial is not None
    return serial.segment
