"""MSML by INFO: pause, resume, stop and parameters, and what is answered to the rest."""

from __future__ import annotations

import asyncio
import time

import pytest

from mcp_sim.calls import new_call_uuid
from mcp_sim.sip.msml import CONTENT_TYPE, MsmlResult
from tests.mcp_sim.front.callers import Caller, Placed, burst, hang_up
from tests.mcp_sim.front.recorder import PLAIN, Recorder, check_span, masks, recovered, until

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def party(caller: Caller, dbid: int | None = None) -> Placed:
    """One party in a conference that is named like the call."""
    uuid = new_call_uuid()
    return await caller.gir(uuid, "7001", uuid=uuid, dbid=dbid)


async def test_pause_and_resume(recorder: Recorder, caller: Caller) -> None:
    """One file, the whole span, the pause in `masks`, and nothing of it to be heard."""
    placed = await party(caller, PLAIN)
    moments = [time.time()]
    assert (await placed.command("pause", placed.uuid)).code == 200
    moments.append(time.time())
    burst(placed.ports[0], 5)
    await asyncio.sleep(0.12)  # the pause has to be longer than what was sent
    moments.append(time.time())
    assert (await placed.command("resume", placed.uuid)).code == 200
    moments.append(time.time())
    ended = await hang_up(placed)
    media = await recorder.recording(placed.uuid)
    check_span(media, placed.began, ended)
    (paused, begun), (resume, over) = masks(media)
    assert (paused, resume) == ("paused", "resume")
    assert moments[0] - 0.001 <= begun <= moments[1] + 0.001
    assert moments[2] - 0.001 <= over <= moments[3] + 0.001
    assert not recorder.samples(media).any()
    assert media.lab is not None
    assert media.lab.legs[0].packets == 5
    assert abs(media.lab.legs[0].paused_ms - 1000 * (over - begun)) <= 2


async def test_commands_said_twice(recorder: Recorder, caller: Caller) -> None:
    """A second pause or resume is no other; a pause that nobody ends has no resume."""
    placed = await party(caller)
    for state in ("pause", "pause", "resume", "start", "pause"):
        assert (await placed.command(state, placed.uuid)).code == 200
    await hang_up(placed)
    media = await recorder.recording(placed.uuid)
    assert [turn for turn, _ in masks(media)] == ["paused", "resume", "paused"]


async def test_stop(recorder: Recorder, caller: Caller) -> None:
    """A stop ends the recording and not the dialog; later commands find no recording."""
    placed = await party(caller)
    before = time.time()
    assert (await placed.command("stop", placed.uuid)).code == 200
    ended = (before, time.time())
    media = await recorder.recording(placed.uuid)
    check_span(media, placed.began, ended)
    assert not recovered(media)
    assert placed.call.ended is None
    for state in ("start", "pause", "resume"):
        result = await placed.command(state, placed.uuid)
        assert (result.code, result.description) == (430, "the recording has ended")
    again = await party_of(caller, placed.uuid)  # begins the next segment
    await hang_up(placed, again)
    assert len(await recorder.recordings(placed.uuid, 2)) == 2


async def party_of(caller: Caller, uuid: str) -> Placed:
    """A further party of a conference."""
    return await caller.gir(uuid, "7002", uuid=uuid)


async def test_parameters(recorder: Recorder, caller: Caller) -> None:
    """They take GIR's names, a later value replaces an earlier one, and the id is nobody's."""
    placed = await party(caller)
    first = {"ANI": "1", "recorddn": "7002", "custom": "a", "id": "other", "connid": "00ff"}
    await placed.command(None, placed.uuid, first)
    await placed.command("start", placed.uuid, {"custom": "b", "agentId": "a1"})
    await hang_up(placed)
    media = await recorder.recording(placed.uuid)
    said = {"ani": "1", "recordDN": "7002", "custom": "b", "connId": "00ff", "agentId": "a1"}
    assert media.parameters.items() >= (said | {"id": placed.uuid}).items()
    assert "other" not in media.parameters.values()


async def test_too_many_parameters(recorder: Recorder, caller: Caller) -> None:
    """More than metadata can hold are refused, and those before stay."""
    placed = await party(caller)
    for start in range(0, 180, 60):
        said = {f"p{n}": "x" for n in range(start, start + 60)}
        assert (await placed.command(None, placed.uuid, said)).code == 200
    further = {f"q{n}": "x" for n in range(60)}
    result = await placed.command(None, placed.uuid, further)
    assert (result.code, result.description) == (400, "a recording has no more than 200 parameters")
    await hang_up(placed)
    parameters = (await recorder.recording(placed.uuid)).parameters
    assert "p179" in parameters
    assert "q0" not in parameters


async def test_another_conference(recorder: Recorder, caller: Caller) -> None:
    """A command for a conference that is not this call's is refused, and nothing is done."""
    placed = await party(caller)
    assert (await placed.command("pause", "other")).code == 430
    await hang_up(placed)
    assert masks(await recorder.recording(placed.uuid)) == []


async def test_create_conference(recorder: Recorder, caller: Caller) -> None:
    """`createconference` is answered with the conference that it made (RFC 5707 §11)."""
    placed = await party(caller)
    result = await placed.command("start", placed.uuid, create=True)
    assert (result.code, result.conference_id) == (200, placed.uuid)
    await hang_up(placed)
    await recorder.recording(placed.uuid)


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"<msml", 400),
        (b"<other/>", 400),
        (b'<msml version="1.1"><collect/></msml>', 401),
        (b'<msml version="1.1"></msml>', 400),
    ],
)
async def test_body_that_is_no_command(
    recorder: Recorder, caller: Caller, body: bytes, code: int
) -> None:
    """What cannot be read or is not known has its result; the call goes on."""
    placed = await party(caller)
    response = await placed.call.info(CONTENT_TYPE, body)
    assert response.code == 200
    assert MsmlResult.parse(response.body).code == code
    await hang_up(placed)
    await recorder.recording(placed.uuid)


async def test_passwords_reach_the_processor_only(recorder: Recorder, caller: Caller) -> None:
    """A parameter that is a password is in the post, and nowhere in the spool."""
    placed = await party(caller)
    secret = f"hush-{placed.uuid}"
    await placed.command(None, placed.uuid, {"rp.speechminer_auth": secret})
    await hang_up(placed)
    media = await recorder.recording(placed.uuid)
    assert media.parameters["rp.speechminer_auth"] == secret
    await until(lambda: recorder.in_spool() == {})
    files = [path for path in recorder.spool.root.rglob("*") if path.is_file()]
    assert files
    assert not [path for path in files if secret.encode() in path.read_bytes()]
