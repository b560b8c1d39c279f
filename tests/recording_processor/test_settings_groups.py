"""Settings by location: set as the documents do, by curl too, and chosen by the longest match."""

from __future__ import annotations

import asyncio
import re
import subprocess
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs

from recording_processor.group_setting import GroupSetting, effective
from recording_processor.location import covers, parse_location
from recording_processor.settings import ProcessorSettings
from service_shell.settings import SettingsError, load_settings
from tests.peers import peer
from tests.recording_processor.asking import ask, get
from tests.recording_processor.conftest import Client, ClientOf, with_account
from tests.recording_processor.samples import CCID, Json

GROUP = f"/api/v2/ops/contact-centers/{CCID}/settings/screen-recording"
PREFIX = "decrypt-uri-prefix"
VALUE = "http://rcs.example:8008/rcs"


def setting(value: object = VALUE, location: str | None = "/", name: str = PREFIX) -> Json:
    """Return a setting's JSON."""
    return {"name": name, "location": location, "value": value}


async def listed(client: Client, location: str = "") -> dict[str, object]:
    """Return the group's settings by location, or those that hold at one by name."""
    query = f"?location={location}" if location else ""
    told = (await get(client, GROUP + query))["settings"]
    return {each["name" if location else "location"]: each["value"] for each in told}


@pytest.mark.parametrize(
    ("text", "location"),
    [
        ("/", "/"),
        ("", "/"),
        ("//", "/"),
        ("/US", "/US"),
        ("US", "/US"),
        ("/US/", "/US"),
        ("//US//AK/", "/US/AK"),
        (" /US / AK", "/US/AK"),
        ("/us", "/us"),
    ],
)
def test_a_location_has_one_form(text: str, location: str) -> None:
    """However it is written, a location is one slash before each part."""
    assert parse_location(text) == location


@pytest.mark.parametrize("text", ["/US/..", "/.", "/a\nb", "a\\b", "/" + "x" * 255, "/\x00"])
def test_what_is_no_location_is_refused(text: str) -> None:
    """Dots, control characters, backslashes and endless texts are refused."""
    with pytest.raises(ValueError, match="it "):
        parse_location(text)


@pytest.mark.parametrize(
    ("node", "wanted"),
    [
        ("/", "root"),
        ("/US", "us"),
        ("/US/AK", "us"),
        ("/US/HI", "hawaii"),
        ("/US/HI/1", "hawaii"),
        ("/USA", "root"),
        ("/us", "root"),
        ("/EU", "root"),
    ],
)
def test_the_longest_location_wins(node: str, wanted: str) -> None:
    """Whole parts are compared: `/US` serves `/US/AK`, not `/USA`."""
    known = [
        GroupSetting(PREFIX, "/US/HI", "hawaii"),
        GroupSetting(PREFIX, "/", "root"),
        GroupSetting(PREFIX, "/US", "us"),
        GroupSetting("storage", "/EU/DE", "x"),
    ]
    assert {name: each.value for name, each in effective(known, node).items()} == {PREFIX: wanted}


_parts = st.lists(st.sampled_from(["US", "USA", "AK", "u"]), max_size=4)


@given(_parts, _parts)
def test_a_location_covers_what_lies_below_it(above: list[str], node: list[str]) -> None:
    """A location covers exactly those whose parts begin with its parts."""
    fits = node[: len(above)] == above
    assert covers(parse_location("/".join(above)), parse_location("/".join(node))) is fits


async def test_settings_are_set_changed_and_removed(client: Client) -> None:
    """POST and PUT make or change one, DELETE removes it, GET lists them all."""
    assert await ask(client, "POST", GROUP, setting()) == {"statusCode": 0, **setting()}
    await ask(client, "POST", GROUP, setting("http://us.example/rcs", "US/"))
    await ask(client, "PUT", GROUP, setting("https://us.example/rcs", "/US"))
    assert await listed(client) == {"/": VALUE, "/US": "https://us.example/rcs"}
    assert await listed(client, "/US/AK") == {PREFIX: "https://us.example/rcs"}
    assert await listed(client, "/USA") == {PREFIX: VALUE}
    await ask(client, "DELETE", f"{GROUP}?name={PREFIX}&location=/US")
    await ask(client, "DELETE", GROUP, {"name": PREFIX})
    assert await listed(client) == {}
    answer = await ask(client, "DELETE", GROUP, {"name": PREFIX, "location": "/x"}, status=404)
    assert answer["statusMessage"] == f"there is no setting {PREFIX} for the location /x"


async def test_the_location_may_stand_in_the_address(client: Client) -> None:
    """In the query or the body, and in both only when they agree; nowhere means everywhere."""
    body = {"name": PREFIX, "value": VALUE}
    await ask(client, "POST", f"{GROUP}?location=/US/CA", body)
    await ask(client, "POST", f"{GROUP}?location=/EU", setting(location="EU/"))
    await ask(client, "POST", GROUP, body)
    assert set(await listed(client)) == {"/", "/EU", "/US/CA"}
    await ask(client, "POST", f"{GROUP}?location=/EU", setting(location="/US"), status=400)


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        (setting("ftp://rcs/rcs"), "value: it is not an http or https URL"),
        (setting("http://u:hush@rcs/rcs"), "value: it is not an http or https URL"),
        (setting("http://rcs/rcs?x=hush"), "value: it has a query"),
        (setting(""), "value: it is not"),
        (setting("http://r\u00e9s/rcs"), "value: it is not"),
        (setting(["http://rcs/rcs"]), "value: it is not"),
        (setting(None), "value: it is missing"),
        (setting(1), "value: expected"),
        (setting(name="x"), "name: it is not one of decrypt-uri-prefix, storage"),
        (setting(location="/.."), "location: it holds a part"),
        ({"location": "/", "value": VALUE}, "name: it is missing"),
        ({**setting(), "x": 1}, "x: it is unknown"),
        (setting("http://u:hush@store/", name="storage"), "value: a URL of it holds"),
        (setting([{"path": "http://u:hush@s/"}], name="storage"), "value: a URL of it holds"),
        (setting(" ", name="storage"), "value: it is empty"),
        (setting([[[[[[[[[[]]]]]]]]]], name="storage"), "value: it is nested too deeply"),
        (setting("x" * 70_000, name="storage"), "value: it is longer than 65536 bytes"),
    ],
)
async def test_a_wrong_setting_is_refused(client: Client, body: Json, sentence: str) -> None:
    """What is wrong is told by its path, a value never repeated; nothing is kept."""
    answer = await ask(client, "POST", GROUP, body, status=400)
    assert answer["statusMessage"].startswith(sentence)
    assert "hush" not in answer["statusMessage"]
    assert await listed(client) == {}


