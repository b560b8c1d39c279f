"""The list of an archive: ordered by ends, paged, filtered, and each tenant apart."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import quote

import msgspec
import pytest

from recording_processor.archive.place import Place
from recording_processor.archive.request import read_archive_request
from recording_processor.settings import ProcessorSettings
from service_shell.accounts import Account, basic_header
from tests.recording_processor.archived import Made, file_all, made
from tests.recording_processor.asking import get
from tests.recording_processor.conftest import Client, ClientOf, sign_in
from tests.recording_processor.samples import CCID, STORE, Json

LIST = "/lab/archive/recordings"
BASE = STORE.removesuffix("/recordings")


def one(recording_id: str, seconds: int = 0, **changed: Any) -> Made:
    """A recording whose bytes nobody asks for."""
    return made(recording_id, BASE, seconds=seconds, size=10, **changed)


@pytest.fixture
def settings(settings: ProcessorSettings) -> ProcessorSettings:
    """The plain settings, and an operator of the tenant North."""
    operator = next(account for account in settings.accounts if account.name == "operator")
    north = Account(
        name="north",
        roles=["operator"],
        password_hash=operator.password_hash,
        tenants=["North"],
    )
    return msgspec.structs.replace(settings, accounts=[*settings.accounts, north])


async def ids(client: Client, query: str = "", *, role: str = "operator") -> list[str]:
    """The ids of one page."""
    page = await get(client, f"{LIST}{query}", role=role)
    return [entry["recording"]["id"] for entry in page["recordings"]]


async def walk(client: Client, query: str) -> AsyncIterator[Json]:
    """Yield every entry, page by page."""
    after = ""
    while True:
        page = await get(client, f"{LIST}?{query}{after}")
        for entry in page["recordings"]:
            yield entry
        if page["next"] is None:
            return
        after = f"&after={page['next']}"


async def test_recordings_come_in_the_order_of_their_ends(client: Client) -> None:
    """Stop time first, then id; however they were filed."""
    await file_all(client, one("C", 5), one("B", 5), one("Z", 1), one("A", 9))
    assert await ids(client) == ["Z", "B", "C", "A"]


async def test_an_entry_is_the_recording_and_where_it_belongs(client: Client) -> None:
    """Each entry has what GET of the recording answers, its tenant, its end and its place."""
    await file_all(client, one("A", 1))
    page = await get(client, LIST)
    assert page["contactCenter"] == CCID
    (entry,) = page["recordings"]
    assert entry["recording"] == (await get(client, "/api/v2/recordings/A"))["recording"]
    assert (entry["tenant"], entry["stopTime"]) == ("Environment", "2026-01-02T10:00:01.000+0000")
    assert Place.decode(entry["place"]).id == "A"


async def test_no_password_is_in_the_list(client: Client) -> None:
    """Passwords that came with the metadata stay in the processor."""
    file = one("A", parameters={"rp.speechminer_auth": "user:hush"})
    await file_all(client, file)
    async with client.get(LIST, headers=sign_in("admin")) as answer:
        assert "hush" not in await answer.text()


async def test_pages_hold_everything_once(client: Client) -> None:
    """With pages of two, and many that end at once, nothing is left out or repeated."""
    files = [one(f"R{number:02}", number // 4) for number in range(11)]
    await file_all(client, *files)
    found = [entry["recording"]["id"] async for entry in walk(client, "limit=2")]
    assert found == [f"R{number:02}" for number in range(11)]


async def test_what_is_filed_meanwhile_moves_nothing(client: Client) -> None:
    """Recordings that arrive before and behind the page neither repeat nor hide another."""
    await file_all(client, *(one(f"R{number}", 10 * number) for number in range(4)))
    found = []
    async for entry in walk(client, "limit=2"):
        found.append(entry["recording"]["id"])
        if len(found) == 2:
            await file_all(client, one("EARLY", 1), one("LATE", 25))
    assert found == ["R0", "R1", "R2", "LATE", "R3"]


async def test_a_later_archive_finds_what_came_late(client: Client) -> None:
    """`since` gives what ended later, and what was filed later though it ended before."""
    await file_all(client, one("A", 1), one("B", 2))
    last = (await get(client, LIST))["recordings"][-1]["place"]
    assert await ids(client, f"?since={last}") == []
    await file_all(client, one("LATE", 0), one("NEW", 3))
    assert await ids(client, f"?since={last}") == ["LATE", "NEW"]
    found = [entry["recording"]["id"] async for entry in walk(client, f"limit=1&since={last}")]
    assert found == ["LATE", "NEW"]


async def test_another_segment_brings_a_recording_back(client: Client) -> None:
    """A recording that grew since the last archive is there again, with all its files."""
    await file_all(client, one("A", 1), one("B", 2))
    last = (await get(client, LIST))["recordings"][-1]["place"]
    await file_all(client, one("A", 1, media_id="A-0a1b2c3d-00000001-00000002.wav"))
    page = await get(client, f"{LIST}?since={last}")
    assert [len(entry["recording"]["mediaFiles"]) for entry in page["recordings"]] == [2]


async def test_a_span_has_its_beginning_and_not_its_end(client: Client) -> None:
    """Neighbouring spans of stop times hold each recording once."""
    await file_all(client, *(one(f"R{number}", number) for number in range(4)))
    assert await ids(client, "?to=2026-01-02T10:00:02Z") == ["R0", "R1"]
    assert await ids(client, "?from=2026-01-02T10:00:02Z") == ["R2", "R3"]
    assert await ids(client, "?from=2026-01-03&to=2026-01-04") == []
    assert await ids(client, "?to=1970-01-01") == []


async def test_criteria_mean_what_they_mean_in_a_search(client: Client) -> None:
    """Tenant exactly; call type, numbers and user with wildcards; all of them at once."""
    await file_all(
        client,
        one("I", 0, parameters={"callType": "Inbound", "ani": "199"}),
        one("N", 1, tenant="North"),
        one("U", 2, parameters={"agentId": "bob"}),
    )
    for criterion, found in {
        "tenant=North": ["N"],
        "tenant=north": [],
        "callType=Inbound": ["I"],
        "callType=Un*": ["N", "U"],
        "callerPhoneNumber=%2B16175550101": ["N", "U"],
        "callerPhoneNumber=*99": ["I"],
        "dialedPhoneNumber=800*&callType=Inbound": ["I"],
        "userName=bob": ["U"],
    }.items():
        assert await ids(client, f"?{criterion}") == found, criterion


WRONG = {
    "colour=red": "'colour' is not a parameter of an archive",
    "startTime=2026-01-01": "'startTime' is not a parameter of an archive",
    "from=yesterday": "from: it is not a date",
    "from=2026-01-01&from=2026-01-01": "from is given twice",
    "from=2026-01-01&maxAge=3": "from and maxAge cannot be asked for at once",
    "minAge=-1": "minAge: it is not a whole number from 0 to 36500",
    "limit=0": "limit: it is not a whole number from 1 to 200",
    "limit=201": "limit: it is not a whole number from 1 to 200",
    "after=x": "after: it is not a place of this processor",
    "since=" + "A" * 3000: "since: it is not a place of this processor",
    "tenant=": "tenant: it is not a tenant's name",
    "tenant=a%00b": "tenant: it is not a tenant's name",
    "callType=": "callType: it is empty",
}


async def test_a_wrong_parameter_is_one_sentence(client: Client) -> None:
    """What cannot be is 400 with the parameter's name, for the list and for the zip."""
    for query, sentence in WRONG.items():
        for path in (LIST, "/lab/archive.zip"):
            told = await get(client, f"{path}?{query}", status=400)
            assert told["statusCode"] == 2
            assert told["statusMessage"].startswith(sentence)


