"""Each fault of an HTTP service, as a client on a real socket sees it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from service_shell.faults.fault import StoreFault
from tests.service_shell.faults.breakable import (
    CONTENT,
    REALM,
    SIZE,
    Breakable,
    breakable,
    get,
    head,
    put,
)

SMALL = CONTENT[:1000]


@pytest.fixture
async def service() -> AsyncIterator[Breakable]:
    """The running service."""
    async with breakable() as running:
        yield running


async def test_nothing_is_changed_without_a_plan(service: Breakable) -> None:
    """An enabled service without a plan answers as any other, whatever the kind of answer."""
    assert (await service.reply("/small")).body == SMALL
    assert (await service.reply("/large")).body == CONTENT
    assert (await service.exchange(put("/name", CONTENT))).reply.status == 201
    assert service.stored == {"/name": CONTENT}
    chunked = head("PUT", "/other", "Connection: close", "Transfer-Encoding: chunked")
    body = b"3\r\nabc\r\n5\r\ndefgh\r\n0\r\n\r\n"
    assert (await service.exchange(chunked + body)).reply.status == 201
    assert service.stored["/other"] == b"abcdefgh"


async def test_a_status_is_answered_with_its_headers(service: Breakable) -> None:
    """The status comes with Retry-After where one is given, and with every answer's headers."""
    service.put(StoreFault(kind="status", status=423, retry_after=2.5))
    reply = await service.reply("/small")
    assert (reply.status, reply.failure) == (423, (2, "a fault on purpose: store-1"))
    assert reply.headers["retry-after"] == "3"
    assert reply.headers["server"] == "reclab"
    assert reply.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", "/small", 200), ("DELETE", "/x", 304), ("PUT", "/x", 507), ("MKCOL", "/x", 507)],
)
async def test_a_full_disk_refuses_what_stores(
    service: Breakable, method: str, path: str, status: int
) -> None:
    """507 for what would store something; reading and deleting go on."""
    service.put(StoreFault(kind="full"))
    assert (await service.reply(path, method)).status == status


async def test_no_password_is_good_enough(service: Breakable) -> None:
    """A failing sign-in answers 401 with the service's challenge, whatever the password."""
    service.put(StoreFault(kind="auth"))
    reply = await service.reply("/small")
    assert reply.status == 401
    assert reply.headers["www-authenticate"] == f'Basic realm="{REALM}", charset="UTF-8"'


async def test_a_dead_service_resets(service: Breakable) -> None:
    """Nothing is answered and the connection is reset; also where 100 Continue was asked for."""
    service.put(StoreFault(kind="down"))
    for request in (
        get("/small"),
        put("/x", SMALL),
        head("PUT", "/x", "Content-Length: 9", "Expect: 100-continue"),
    ):
        assert await service.exchange(request) == (b"", True)
    assert service.stored == {}


async def test_a_stalled_request_is_reset_at_last(service: Breakable) -> None:
    """Nothing is answered for the time that the fault says, then the connection is reset."""
    service.put(StoreFault(kind="stall", seconds=0.3))
    began = asyncio.get_running_loop().time()
    assert await service.exchange(get("/small")) == (b"", True)
    assert asyncio.get_running_loop().time() - began >= 0.3
    assert not service.entered.is_set()


async def test_a_late_answer_is_worked_on_at_once(service: Breakable) -> None:
    """The answer begins late, but what was asked is done before: a client may give up too early."""
    service.put(StoreFault(kind="latency", seconds=0.4, jitter=0.2))
    began = asyncio.get_running_loop().time()
    asking = asyncio.create_task(service.exchange(put("/x", SMALL)))
    await service.entered.wait()
    assert (await asking).reply.status == 201
    assert asyncio.get_running_loop().time() - began >= 0.4


async def test_jitter_is_the_seeds(service: Breakable) -> None:
    """The same seed draws the same delays, request by request."""
    drawn = []
    for _ in range(2):
        service.put(StoreFault(kind="latency", seconds=0, jitter=0.01), seed=5)
        assert service.switch.run is not None
        (fault,) = service.switch.run.plan.faults
        await service.reply("/small")
        drawn.append(service.switch.run.draw(fault))
    assert drawn[0] == drawn[1]