async def test_a_storage_s_password_stays_here(client: Client) -> None:
    """A storage's value is text or JSON; passwords in it are kept, neither answered nor logged."""
    store = {"storageType": "webDAV", "active": True}
    credential = {"userName": "screens", "storagePath": "http://store/screens"}
    for name in ("password", "auth", "accessKey", "Account_Key", "sessionToken", "clientSecret"):
        credential[name] = "hush"
    body = setting([{**store, "credential": credential}], name="storage")
    with capture_logs() as logs:
        answer = await ask(client, "POST", GROUP, body)
    credential = {"userName": "screens", "storagePath": "http://store/screens"}
    assert answer["value"] == [{**store, "credential": credential}]
    assert "hush" not in repr(await listed(client)) + repr(logs)
    await ask(client, "PUT", GROUP, setting("/recordings/screens", name="storage"))


async def test_who_may(client_of: ClientOf, settings: ProcessorSettings) -> None:
    """Admins change, operators look; who is limited to tenants looks too, but changes nothing."""
    settings = with_account(settings, "north", ["admin"], ["North"])
    async with client_of(settings) as client:
        await ask(client, "POST", GROUP, setting())
        for role in ("admin", "operator", "north"):
            assert len((await get(client, GROUP, role=role))["settings"]) == 1
        for role in ("mcp", "listener", "crypto", "processor"):
            await get(client, GROUP, role=role, status=403)
        for role, code in (("operator", 5), ("mcp", 5), ("north", 3)):
            for method in ("POST", "PUT", "DELETE"):
                answer = await ask(client, method, GROUP, setting(), role=role, status=403)
                assert answer["statusCode"] == code
        elsewhere = GROUP.replace(CCID, "elsewhere")
        for method in ("GET", "POST", "PUT", "DELETE"):
            await ask(client, method, elsewhere, setting(), status=404)


async def test_only_known_parameters(client: Client) -> None:
    """An unknown or repeated parameter of the address is refused."""
    await get(client, f"{GROUP}?colour=red", status=400)
    await get(client, f"{GROUP}?location=/a&location=/b", status=400)


def test_a_wrong_node_path_is_named(tmp_path: Path) -> None:
    """A node_path that is no location is told at the start."""
    file = tmp_path / "processor.toml"
    file.write_text('node_path = "/US/.."\n[contact_center]\ndomain = "d"\nccid = "c"\n')
    with pytest.raises(SettingsError, match="`node_path`: it holds a part that is no name"):
        load_settings(ProcessorSettings, file, prefix="processor", environ={})


# The documents' text of the command, each <placeholder> to be replaced.
COMMAND = (
    "curl -u ops:ops -X POST -d @{file} http://<Web Services Server>:8080/api/v2/ops"
    "/contact-centers/<contact center ID (in hex format)>/settings/screen-recording"
    ' --header "Content-Type: application/json"; echo'
)
FILE = """{
  "name": "decrypt-uri-prefix",
  "location": "%s",
  "value": "<rcs uri>/rcs"
}
"""


@pytest.fixture
def ops_settings(settings: ProcessorSettings) -> ProcessorSettings:
    """Settings with the manuals' account, `ops:ops`."""
    return with_account(settings, "ops", ["admin"], ["*"], password="ops")


@pytest.mark.peer
@pytest.mark.parametrize("header", [True, False])
async def test_the_documents_commands(
    client_of: ClientOf, ops_settings: ProcessorSettings, tmp_path: Path, header: bool
) -> None:
    """Both curl commands work as they are written, for one location and for several.

    Without their Content-Type header, curl calls the JSON a form; that is understood too.
    """
    peer("curl")
    async with client_of(ops_settings) as client:
        server = client.make_url("/")
        for name, location in (("create_single_location", "/"), ("create_first_location", "/US")):
            text = FILE % location
            (tmp_path / name).write_text(text.replace("<rcs uri>", f"http://rcs{location}"))
            command = COMMAND.replace("{file}", name)
            command = command.replace("<Web Services Server>:8080", f"{server.host}:{server.port}")
            command = re.sub(r"<contact center ID[^>]*>", CCID, command)
            if not header:
                command = re.sub(r' --header "[^"]*"', "", command)
            run = await asyncio.to_thread(
                subprocess.run,
                ["bash", "-c", command],
                cwd=tmp_path,
                capture_output=True,
                timeout=60,
                check=True,
            )
            told = msgspec.json.decode(run.stdout)
            assert (told["statusCode"], told["location"]) == (0, location)
        assert await listed(client) == {"/": "http://rcs//rcs", "/US": "http://rcs/US/rcs"}
        assert await listed(client, "/US/AK") == {PREFIX: "http://rcs/US/rcs"}
