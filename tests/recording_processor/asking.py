"""What the tests ask of the processor again and again."""

from __future__ import annotations

from tests.recording_processor.conftest import Client, sign_in
from tests.recording_processor.samples import DOMAIN, Json, post

POST = f"/api/contact-centers/{DOMAIN}/recordings"
SEARCH = "/api/v2/recordings"


async def file(client: Client, *files: Json, status: int = 200) -> Json:
    """Post media files and return the answer."""
    async with client.post(POST, data=post(*files), headers=sign_in("mcp")) as answer:
        assert answer.status == status, await answer.text()
        told: Json = await answer.json()
        return told


async def get(client: Client, path: str, *, role: str = "operator", status: int = 200) -> Json:
    """Get JSON as someone of `role`."""
    async with client.get(path, headers=sign_in(role)) as answer:
        assert answer.status == status, await answer.text()
        told: Json = await answer.json()
        return told


async def ask(
    client: Client,
    method: str,
    path: str,
    body: object = None,
    *,
    role: str = "admin",
    status: int = 200,
    headers: dict[str, str] | None = None,
) -> Json:
    """Send `body` as JSON, as someone of `role`, and return the JSON of the answer."""
    everything = {**sign_in(role), **(headers or {})}
    async with client.request(method, path, json=body, headers=everything) as answer:
        assert answer.status == status, await answer.text()
        told: Json = await answer.json()
        return told
