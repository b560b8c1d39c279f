"""The control API: what runs, what was refused, how to stop it, and who may ask."""

from __future__ import annotations

import asyncio
import os
import re
import socket
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
import yaml
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from mcp_sim.admission.room import ROOM_CAUSES
from mcp_sim.recording.spool.folders import State
from mcp_sim.sip import CallRefused
from service_shell.accounts import Account, Accounts, basic_header, hash_password
from service_shell.faults import FaultSwitch
from service_shell.openapi import openapi_document
from tests.mcp_sim.front.callers import INACTIVE, Caller, Stream, burst, hang_up
from tests.mcp_sim.front.recorder import Recorder, check_span, recovered, until

pytestmark = pytest.mark.asyncio(loop_scope="module")
Client = TestClient[web.Request, web.Application]
ROLES = ("operator", "admin", "listener", "mcp")
FAULT_ROLES = ("operator", "admin", "faults")


def as_(role: str) -> dict[str, str]:
    return {"Authorization": basic_header(role, f"{role}-secret")}


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def control(recorder: Recorder) -> AsyncIterator[Client]:
    """The API of the running recorder."""
    accounts = [Account(role, [role], hash_password(f"{role}-secret")) for role in ROLES]
    app = recorder.front.control.application(Accounts(accounts))
    async with TestClient(TestServer(app)) as client:
        yield client


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def breakable(recorder: Recorder) -> AsyncIterator[Client]:
    """The API of the running recorder where faults on purpose are enabled."""
    accounts = [Account(role, [role], hash_password(f"{role}-secret")) for role in FAULT_ROLES]
    app = recorder.front.control.application(Accounts(accounts), FaultSwitch("mcp"))
    async with TestClient(TestServer(app)) as client:
        yield client


async def get(control: Client, path: str, role: str = "operator") -> tuple[int, Any]:
    async with control.get(path, headers=as_(role)) as answer:
        return answer.status, await answer.json()


async def test_running_calls(recorder: Recorder, control: Client, caller: Caller) -> None:
    """Oldest first, each with its dialogs, legs, channels and what arrived."""
    older = await caller.siprec()
    newer = await caller.gir("conf9", "7001")
    burst(older.ports[1], 6)
    await until(lambda: recorder.front.fleet.stats[0].packets >= 6)
    status, body = await get(control, "/calls")
    assert status == 200
    first, second = body["calls"]
    assert (first["id"], second["id"]) == (older.uuid, newer.uuid)
    assert (first["kind"], second["kind"]) == ("siprec", "gir")
    assert (first["conference"], second["conference"]) == ("", "conf9")
    assert first["dialogs"] == [older.call.call_id]
    assert (first["profile"], first["tenant"], first["paused"]) == (
        "profile 101", "Environment", False
    )  # fmt: skip
    assert first["parameters"]["ani"] == "+16175550101"
    legs = [(leg["label"], leg["channel"], leg["state"], leg["packets"]) for leg in first["legs"]]
    assert legs == [("1", "right", "active", 0), ("2", "left", "active", 6)]
    assert [leg["port"] for leg in first["legs"]] == older.ports
    assert first["legs"][0]["codecs"] == ["pcma"]
    started = first["started"]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", started)
    assert await get(control, f"/calls/{older.uuid}") == (200, first)
    await hang_up(older, newer)
    media = await recorder.recording(older.uuid)
    assert media.start_time == started
    assert (await get(control, "/calls"))[1] == {"calls": []}


async def test_legs_that_are_on_hold_or_closed(
    recorder: Recorder, control: Client, caller: Caller
) -> None:
    """Each leg has its state; what arrived on a closed leg is still told."""
    placed = await caller.siprec()
    burst(placed.ports[0], 3)
    await placed.reinvite(Stream("1", port=0), Stream("2", direction=INACTIVE))
    call = recorder.front.calls.get(placed.uuid)
    assert call is not None
    await until(lambda: any(placed.uuid in s.per_call for s in recorder.front.fleet.stats))
    body: dict[str, Any] = {}

    async def told() -> bool:
        nonlocal body
        body = (await get(control, f"/calls/{placed.uuid}"))[1]
        return bool(body["legs"][0]["packets"])

    while not await told():
        await asyncio.sleep(0.02)
    assert [leg["state"] for leg in body["legs"]] == ["closed", "inactive"]
    assert body["paused"]
    assert body["legs"][0]["packets"] == 3
    await hang_up(placed)
    await recorder.recording(placed.uuid)