@pytest.mark.parametrize("path", ["/large", "/chunked"])
async def test_an_answer_crawls(service: Breakable, path: str) -> None:
    """An answer's body takes as long as its bytes need, and comes whole."""
    service.put(StoreFault(kind="bandwidth", bytes_per_second=1_000_000))
    began = asyncio.get_running_loop().time()
    reply = await service.reply(path)
    # The first and the last piece, a twentieth of a second each, wait for nothing.
    assert asyncio.get_running_loop().time() - began >= SIZE / 1_000_000 - 0.1
    assert len(reply.body) >= SIZE


async def test_an_upload_crawls(service: Breakable) -> None:
    """A request's body is read as slowly, and arrives whole; another request is not held up."""
    service.put(StoreFault(kind="bandwidth", bytes_per_second=500_000, match="PUT /*"))
    loop = asyncio.get_running_loop()
    began = loop.time()
    sending = asyncio.create_task(service.exchange(put("/x", CONTENT)))
    await service.entered.wait()
    assert (await service.reply("/small")).status == 200
    assert not sending.done()
    assert (await sending).reply.status == 201
    assert loop.time() - began >= SIZE / 500_000 - 0.1
    assert service.stored["/x"] == CONTENT


@pytest.mark.parametrize("after", [0, 1, 999, 1000, 123_457, SIZE - 1])
@pytest.mark.parametrize("path", ["/small", "/large"])
async def test_an_answer_is_cut_after_so_many_bytes(
    service: Breakable, path: str, after: int
) -> None:
    """Exactly so many bytes of the body come, then a reset; a body that is no longer is whole."""
    service.put(StoreFault(kind="cut", after_bytes=after))
    outcome = await service.exchange(get(path))
    whole = SMALL if path == "/small" else CONTENT
    assert outcome.reply.headers["content-length"] == str(len(whole))
    assert outcome.reply.body == whole[:after]
    assert outcome.was_reset is (after < len(whole))


@pytest.mark.parametrize("fields", [[], ["Expect: 100-continue"]])
@pytest.mark.parametrize("after", [0, 1, 70_000, SIZE - 1])
async def test_an_upload_is_cut_after_so_many_bytes(
    service: Breakable, after: int, fields: list[str]
) -> None:
    """The connection is reset in the middle of the upload, and nothing of it is kept."""
    service.put(StoreFault(kind="cut", after_bytes=after))
    outcome = await service.exchange(put("/x", CONTENT, *fields))
    assert outcome.was_reset
    assert outcome.received in (b"", b"HTTP/1.1 100 Continue\r\n\r\n")
    assert service.stored == {}


async def test_an_upload_that_is_no_longer_passes(service: Breakable) -> None:
    """A cut after as many bytes as there are cuts nothing."""
    service.put(StoreFault(kind="cut", after_bytes=SIZE))
    assert (await service.exchange(put("/x", CONTENT))).reply.status == 201
    assert service.stored["/x"] == CONTENT


@pytest.mark.parametrize("by", [-400, 7])
@pytest.mark.parametrize(("method", "sent"), [("GET", 1000), ("HEAD", 0)])
async def test_a_length_is_wrong(service: Breakable, by: int, method: str, sent: int) -> None:
    """Content-Length is wrong by so many bytes, the body is not, and then the connection ends."""
    service.put(StoreFault(kind="length", by_bytes=by))
    outcome = await service.exchange(head(method, "/small"))
    assert outcome.reply.headers["content-length"] == str(1000 + by)
    assert outcome.reply.body == SMALL[:sent]
    assert not outcome.was_reset


@pytest.mark.parametrize(
    "fault",
    [
        StoreFault(kind="length", by_bytes=5),
        StoreFault(kind="cut"),
        StoreFault(kind="bandwidth", bytes_per_second=10),
    ],
)
async def test_an_answer_without_a_body_passes(service: Breakable, fault: StoreFault) -> None:
    """304 has no body to be cut, and no length to be wrong."""
    service.put(fault)
    outcome = await service.exchange(get("/unchanged"))
    assert (outcome.reply.status, outcome.was_reset) == (304, False)


