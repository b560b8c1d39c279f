"""A service's own description: ``openapi.yaml`` of its package, OpenAPI 3.1, open to everyone."""

from __future__ import annotations

from importlib.resources import files

from aiohttp import web

OPENAPI_PATH = "/openapi.yaml"
_TYPE = "application/yaml"


def openapi_document(package: str) -> bytes:
    """Return the OpenAPI document of the service whose package is `package`."""
    return files(package).joinpath("openapi.yaml").read_bytes()


def openapi_route(package: str, path: str = OPENAPI_PATH) -> web.RouteDef:
    """Return the route that answers the document; a GET answers HEAD too."""
    document = openapi_document(package)

    async def show(_request: web.Request) -> web.Response:
        return web.Response(body=document, content_type=_TYPE)

    return web.get(path, show)