async def test_stop(recorder: Recorder, control: Client, caller: Caller) -> None:
    """The caller is hung up, the recording is complete at that moment and delivered."""
    placed = await caller.plain()
    before = time.time()
    async with control.delete(f"/calls/{placed.uuid}", headers=as_("admin")) as answer:
        assert (answer.status, await answer.json()) == (200, {"stopped": placed.uuid})
    ended = (before, time.time())
    assert (await placed.call.wait_ended()).by == "bye"
    media = await recorder.recording(placed.uuid)
    check_span(media, placed.began, ended)
    assert not recovered(media)
    assert (await get(control, f"/calls/{placed.uuid}"))[0] == 404


async def test_stop_at_once_with_the_last_bye(
    recorder: Recorder, control: Client, caller: Caller
) -> None:
    """Whoever comes first, there is one recording, and both are answered."""
    placed = await caller.plain()

    async def stop() -> int:
        async with control.delete(f"/calls/{placed.uuid}", headers=as_("operator")) as answer:
            return answer.status

    status, _ = await asyncio.gather(stop(), placed.call.bye())
    assert status in (200, 404)
    await recorder.recording(placed.uuid)
    await until(lambda: recorder.in_spool() == {})
    assert len(recorder.posted(placed.uuid)) == 1


async def test_refused_calls(recorder: Recorder, control: Client, caller: Caller) -> None:
    """Newest first, with what the caller was told and who it was; counted by cause."""
    for dbid in (998, 999):
        with pytest.raises(CallRefused):
            await caller.plain(dbid=dbid)
    status, body = await get(control, "/calls/refused", "admin")
    assert status == 200
    newest, older = body["refused"][:2]
    assert newest["reason"] == "there is no IVR profile with DBID 999"
    assert older["reason"] == "there is no IVR profile with DBID 998"
    assert (newest["status"], newest["cause"], newest["source"]) == (404, "profile", "127.0.0.1")
    assert newest["call_id"]
    assert newest["at"].startswith("20")
    assert sample(await metrics(control), 'reclab_mcp_calls_refused_total{cause="profile"}') == 2


@pytest.mark.parametrize("role", ["listener", "mcp"])
@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/calls"),
        ("GET", "/calls/refused"),
        ("GET", "/calls/x"),
        ("DELETE", "/calls/x"),
        ("POST", "/deliveries/retry"),
        ("GET", "/recordings/failed"),
    ],
)
async def test_other_roles(control: Client, role: str, method: str, path: str) -> None:
    """Only operator and admin may ask: others get 403, whether there is such a call or not."""
    async with control.request(method, path, headers=as_(role)) as answer:
        assert (answer.status, (await answer.json())["statusCode"]) == (403, 5)


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 200),
        (b'{"items": ["nothing-of-that-name"]}', 200),
        (b'{"items": "all"}', 400),
        (b'{"itens": []}', 400),
        (b"\xff", 400),
    ],
)
async def test_retry_of_deliveries(control: Client, body: bytes, status: int) -> None:
    """Nothing waits, so nothing is retried; an order that cannot be read is refused."""
    async with control.post("/deliveries/retry", headers=as_("operator"), data=body) as answer:
        assert answer.status == status
        told = await answer.json()
    lists = ("retried", "returned", "rendering", "left", "addresses")
    nothing: dict[str, Any] = {name: [] for name in lists}
    assert told == nothing if status == 200 else told["statusCode"] == 2


@pytest.mark.parametrize(
    ("method", "path"), [("POST", "/deliveries/retry"), ("DELETE", "/calls/nobody")]
)
async def test_pages_of_other_sites(control: Client, method: str, path: str) -> None:
    """A page elsewhere changes nothing through a browser that is signed in here."""
    for origin in ("https://elsewhere.example", "null"):
        headers = {**as_("operator"), "Origin": origin}
        async with control.request(method, path, headers=headers) as answer:
            assert answer.status == 403
            told = await answer.json()
        assert told["statusMessage"] == "the page of another site may not change anything here"
    own = {**as_("operator"), "Origin": f"http://{control.host}:{control.port}"}
    async with control.request(method, path, headers=own) as answer:
        assert answer.status in (200, 404)


async def test_sign_in(control: Client) -> None:
    """Without a name and with a wrong password: 401 and a challenge."""
    for headers in ({}, {"Authorization": basic_header("operator", "wrong")}):
        async with control.get("/calls", headers=headers) as answer:
            assert answer.status == 401
            assert answer.headers["WWW-Authenticate"].startswith("Basic ")


@pytest.mark.parametrize("method", ["GET", "DELETE"])
async def test_unknown_call(control: Client, method: str) -> None:
    """A call that does not run: 404 with its name."""
    async with control.request(method, "/calls/nobody", headers=as_("operator")) as answer:
        body = await answer.json()
    assert (answer.status, body["statusCode"]) == (404, 6)
    assert body["statusMessage"] == "no call 'nobody' is running"


