"""Schemathesis asks every operation of the OpenAPI documents for what they allow, and for more.

No answer may be a fault of the service. Half of the requests name things that exist, so that they
come further than to 404.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import aiohttp
import pytest
import tomli_w

from reclab.preparation import CCID, DOMAIN, PROFILE_DBID
from recording_format.certificates import RecordingCertificate
from tests.end_to_end.four_services import PASSWORD, FourServices, sign_in
from tests.end_to_end.test_every_route import DESCRIPTIONS
from tests.recording_processor.archived import made

pytestmark = pytest.mark.slow

EXAMPLES = int(os.environ.get("SCHEMATHESIS_EXAMPLES", "6"))
POSTING = ("--include-operation-id", "postMetadata")


@pytest.fixture(scope="module")
def known(services: FourServices) -> dict[str, str | int]:
    """What exists, or did before it was asked to go: the parts of paths by their names."""
    return asyncio.run(fill(services))


async def fill(services: FourServices) -> dict[str, str | int]:
    """Make a recording known; return what there is."""
    await post(services)
    async with aiohttp.ClientSession(headers=sign_in(role="admin")) as http:
        async with http.get(f"{services.urls['processor']}/api/v2/recordings/CALL1") as answer:
            media = (await answer.json())["recording"]["mediaFiles"][0]
        async with http.get(f"{services.urls['processor']}/lab/deployments") as answer:
            deployed = (await answer.json())["deployments"][0]
    play_name = media["mediaPath"].rpartition("/")[2]
    return {
        "recording_id": "CALL1",
        "recording": "CALL1",
        "play_name": play_name,
        "media": play_name,
        "play_id": play_name.partition(".")[0],
        "ccid": CCID,
        "domain": DOMAIN,
        "dbid": PROFILE_DBID,
        "version": 1,
        "id": deployed["fingerprint"],
        "certificate": deployed["fingerprint"],
        "name": "CALL1.bin",
    }


async def post(services: FourServices) -> None:
    """Store an object, and post the metadata of a recording."""
    file = services.folder / "lab" / "certificates" / "recording-1.pem"
    certificate = RecordingCertificate.load(file.read_text(), name="a certificate of the lab")
    media = made("CALL1", services.urls["store"], recipient=certificate)
    async with aiohttp.ClientSession(headers=sign_in(role="mcp")) as http:
        path = media.media["mediaDescriptor"]["path"]
        async with http.put(path, data=media.stored) as answer:
            assert answer.status in (201, 204)
        url = f"{services.urls['processor']}/api/contact-centers/{DOMAIN}/recordings"
        async with http.post(url, json={"mediaFiles": [media.media]}) as answer:
            assert answer.status == 200, await answer.text()


@pytest.mark.parametrize("exists", [True, False], ids=["what exists", "anything"])
@pytest.mark.parametrize(
    ("service", "role", "only"),
    [
        ("mcp", "operator", ()),
        ("store", "mcp", ()),
        ("processor", "mcp", POSTING),
        ("crypto", "listener", ("--include-path-regex", "^/rcs/")),
        # What these end is gone afterwards.
        ("crypto", "admin", ("--exclude-path-regex", "^/rcs/")),
        ("processor", "processor", ("--include-path-regex", "^/internal-api/")),
        ("processor", "admin", ()),
    ],
)
def test_no_request_makes_a_service_fail(
    services: FourServices,
    known: dict[str, str | int],
    tmp_path: Path,
    service: str,
    role: str,
    only: tuple[str, ...],
    exists: bool,
) -> None:
    """Neither what the document allows nor what it forbids is answered by 5xx."""
    settings = {"parameters": {f"path.{name}": value for name, value in known.items()}}
    config = tmp_path / "schemathesis.toml"
    config.write_text(tomli_w.dumps(settings if exists else {}))
    url = services.urls[service]
    # One worker: CPython 3.11's `ast`, which hypothesis uses, fails when two threads are in it.
    command = [
        sys.executable, "-m", "schemathesis.cli", "--config-file", str(config), "run",
        f"{url}{DESCRIPTIONS[service]}", "--url", url, "--auth", f"{role}:{PASSWORD}",
        "--checks", "not_a_server_error", "--phases", "examples,coverage,fuzzing", "--seed", "1",
        "--max-examples", str(EXAMPLES), "--workers", "1", "--no-color", *only,
    ]  # fmt: skip
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=300, cwd=tmp_path, check=False
    )
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-1000:]
    assert "passed" in done.stdout
    assert services.alive()
