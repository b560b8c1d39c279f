"""The page of another site can make a signed-in browser ask for a change; it is not made."""

from __future__ import annotations

import msgspec
import pytest

from recording_processor.settings import ProcessorSettings
from tests.recording_processor.asking import ask, get
from tests.recording_processor.conftest import Client, ClientOf, sign_in
from tests.recording_processor.samples import CCID, profile

GROUP = f"/api/v2/ops/contact-centers/{CCID}/settings/screen-recording"
PREFIX = {"name": "decrypt-uri-prefix", "value": "http://evil.example/rcs"}
PUBLIC = "https://recordings.example:8443"


@pytest.fixture
def settings(settings: ProcessorSettings) -> ProcessorSettings:
    """The plain settings behind a proxy."""
    return msgspec.structs.replace(settings, public_url=f"{PUBLIC}/lab")


@pytest.mark.parametrize(
    "origin", ["http://evil.example", "null", "http://[", "https://recordings.example", ""]
)
async def test_a_foreign_page_changes_nothing(client: Client, origin: str) -> None:
    """Every kind of change is refused with one sentence, whatever the browser signs it with."""
    foreign = {"Origin": origin}
    for method, path, body in (
        ("POST", GROUP, PREFIX),
        ("PUT", GROUP, PREFIX),
        ("DELETE", GROUP, PREFIX),
        ("PUT", "/lab/profiles/101", profile(101)),
        ("POST", "/lab/profiles", profile(101)),
    ):
        told = await ask(client, method, path, body, status=403, headers=foreign)
        assert told == {
            "statusCode": 3,
            "statusMessage": "the page of another site may not change anything here",
        }
    assert (await get(client, GROUP))["settings"] == []
    assert (await get(client, "/lab/profiles", role="admin"))["profiles"] == []


async def test_our_own_pages_and_programs_do(client: Client) -> None:
    """A page of the address that was asked for or of `public_url` changes, a program always."""
    own = str(client.make_url("")).rstrip("/")
    for origin in (own, PUBLIC, PUBLIC.upper()):
        await ask(client, "POST", GROUP, PREFIX, headers={"Origin": origin})
    await ask(client, "POST", GROUP, PREFIX)


async def test_reading_is_nobody_s_change(client_of: ClientOf, settings: ProcessorSettings) -> None:
    """A browser does not let another site's page read an answer; asking is harmless."""
    async with client_of(msgspec.structs.replace(settings, public_url="")) as client:
        headers = {**sign_in("operator"), "Origin": "http://evil.example"}
        async with client.get(GROUP, headers=headers) as answer:
            assert answer.status == 200
            assert "Access-Control-Allow-Origin" not in answer.headers