async def test_passwords_are_not_shown(recorder: Recorder, control: Client, caller: Caller) -> None:
    """A parameter that is a password is not told to operators."""
    placed = await caller.plain()
    await placed.command(None, said={"rp.speechminer_auth": "hush", "custom": "shown"})
    _, body = await get(control, f"/calls/{placed.uuid}")
    assert body["parameters"]["custom"] == "shown"
    assert "hush" not in str(body)
    await hang_up(placed)
    await recorder.recording(placed.uuid)


async def test_readiness(recorder: Recorder, control: Client) -> None:
    """Live always; ready with profiles and a capture process, and not while it stops."""
    assert await text(control, "/livez") == (200, "ok\n")
    assert await text(control, "/readyz") == (200, "ok\n")
    recorder.front.reception.open = False
    assert await text(control, "/readyz") == (503, "the platform is stopping\n")
    recorder.front.reception.open = True
    version, recorder.book.version = recorder.book.version, -1
    assert await text(control, "/readyz") == (503, "no profiles are loaded yet\n")
    recorder.book.version = version
    gauge = recorder.front.calls.gauges.all[1]
    gauge.value, gauge.shut = 1.5, True
    reason = "signalling is 1.5 s late, 1.0 s are the limit\n"
    assert await text(control, "/readyz") == (503, reason)
    assert sample(await metrics(control), 'reclab_mcp_limit_refusing{limit="loop-lag"}') == 1
    gauge.shut = False
    assert await text(control, "/readyz") == (200, "ok\n")


async def test_limits_are_told(recorder: Recorder, control: Client, caller: Caller) -> None:
    """Each limit's figure, bound and state, also before anything was refused for it."""
    placed = await caller.plain()
    found = await metrics(control)
    names = re.findall(r'^reclab_mcp_limit_value{limit="(.*)"}', found, re.MULTILINE)
    assert names == ["calls", "free-bytes", "open-files", "loop-lag", "capture-lag", "flush-lag"]
    assert sample(found, 'reclab_mcp_limit_value{limit="calls"}') == 1
    assert sample(found, 'reclab_mcp_limit_bound{limit="calls"}') == recorder.front.calls.limit
    assert sample(found, 'reclab_mcp_limit_bound{limit="open-files"}') == 0.9
    for name in names:
        assert sample(found, f'reclab_mcp_limit_refusing{{limit="{name}"}}') == 0
    for cause in ROOM_CAUSES:
        assert sample(found, f'reclab_mcp_calls_refused_total{{cause="{cause}"}}') == 0
    for cause in ("no-media", "too-long"):
        assert sample(found, f'reclab_mcp_calls_lapsed_total{{cause="{cause}"}}') == 0
    await hang_up(placed)
    await recorder.recording(placed.uuid)


async def test_sources(recorder: Recorder, control: Client, caller: Caller) -> None:
    """Who calls, how often at a time, and who sends what is no SIP."""
    placed = await caller.plain()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as junk:
        junk.bind(("127.0.0.3", 0))
        for _ in range(3):
            junk.sendto(b"INVITE nonsense", recorder.address)
    await until(lambda: recorder.front.agent.core.malformed_from["127.0.0.3"] == 3)
    status, body = await get(control, "/calls/sources")
    assert (status, body["sources"]) == (
        200,
        [
            {"source": "127.0.0.1", "calls": 1, "refused": 0, "malformed": 0},
            {"source": "127.0.0.3", "calls": 0, "refused": 0, "malformed": 3},
        ],
    )
    assert (await get(control, "/calls/sources", "listener"))[0] == 403
    await hang_up(placed)
    await recorder.recording(placed.uuid)
    assert recorder.front.calls.sources.running == {}


async def test_metrics(recorder: Recorder, control: Client, caller: Caller) -> None:
    """Open to all; each figure once; calls, legs, SIP, capture, renders and deliveries."""
    placed = await caller.siprec()
    found = await metrics(control)
    assert sample(found, "reclab_mcp_calls") == 1
    assert sample(found, "reclab_mcp_legs") == 2
    assert sample(found, "reclab_mcp_sip_dialogs") == 1
    assert sample(found, "reclab_mcp_sip_requests_total") > 0
    assert sample(found, 'reclab_mcp_spool_items{state="capturing"}') == 1
    assert sample(found, "reclab_mcp_capture_deaths_total") == 0
    families = re.findall(r"^# TYPE (\S+)", found, re.MULTILINE)
    assert len(families) == len(set(families))
    await hang_up(placed)
    await recorder.recording(placed.uuid)
    await until(lambda: recorder.in_spool() == {})
    found = await metrics(control)
    assert sample(found, "reclab_mcp_calls") == 0
    assert sample(found, "reclab_mcp_render_recordings_total") >= 1
    assert sample(found, "reclab_mcp_delivery_recordings_total") >= 1
    assert sample(found, "reclab_mcp_delivery_conflicts_total") == 0
    assert f'reclab_mcp_destination_open{{destination="{recorder.store.url}"}} 0.0' in found


