"""The services' OpenAPI documents are sound."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from openapi_spec_validator import OpenAPIV31SpecValidator

from service_shell.openapi import openapi_document

METHODS = ("get", "post", "put", "delete", "patch", "head", "options")


@pytest.mark.parametrize(
    "package", ["mcp_sim", "webdav_store", "recording_processor", "crypto_server"]
)
def test_the_document_is_valid(package: str) -> None:
    """It is OpenAPI 3.1 without a fault, and each operation has a name of its own."""
    document: dict[str, Any] = yaml.safe_load(openapi_document(package))
    assert list(OpenAPIV31SpecValidator(document).iter_errors()) == []
    paths = document["paths"].values()
    operations = [item[m]["operationId"] for item in paths for m in METHODS if m in item]
    assert operations
    assert len(operations) == len(set(operations))
