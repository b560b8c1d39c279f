"""Passwords that the processor keeps stay with it: out of answers, pages, logs and metrics."""

from __future__ import annotations

import json

import pytest
import structlog

from recording_format.metadata import decode_metadata
from recording_processor.catalogue.catalogue import Catalogue
from recording_processor.intake import read_post
from tests.recording_processor.asking import POST, SEARCH, file
from tests.recording_processor.conftest import Client, sign_in
from tests.recording_processor.samples import media_file, post, profile

HUSH = "u:hunter2"
PLACES = {
    "a parameter": {"parameters": {"rp.speechminer_auth": HUSH}},
    "another case": {"parameters": {"RP.SpeechMiner_Auth": HUSH}},
    "a kin of it": {"parameters": {"storage_authorization": HUSH, "web.password": HUSH}},
    "a parameter within one": {"parameters": {"x": {"rp.speechminer_auth": HUSH}}},
    "within a list": {"parameters": {"x": [{"deep": [{"password": HUSH}]}]}},
    "beside the parameters": {"rp.speechminer_auth": HUSH, "clientSecret": HUSH},
    "the descriptor's data": {
        "mediaDescriptor": {
            "storage": "webDAV",
            "path": "http://127.0.0.1:1/recordings/a.bin",
            "data": {"password": HUSH},
        }
    },
}


@pytest.mark.parametrize("place", PLACES.values(), ids=PLACES.keys())
async def test_no_answer_has_a_password(client: Client, place: dict[str, object]) -> None:
    """Wherever in the metadata a password came, no answer, page or metric shows it."""
    await file(client, media_file("CALL1", **place))  # type: ignore[arg-type]  # one key each
    for path in (f"{SEARCH}/CALL1", f"{SEARCH}?startTime=2000-01-01T00:00:00Z", "/", "/metrics"):
        async with client.get(path, headers=sign_in("operator")) as answer:
            text = await answer.text()
            assert answer.status == 200, text
            assert "hunter2" not in text
            assert "CALL1" in text or path == "/metrics"


@pytest.mark.parametrize("place", PLACES.values(), ids=PLACES.keys())
async def test_no_password_shows_itself(
    client: Client, catalogue: Catalogue, place: dict[str, object]
) -> None:
    """Neither what was read nor what is kept shows a password when it is printed."""
    body = post(media_file("CALL1", **place))  # type: ignore[arg-type]  # one key each
    decoded = decode_metadata(body)
    filing = read_post(body)
    await file(client, media_file("CALL1", **place))  # type: ignore[arg-type]  # one key each
    kept = await catalogue.recording("CALL1", tenants=None)
    shown = f"{decoded} {decoded.media_files[0].media_descriptor} {filing} {kept}"
    assert "hunter2" not in shown
    assert "CALL1" in shown


async def test_an_error_of_the_database_quotes_nothing(
    client: Client, catalogue: Catalogue, caplog: pytest.LogCaptureFixture
) -> None:
    """What was to be written holds passwords; the trace of a failed write must not repeat it."""
    async with catalogue.database.writing() as connection:
        for table in ("media_files", "profile_versions"):
            await connection.exec_driver_sql(
                f"CREATE TRIGGER no_{table} BEFORE INSERT ON {table}"
                " BEGIN SELECT RAISE(ABORT, 'a fault on purpose'); END"
            )
    body = post(media_file("CALL1", parameters={"rp.speechminer_auth": HUSH}))
    changed = json.dumps(
        profile(parameters={"recordingclient.httpauthorization": "fixed,a:hunter2"})
    )
    with structlog.testing.capture_logs(processors=[structlog.processors.format_exc_info]) as logs:
        async with client.post(POST, data=body, headers=sign_in("mcp")) as answer:
            assert (answer.status, (await answer.json())["statusCode"]) == (500, 4)
        async with client.put(
            "/lab/profiles/101", data=changed, headers=sign_in("admin")
        ) as answer:
            assert answer.status == 500
    failed = [record for record in logs if record["event"] == "A request failed"]
    assert len(failed) == 2
    for record in failed:
        assert "a fault on purpose" in record["exception"]
    assert "hunter2" not in f"{logs}{caplog.text}"


@pytest.mark.parametrize(
    "body",
    [
        b'{"mediaFiles":[{"parameters":{"rp.speechminer_auth":"u:hunter2"}}]}',
        b'{"mediaFiles":[{"parameters":{"rp.speechminer_auth":"u:hunter2"',
        b'{"mediaFiles":"u:hunter2"}',
        b'[["u:hunter2"]]',
        post(media_file("C", mediaDescriptor={"path": "http://u:hunter2@h/x"})),
        post(media_file("C", mediaDescriptor={"path": "http://[u:hunter2"})),
        post(media_file("C", startTime="hunter2")),
        post(media_file("C", size="hunter2")),
        post(media_file("C", lab={"size": 1, "sha256": "hunter2", "chunks": [{"hunter2": 1}]})),
    ],
)
async def test_a_refused_post_quotes_nothing(client: Client, body: bytes) -> None:
    """The answer names the field by its path, and never repeats a value."""
    with structlog.testing.capture_logs() as logs:
        async with client.post(POST, data=body, headers=sign_in("mcp")) as answer:
            assert answer.status == 400
            assert "hunter2" not in await answer.text()
    assert "hunter2" not in repr(logs)
