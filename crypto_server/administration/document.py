"""``GET /openapi.yaml``: this server's interface, for people and for programs; open to all."""

from __future__ import annotations

from importlib.resources import files

from aiohttp import web

OPENAPI_PATH = "/openapi.yaml"
_TYPE = "application/yaml"


def openapi_text() -> str:
    """Return the OpenAPI document of the crypto server."""
    return files("crypto_server").joinpath("openapi.yaml").read_text(encoding="utf-8")


def add_document(app: web.Application) -> None:
    """Register the path."""
    text = openapi_text()

    async def document(_request: web.Request) -> web.Response:
        return web.Response(text=text, content_type=_TYPE)

    app.router.add_get(OPENAPI_PATH, document, allow_head=False)
