"""The whole server: every path is in its OpenAPI document, and the administration is mounted."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
import pytest
import yaml
from aiohttp import web
from openapi_spec_validator import validate

from crypto_server.administration.certificate_routes import DeploymentWish, UploadForm
from crypto_server.administration.description import Row, Subject
from crypto_server.administration.keystore_routes import ImportForm, NewPassword, RestoreForm
from crypto_server.app import playing_app
from crypto_server.audit import Audit
from crypto_server.keystore import Keystore
from crypto_server.rewrap.wish import RewrapReport, RewrapWish
from crypto_server.settings import ProcessorSettings, Settings, ValidationSettings
from service_shell.accounts import Account, basic_header, hash_password
from service_shell.faults.settings import FaultSettings
from service_shell.listening import bind_tcp, display
from service_shell.openapi import OPENAPI_PATH, openapi_document
from service_shell.settings import SettingsError
from service_shell.web import serve
from tests.crypto_server.administration.fake_catalogue import PASSWORD, USER, FakeCatalogue
from tests.recording_format.authority import root

METHODS = {"get", "head", "post", "put", "delete", "patch", "options"}
_HEAD = ("HEAD", OPENAPI_PATH)
ENVIRON = {"RECLAB_PROCESSOR_PASSWORD": PASSWORD}


@pytest.fixture
async def app(tmp_path: Path, catalogue: FakeCatalogue) -> AsyncIterator[web.Application]:
    """The application as the program makes it."""
    (tmp_path / "ca.pem").write_text(root().pem)
    settings = Settings(
        accounts=[Account("ada", ["admin"], hash_password("ada's password"))],
        processor=ProcessorSettings(url=catalogue.url, user=USER),
        validation=ValidationSettings(ca_file=str(tmp_path / "ca.pem")),
        faults=FaultSettings(enabled=True),
    )
    keystore = Keystore.open(tmp_path / "keystore", "the keystore's password")
    audit = Audit.open(tmp_path / "audit.jsonl")
    async with playing_app(settings, ENVIRON, keystore, audit) as app:
        yield app
    audit.close()
    keystore.close()


def document() -> dict[str, Any]:
    """The OpenAPI document."""
    read: dict[str, Any] = yaml.safe_load(openapi_document("crypto_server"))
    return read


def test_document_is_valid() -> None:
    """The document is OpenAPI 3.1, and every operation has a name of its own."""
    read = document()
    validate(read)
    assert read["openapi"].startswith("3.1")
    names = [
        operation["operationId"]
        for item in read["paths"].values()
        for method, operation in item.items()
        if method in METHODS
    ]
    assert len(names) == len(set(names))


def test_document_is_plain_yaml() -> None:
    """No merge keys: YAML 1.2, which other readers follow, does not have them."""
    assert b"<<" not in openapi_document("crypto_server")


def test_page_names_every_path() -> None:
    """docs/administration.md leaves out no path of the administration."""
    page = (Path(__file__).parents[3] / "docs" / "administration.md").read_text(encoding="utf-8")
    for path in document()["paths"]:
        if path.startswith("/lab/"):
            words = [word for word in path.split("/") if word and not word.startswith("{")]
            assert all(word in page for word in words), path


@pytest.mark.parametrize(
    ("schema", "kind"),
    [
        ("Subject", Subject),
        ("Certificate", Row),
        ("Upload", UploadForm),
        ("DeploymentWish", DeploymentWish),
        ("NewPassword", NewPassword),
        ("Restore", RestoreForm),
        ("Import", ImportForm),
        ("RewrapWish", RewrapWish),
        ("RewrapReport", RewrapReport),
    ],
)
def test_schemas_have_the_fields(schema: str, kind: type[msgspec.Struct]) -> None:
    """What the document says of a body or an answer are the fields that the code has."""
    schemas = document()["components"]["schemas"]
    described = properties(schemas, schemas[schema]) - {"statusCode"}
    assert described == {field.encode_name for field in msgspec.structs.fields(kind)}


def properties(schemas: dict[str, Any], schema: dict[str, Any]) -> set[str]:
    """The names of a schema's properties, of those that it consists of too."""
    names = set(schema.get("properties", {}))
    for part in schema.get("allOf", []):
        reference = part.get("$ref", "").rpartition("/")[2]
        names |= properties(schemas, schemas[reference] if reference else part)
    return names


async def test_document_has_every_path(app: web.Application) -> None:
    """Paths and methods of the document are those of the router, none more and none less."""
    routed = {
        (re.sub(r"\{(\w+):[^}]*\}", r"{\1}", route.resource.canonical), route.method.lower())
        for route in app.router.routes()
        if route.resource is not None and (route.method, route.resource.canonical) != _HEAD
    }
    described = {
        (path, method)
        for path, item in document()["paths"].items()
        for method in item
        if method in METHODS
    }
    assert described == routed


async def test_mounted(app: web.Application, catalogue: FakeCatalogue) -> None:
    """Document open, administration for its role, metrics with the certificates' ends."""
    sock = bind_tcp("127.0.0.1:0")
    url = f"http://{display(sock)}"
    ada = {"Authorization": basic_header("ada", "ada's password")}
    async with serve(app, sock, grace=1.0), aiohttp.ClientSession() as http:
        async with http.get(f"{url}/openapi.yaml") as answer:
            assert (answer.status, answer.content_type) == (200, "application/yaml")
            assert await answer.read() == openapi_document("crypto_server")
        async with http.get(f"{url}/lab/certificates", headers=ada) as answer:
            assert await answer.json() == {"statusCode": 0, "certificates": []}
        async with http.get(f"{url}/metrics") as answer:
            assert "reclab_crypto_certificates_expiring 0.0" in await answer.text()
    assert [path for _, path, _ in catalogue.asked] == ["/lab/deployments"]


async def test_unusable_ca_file(tmp_path: Path, catalogue: FakeCatalogue) -> None:
    """A CA file that cannot be read keeps the server from starting, with a sentence."""
    keystore = Keystore.open(tmp_path / "keystore", "the keystore's password")
    audit = Audit.open(tmp_path / "audit.jsonl")
    missing = tmp_path / "missing.pem"
    settings = Settings(validation=ValidationSettings(ca_file=str(missing)))
    with pytest.raises(SettingsError, match=r"validation\.ca_file.*missing\.pem"):
        async with playing_app(settings, ENVIRON, keystore, audit):
            pass
    audit.close()
    keystore.close()
