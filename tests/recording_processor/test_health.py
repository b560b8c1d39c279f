"""What supervisors and Prometheus see, without signing in."""

from __future__ import annotations

from recording_processor.catalogue.catalogue import Catalogue
from recording_processor.profile_feed import ProfileFeed
from tests.recording_processor.asking import POST, file
from tests.recording_processor.conftest import Client, sign_in
from tests.recording_processor.samples import media_file


async def test_alive_and_ready(client: Client, feed: ProfileFeed) -> None:
    """Both answer 200; when the service ends it is alive but not ready."""
    for path in ("/livez", "/readyz"):
        async with client.get(path) as answer:
            assert answer.status == 200
    feed.close()
    async with client.get("/readyz") as answer:
        assert answer.status == 503


async def test_not_ready_without_a_catalogue(client: Client, catalogue: Catalogue) -> None:
    """A catalogue that does not answer makes the service not ready."""
    async with catalogue.database.writing() as connection:
        await connection.exec_driver_sql("ALTER TABLE identity RENAME TO gone")
    async with client.get("/readyz") as answer:
        assert answer.status == 503


async def test_metrics_count_what_happened(client: Client) -> None:
    """Posts are counted by outcome, requests by route and never by id."""
    await file(client, media_file("CALL1"))
    await file(client, media_file("CALL1"))
    await file(client, media_file("CALL1", media_id="b.wav", tenant="T"), status=409)
    async with client.post(POST, data=b"{}", headers=sign_in("mcp")) as answer:
        assert answer.status == 400
    async with client.request(
        "PROPFIND", "/api/v2/recordings/CALL1", headers=sign_in("admin")
    ) as answer:
        assert answer.status == 405
    async with client.get("/metrics") as answer:
        text = await answer.text()
    for outcome in ("filed", "repeated", "conflict", "refused"):
        assert f'reclab_processor_posts_total{{outcome="{outcome}"}} 1.0' in text
    assert "reclab_processor_media_files_total 1.0" in text
    assert 'route="/api/contact-centers/{domain}/recordings"' in text
    assert "CALL1" not in text
    assert "PROPFIND" not in text
