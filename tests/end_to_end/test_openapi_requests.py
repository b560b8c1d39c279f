"""Schemathesis asks every operation of the OpenAPI documents for what they allow, and for more.

No answer may be a fault of the service. Each request is sent twice: as it was made up, and for what
exists, so that it comes further than to 404. All in one thread:
two confuse CPython 3.11's own parser.
"""

from __future__ import annotations

import asyncio
import os
from typing import Any

import aiohttp
import pytest
import schemathesis
import yaml
from schemathesis import BaseSchema, Case
from schemathesis.checks import not_a_server_error

from reclab.preparation import CCID, DOMAIN, PROFILE_DBID
from recording_format.certificates import RecordingCertificate
from service_shell.openapi import openapi_document
from tests.end_to_end.four_services import FourServices, sign_in
from tests.recording_processor.archived import made

pytestmark = pytest.mark.slow

# The same requests in every run. To search further: SCHEMATHESIS_SEED=7 SCHEMATHESIS_EXAMPLES=100.
CONFIG = schemathesis.Config.from_dict(
    {
        "seed": int(os.environ.get("SCHEMATHESIS_SEED", "1")),
        "generation": {"max-examples": int(os.environ.get("SCHEMATHESIS_EXAMPLES", "6"))},
    }
)


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


def document(package: str) -> BaseSchema:
    """Return a service's description, for all of its operations."""
    described: dict[str, Any] = yaml.safe_load(openapi_document(package))
    return schemathesis.openapi.from_dict(described, config=CONFIG)


PROCESSOR, CRYPTO = document("recording_processor"), document("crypto_server")
Known = dict[str, str | int]


def ask(case: Case[Any], services: FourServices, service: str, role: str, known: Known) -> None:
    """Send a request as it was made up, and once more for what exists; neither gets a 5xx."""
    url, headers = services.urls[service], sign_in(role=role)
    for parameters in (dict(case.path_parameters), {**case.path_parameters, **known}):
        case.path_parameters = {name: parameters[name] for name in case.path_parameters}
        case.call_and_validate(base_url=url, headers=headers, checks=[not_a_server_error])
    assert services.alive()


@document("mcp_sim").parametrize()
def test_the_platform(case: Case[Any], services: FourServices, known: Known) -> None:
    """No request of an operator makes the platform's control API fail."""
    ask(case, services, "mcp", "operator", known)


@document("webdav_store").parametrize()
def test_the_store(case: Case[Any], services: FourServices, known: Known) -> None:
    """No request of the platform makes the store fail."""
    ask(case, services, "store", "mcp", known)


@CRYPTO.include(path_regex="^/rcs/").parametrize()
def test_the_players(case: Case[Any], services: FourServices, known: Known) -> None:
    """No request of a listener makes the crypto server fail."""
    ask(case, services, "crypto", "listener", known)


@PROCESSOR.include(operation_id="postMetadata").parametrize()
def test_posts(case: Case[Any], services: FourServices, known: Known) -> None:
    """No post of metadata makes the processor fail."""
    ask(case, services, "processor", "mcp", known)


@PROCESSOR.include(path_regex="^/internal-api/").parametrize()
def test_the_internal_api(case: Case[Any], services: FourServices, known: Known) -> None:
    """No post of another processor makes the processor fail."""
    ask(case, services, "processor", "processor", known)


# What these two end is gone afterwards: they come last.
@CRYPTO.exclude(path_regex="^/rcs/").parametrize()
def test_the_administration(case: Case[Any], services: FourServices, known: Known) -> None:
    """No request of an administrator makes the crypto server fail."""
    ask(case, services, "crypto", "admin", known)


@PROCESSOR.exclude(path_regex="^/internal-api/").parametrize()
def test_the_processor(case: Case[Any], services: FourServices, known: Known) -> None:
    """No request of an administrator makes the processor fail."""
    ask(case, services, "processor", "admin", known)