async def test_recordings_put_aside(recorder: Recorder, control: Client) -> None:
    """What waits for a person is listed with its reason, newest first, and counted."""
    spool = recorder.spool
    assert await get(control, "/recordings/failed") == (200, {"failed": []})
    (spool.create("crashed") / "journal").write_bytes(b"sealed")
    spool.fail("crashed", "its render crashed 2 times")
    spool.create("undelivered")
    spool.advance("undelivered", State.FAILED)
    os.utime(spool.folder("undelivered", State.FAILED), (1_700_000_000, 1_700_000_000))
    _, body = await get(control, "/recordings/failed")
    newest, oldest = body["failed"]
    assert (newest["item"], newest["reason"], newest["sealed"]) == (
        "crashed", "its render crashed 2 times", False
    )  # fmt: skip
    assert oldest == {
        "item": "undelivered",
        "since": "2023-11-14T22:13:20.000Z",
        "reason": "it does not say why",
        "sealed": True,
    }
    assert sample(await metrics(control), 'reclab_mcp_spool_items{state="failed"}') == 2
    for item in ("crashed", "undelivered"):
        spool.discard(item)


SKIPPED = "reclab_mcp_certificates_skipped_total"


async def test_skipped_certificates_are_counted(
    recorder: Recorder, control: Client, caller: Caller
) -> None:
    """A recording that is made without an unusable certificate is counted, and marked."""
    profile = recorder.book.choose(dbid=None, geo_location=None)
    assert profile is not None
    profile.sections["gvp.service-parameters"]["lab.skip-unusable"] = "fixed,true"
    profile.sections["recording-certificates"]["certificates-9"] = "ruined"
    placed = await caller.plain()
    assert sample(await metrics(control), f'{SKIPPED}{{reason="unreadable"}}') == 1
    assert sample(await metrics(control), f'{SKIPPED}{{reason="expired"}}') == 0
    await hang_up(placed)
    media = await recorder.recording(placed.uuid)
    assert media.lab is not None
    assert "certificates-9" in media.lab.skipped_certificates[0]


async def text(control: Client, path: str) -> tuple[int, str]:
    async with control.get(path) as answer:
        return answer.status, await answer.text()


async def metrics(control: Client) -> str:
    status, body = await text(control, "/metrics")
    assert status == 200
    return body


def sample(found: str, name: str) -> float:
    [value] = re.findall(rf"^{re.escape(name)} (\S+)$", found, re.MULTILINE)
    return float(value)


async def test_the_document_is_what_the_router_has(breakable: Client) -> None:
    """Paths and methods of the OpenAPI document and of the service are equal."""
    described = yaml.safe_load(openapi_document("mcp_sim"))["paths"]
    methods = ("get", "post", "put", "delete", "patch")
    documented = {
        (m.upper(), path) for path, item in described.items() for m in item if m in methods
    }
    served = {
        (route.method, route.resource.canonical)
        for route in breakable.app.router.routes()
        if route.resource is not None and route.method != "HEAD"
    }
    assert documented == served


async def test_faults_are_there_where_they_are_enabled(breakable: Client) -> None:
    """Their role may change them, and nobody else; it may do nothing else."""
    plan = {"faults": [{"on": "mcp", "kind": "slow-disk"}, {"on": "store", "kind": "down"}]}
    for method in ("GET", "PUT", "POST", "DELETE"):
        for role in ("admin", "operator"):
            async with breakable.request(method, "/faults", json=plan, headers=as_(role)) as answer:
                assert answer.status == 403
    async with breakable.put("/faults", json=plan, headers=as_("faults")) as answer:
        assert (await answer.json())["ignored"] == ["store-2"]
    status, state = await get(breakable, "/faults", "faults")
    assert (status, state["counts"]) == (200, {"mcp-1": {"seen": 0, "struck": 0}})
    assert (await get(breakable, "/calls", "faults"))[0] == 403
    async with breakable.get("/metrics") as answer:
        assert "reclab_mcp_fault_plan_in_force 1.0" in await answer.text()
    async with breakable.delete("/faults", headers=as_("faults")) as answer:
        assert (await answer.json())["seconds"] is None


async def test_faults_are_not_there_unless_enabled(control: Client) -> None:
    """Without a switch there is no such path."""
    assert (await get(control, "/faults", "admin"))[0] == 404
