"""The OpenAPI document: valid, served to everyone, and the same paths and methods as the router."""

from __future__ import annotations

import re
from typing import Any

import msgspec
import pytest
import yaml
from openapi_spec_validator import OpenAPIV31SpecValidator

from recording_processor.settings import ProcessorSettings
from service_shell.faults.settings import FaultSettings
from service_shell.openapi import openapi_document
from tests.recording_processor.asking import ask, file, get
from tests.recording_processor.conftest import Client, ClientOf
from tests.recording_processor.samples import CCID, media_file, profile

DOCUMENT: dict[str, Any] = yaml.safe_load(openapi_document("recording_processor"))
METHODS = ("get", "post", "put", "delete", "patch", "head", "options")


def test_the_document_is_valid() -> None:
    """It is OpenAPI 3.1 without a fault, and every operation has a name of its own."""
    assert list(OpenAPIV31SpecValidator(DOCUMENT).iter_errors()) == []
    operations = [item[m]["operationId"] for item in paths().values() for m in METHODS if m in item]
    assert len(operations) == len(set(operations))


def paths() -> dict[str, Any]:
    """Return the document's paths."""
    found: dict[str, Any] = DOCUMENT["paths"]
    return found


async def test_it_is_what_the_router_has(client_of: ClientOf, settings: ProcessorSettings) -> None:
    """Paths and methods of the document and of the service are equal; HEAD goes with every GET."""
    breakable = msgspec.structs.replace(settings, faults=FaultSettings(enabled=True))
    async with client_of(breakable) as client:
        routes = list(client.app.router.routes())
    documented = {
        (method.upper(), path) for path, item in paths().items() for method in METHODS
        if method in item
    }  # fmt: skip
    served = {
        (route.method, route.resource.canonical) for route in routes if route.resource is not None
    }
    heads = {("HEAD", path) for method, path in served if method == "GET"}
    assert {pair for pair in served if pair[0] == "HEAD"} == heads
    assert documented == served - heads


async def test_it_is_served_to_everyone(client: Client) -> None:
    """No sign-in is needed."""
    async with client.get("/openapi.yaml") as answer:
        assert (answer.status, answer.content_type) == (200, "application/yaml")
        assert await answer.read() == openapi_document("recording_processor")


async def test_what_is_open_is_documented_so(client: Client) -> None:
    """Exactly the operations without security answer somebody who is not signed in."""
    for path, item in paths().items():
        for method in METHODS:
            if method in item:
                async with client.request(method, re.sub(r"\{[^}]*\}", "1", path)) as answer:
                    is_open = item[method].get("security") == []
                    known_asset = "{name}" not in path
                    assert (answer.status != 401) is (is_open and known_asset), (method, path)


def test_every_operation_says_its_roles() -> None:
    """Whoever must have a role finds it in the summary or in the tag's description."""
    told = {tag["name"]: tag.get("description", "") for tag in DOCUMENT["tags"]}
    for path, item in paths().items():
        for method in METHODS:
            if method in item and item[method].get("security") != []:
                operation = item[method]
                text = operation["summary"] + " ".join(told[tag] for tag in operation["tags"])
                assert re.search("role|account", text), (method, path)


@pytest.fixture
async def filled(client: Client) -> Client:
    """A client of a processor with one recording and one profile."""
    await file(client, media_file("CALL1"))
    await file(client, media_file("CALL2", media_id=media_file("CALL1")["mediaId"]), status=409)
    await ask(client, "PUT", "/lab/profiles/101", profile(101))
    return client


@pytest.mark.parametrize(
    ("path", "template"),
    [
        ("/api/v2/recordings/CALL1", "/api/v2/recordings/{recording_id}"),
        ("/api/v2/recordings?userName=*", "/api/v2/recordings"),
        ("/lab/profiles/101", "/lab/profiles/{dbid}"),
        ("/lab/profiles", "/lab/profiles"),
        ("/lab/profiles/101/versions", "/lab/profiles/{dbid}/versions"),
        ("/lab/profiles/101/versions/1", "/lab/profiles/{dbid}/versions/{version}"),
        ("/lab/deployments", "/lab/deployments"),
        ("/lab/tenants", "/lab/tenants"),
        (
            f"/api/v2/ops/contact-centers/{CCID}/conflicts",
            "/api/v2/ops/contact-centers/{ccid}/conflicts",
        ),
    ],
)
async def test_answers_fit_their_schema(filled: Client, path: str, template: str) -> None:
    """What is answered is what the document says, with every key that it requires."""
    from openapi_schema_validator import OAS31Validator
    from referencing import Registry
    from referencing.jsonschema import DRAFT202012

    answer = await get(filled, path, role="admin")
    content = paths()[template]["get"]["responses"]["200"]["content"]["application/json"]
    resource = DRAFT202012.create_resource(DOCUMENT)
    registry: Registry[Any] = Registry().with_resource("urn:processor", resource)
    schema = {"$ref": f"urn:processor#{pointer(template)}"}
    assert content["schema"]
    faults = OAS31Validator(schema, registry=registry).iter_errors(answer)
    assert [fault.message for fault in faults] == []


def pointer(template: str) -> str:
    """Return the JSON pointer of a path's answer."""
    escaped = template.replace("~", "~0").replace("/", "~1").replace("{", "%7B").replace("}", "%7D")
    return f"/paths/{escaped}/get/responses/200/content/application~1json/schema"