async def test_faults_add_up(service: Breakable) -> None:
    """Several faults strike one request: late, refused, and cut in the refusal."""
    service.put(
        StoreFault(kind="latency", seconds=0.1),
        StoreFault(kind="status", status=500),
        StoreFault(kind="cut", after_bytes=10),
    )
    outcome = await service.exchange(get("/small"))
    assert outcome.reply.status == 500
    assert (len(outcome.reply.body), outcome.was_reset) == (10, True)


async def test_a_connection_is_kept_between_faults(service: Breakable) -> None:
    """Requests on one connection are struck one by one; a refusal does not end it."""
    service.put(StoreFault(kind="status", skip=1, times=1))
    request = head("GET", "/small")
    outcome = await service.exchange(request + request + get("/small"))
    assert outcome.received.count(b"HTTP/1.1 200") == 2
    assert outcome.received.count(b"HTTP/1.1 503") == 1
    assert outcome.received.count(SMALL) == 2


@pytest.mark.parametrize(
    ("match", "status"),
    [
        ("* /small", 503),
        ("GET /s*l", 503),
        ("GET /*a*", 503),
        ("PUT /small", 200),
        ("GET /smal", 200),
        ("GET /sm.ll", 200),
    ],
)
async def test_a_match_limits_a_fault(service: Breakable, match: str, status: int) -> None:
    """A method or `*`, and a path in which only `*` stands for other characters."""
    service.put(StoreFault(kind="status", match=match))
    assert (await service.reply("/small?x=1")).status == status


async def test_a_match_of_many_stars_is_found_out_soon(service: Breakable) -> None:
    """No pattern makes the service think for long."""
    service.put(StoreFault(kind="status", match="* /" + "*a" * 190))
    assert (await service.reply("/" + "a" * 150 + "b")).status == 405


async def test_a_strike_is_told_as_it_was_sent(service: Breakable) -> None:
    """What people read of a path has no control characters; it is matched decoded."""
    service.put(StoreFault(kind="status", match="GET /a\x1b[31m?"))
    assert (await service.reply("/a%1B%5B31m%3F?q=1")).status == 503
    assert service.switch.run is not None
    assert service.switch.run.strikes[0].operation == "GET /a%1B%5B31m%3F"


async def test_a_refusal_comes_before_the_body(service: Breakable) -> None:
    """Who asks whether to send a body is refused at once, without 100 Continue."""
    service.put(StoreFault(kind="full"))
    reader, writer = await asyncio.open_connection(service.host, service.port)
    writer.write(head("PUT", "/x", "Content-Length: 9", "Expect: 100-continue"))
    async with asyncio.timeout(30):
        assert (await reader.readline()).startswith(b"HTTP/1.1 507")
    writer.close()


async def test_the_ways_of_help_stay_open(service: Breakable) -> None:
    """Liveness, metrics and the faults' own API answer whatever is broken."""
    service.put(StoreFault(kind="down"), StoreFault(kind="auth"))
    assert (await service.reply("/livez")).body == b"ok"
    assert (await service.exchange(get("/faults", who="faults"))).reply.status == 200
    await service.exchange(get("/small"))
    metrics = (await service.reply("/metrics")).body.decode()
    assert 'reclab_store_faults_struck_total{kind="down"} 1.0' in metrics
    assert "reclab_store_fault_plan_in_force 1.0" in metrics


async def test_the_same_seed_strikes_the_same_requests(service: Breakable) -> None:
    """Thirty requests are struck alike under one seed, and otherwise under another."""
    struck = []
    for seed in (1, 1, 2):
        service.put(StoreFault(kind="status", probability=0.5), seed=seed)
        request = head("GET", "/small") * 29 + get("/small")
        answers = (await service.exchange(request)).received.split(b"HTTP/1.1 ")[1:]
        struck.append([answer[:3] for answer in answers])
    assert len(struck[0]) == 30
    assert struck[0] == struck[1] != struck[2]
