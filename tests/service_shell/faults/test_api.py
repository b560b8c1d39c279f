"""``/faults``: who may, what is answered, and what is logged."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from structlog.testing import capture_logs

from service_shell.faults.fault import StoreFault
from tests.service_shell.faults.breakable import Breakable, breakable, get, head
from tests.service_shell.served import Reply

PLAN = {
    "seed": 7,
    "faults": [
        {"on": "store", "kind": "status", "status": 502, "probability": 0.5},
        {"on": "processor", "kind": "down", "name": "dead processor"},
        {"on": "mcp", "kind": "crash"},
    ],
}


@pytest.fixture
async def service() -> AsyncIterator[Breakable]:
    """The running service."""
    async with breakable() as running:
        yield running


async def ask(
    service: Breakable, method: str, body: object = None, *fields: str, who: str = "faults"
) -> Reply:
    """Ask the API; a body that is not bytes is sent as JSON."""
    sent = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
    length = f"Content-Length: {len(sent)}"
    request = head(method, "/faults", "Connection: close", length, *fields, who=who) + sent
    return (await service.exchange(request)).reply


async def state(service: Breakable, method: str = "GET", body: object = None) -> dict[str, Any]:
    """Return what the API answers with 200."""
    reply = await ask(service, method, body)
    assert reply.status == 200, reply.body
    found: dict[str, Any] = json.loads(reply.body)
    return found


async def test_a_plan_is_put_and_shown(service: Breakable) -> None:
    """PUT takes the faults of this service, names the others', and GET shows the same later."""
    put = await state(service, "PUT", PLAN)
    assert put["ignored"] == ["dead processor", "mcp-3"]
    own = {"on": "store", "kind": "status", "status": 502, "probability": 0.5, "name": "store-1"}
    assert put["plan"] == {"seed": 7, "faults": [own]}
    service.clock.now += 12.5
    shown = await state(service)
    assert (shown["target"], shown["seconds"], shown["plan"]) == ("store", 12.5, put["plan"])
    assert shown["counts"] == {"store-1": {"seen": 0, "struck": 0}}


async def test_strikes_are_counted_and_told(service: Breakable) -> None:
    """Counts go by the fault's name; the last strikes say when, what, and no query."""
    await state(service, "PUT", {"faults": [{"on": "store", "kind": "status", "name": "x"}]})
    service.clock.now += 3
    for _ in range(2):
        await service.exchange(get("/small?who=secret"))
    shown = await state(service)
    assert shown["counts"] == {"x": {"seen": 2, "struck": 2}}
    strike = {"seconds": 3.0, "fault": "x", "kind": "status", "operation": "GET /small"}
    assert shown["strikes"] == [strike, strike]


async def test_the_strikes_that_are_kept_are_bounded(service: Breakable) -> None:
    """The last hundred are kept, and counts go on."""
    service.put(StoreFault(kind="status", name="x"))
    request = head("GET", "/small") * 149 + get("/small")
    await service.exchange(request)
    shown = await state(service)
    assert (len(shown["strikes"]), shown["counts"]["x"]["struck"]) == (100, 150)


async def test_a_fault_is_added_to_the_others(service: Breakable) -> None:
    """POST leaves the others' counts alone; the new fault's seconds begin with it."""
    await state(service, "PUT", PLAN)
    await service.exchange(get("/small"))
    service.clock.now += 100
    added = await state(service, "POST", {"on": "store", "kind": "full", "begin": 0.0, "end": 10.0})
    assert [fault["name"] for fault in added["plan"]["faults"]] == ["store-1", "store-2"]
    assert added["counts"]["store-1"]["seen"] == 1
    assert (await service.reply("/small", "MKCOL")).status in (502, 507)
    assert (await state(service))["counts"]["store-2"] == {"seen": 1, "struck": 1}
    service.clock.now += 10
    await service.reply("/small", "MKCOL")
    assert (await state(service))["counts"]["store-2"] == {"seen": 1, "struck": 1}


async def test_the_first_fault_needs_no_plan(service: Breakable) -> None:
    """POST puts a fault in force where nothing was."""
    added = await state(service, "POST", {"on": "store", "kind": "status", "status": 500})
    assert added["seconds"] == 0.0
    assert (await service.reply("/small")).status == 500


async def test_delete_ends_everything(service: Breakable) -> None:
    """After DELETE nothing is in force, and a second one is as good."""
    await state(service, "PUT", PLAN)
    for _ in range(2):
        ended = await state(service, "DELETE")
        assert (ended["seconds"], ended["counts"]) == (None, {})
        assert ended["plan"] == {"seed": 0, "faults": []}


@pytest.mark.parametrize(
    ("method", "body", "said"),
    [
        ("PUT", b"{", "the body is no fault plan"),
        ("PUT", {"faults": [{"on": "store", "kind": "rain"}]}, "'rain'"),
        ("POST", {"on": "store", "kind": "down", "status": "x"}, "`$.status`"),
        ("POST", {"on": "crypto", "kind": "down"}, "this is the store; the fault is on the crypto"),
        ("POST", {"on": "store", "kind": "down", "name": "taken"}, "'taken' already"),
        ("PUT", b" " * 300_000, "above 262144 bytes"),
    ],
)
async def test_a_bad_body_changes_nothing(
    service: Breakable, method: str, body: object, said: str
) -> None:
    """400 and a sentence that names what is wrong; what was in force stays."""
    service.put(StoreFault(kind="down", match="* /never", name="taken"))
    before = service.switch.run
    reply = await ask(service, method, body)
    assert reply.status == 400
    assert said in reply.failure[1]
    assert service.switch.run is before


@pytest.mark.parametrize("method", ["GET", "PUT", "POST", "DELETE"])
@pytest.mark.parametrize("who", ["boss", "ops", "nobody"])
async def test_only_the_role_opens_it(service: Breakable, method: str, who: str) -> None:
    """No other role is enough, an administrator's neither; strangers get 401."""
    service.put(StoreFault(kind="down", match="* /never"))
    before = service.switch.run
    reply = await ask(service, method, PLAN if method in ("PUT", "POST") else None, who=who)
    assert reply.status == (401 if who == "nobody" else 403)
    assert service.switch.run is before


@pytest.mark.parametrize("method", ["PUT", "POST", "DELETE"])
@pytest.mark.parametrize(("origin", "status"), [("http://evil.example", 403), ("http://lab", 200)])
async def test_another_sites_page_changes_nothing(
    service: Breakable, method: str, origin: str, status: int
) -> None:
    """A browser that is signed in as faults cannot be made to break a service by a foreign page."""
    body = {"PUT": PLAN, "POST": {"on": "store", "kind": "full"}}.get(method)
    assert (await ask(service, method, body, f"Origin: {origin}")).status == status


async def test_each_change_is_a_warning_with_the_account(service: Breakable) -> None:
    """The log says who put, added and ended which faults."""
    with capture_logs() as logs:
        await state(service, "PUT", PLAN)
        await state(service, "POST", {"on": "store", "kind": "full", "match": "PUT /x"})
        await state(service, "DELETE")
    assert [(entry["log_level"], entry["by"]) for entry in logs] == [("warning", "faults")] * 3
    assert [entry["event"] for entry in logs] == [
        "A fault plan was put in force",
        "A fault on purpose was added",
        "All faults on purpose were ended",
    ]
    assert '"match":"PUT /x"' in logs[1]["fault"]