async def test_the_roles_of_an_archive(client: Client) -> None:
    """Operators and administrators archive; nobody else, and nobody without a name."""
    for path in (LIST, "/lab/archive.zip"):
        for role, status in {"operator": 200, "admin": 200, "listener": 403, "mcp": 403}.items():
            async with client.get(path, headers=sign_in(role)) as answer:
                assert answer.status == status
        async with client.get(path) as answer:
            assert answer.status == 401


async def test_an_account_sees_its_tenants_only(
    client_of: ClientOf, settings: ProcessorSettings
) -> None:
    """For an account of North the others do not exist: not listed, not counted, not asked for."""
    async with client_of(settings) as client:
        await file_all(
            client, one("E", 1), one("N", 2, tenant="North"), one("S", 3, tenant="South")
        )
        assert await ids(client) == ["E", "N", "S"]
        place = (await get(client, LIST))["recordings"][0]["place"]
        for query in ("", "?tenant=North", f"?after={place}", f"?since={place}"):
            assert await _of_north(client, query) == ["N"]
        for query in ("?tenant=South", "?tenant=Environment", "?tenant=" + quote("*")):
            assert await _of_north(client, query) == []


async def _of_north(client: Client, query: str) -> list[str]:
    headers = {"Authorization": basic_header("north", "operator-secret")}
    async with client.get(f"{LIST}{query}", headers=headers) as answer:
        assert answer.status == 200, await answer.text()
        found = await answer.json()
    async with client.head(f"/lab/archive.zip{query}", headers=headers) as answer:
        assert int(answer.headers["X-Reclab-Recordings"]) == len(found["recordings"])
    return [entry["recording"]["id"] for entry in found["recordings"]]


@pytest.mark.parametrize(
    ("query", "name"),
    [
        ({}, "All-All-Any-0"),
        ({"tenant": "North", "maxAge": "30", "minAge": "7"}, "North-All-30-7"),
        ({"callType": "Inbound"}, "All-CallType-Any-0"),
        ({"userName": "bob", "callType": "In*"}, "All-Selected-Any-0"),
        ({"from": "2026-01-01", "to": "2026-01-30"}, "All-All-31-1"),
        ({"from": "2027-01-01", "to": "2028-01-01"}, "All-All-0-0"),
        ({"tenant": "../x"}, "_x~"),
    ],
)
def test_the_zip_is_named_by_the_request(query: dict[str, str], name: str) -> None:
    """Tenant, the one criterion, the greatest and the least age in whole days, the moment."""
    now = 1_769_860_800_000  # 2026-01-31T12:00:00Z
    wanted = read_archive_request(query.items(), now=now, default_limit=1, maximum_limit=1)
    assert wanted.zip_name.startswith(name)
    assert wanted.zip_name.endswith("-20260131120000.zip")


def test_ages_are_days_before_now() -> None:
    """`maxAge` and `minAge` are the span's beginning and end."""
    day = 86_400_000
    query = {"maxAge": "30", "minAge": "7"}.items()
    wanted = read_archive_request(query, now=100 * day, default_limit=1, maximum_limit=1).filter
    assert (wanted.stopped_from, wanted.stopped_before) == (70 * day, 93 * day)
