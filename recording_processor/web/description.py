"""``GET /openapi.yaml``: what this service answers, in OpenAPI 3.1; open to everyone."""

from __future__ import annotations

from importlib.resources import files

from aiohttp import web

DESCRIPTION_PATH = "/openapi.yaml"


def description() -> bytes:
    """Return the OpenAPI document."""
    return files("recording_processor").joinpath("openapi.yaml").read_bytes()


class DescriptionRoutes:
    """The description of the service."""

    def routes(self) -> list[web.RouteDef]:
        """Return the route; a GET answers HEAD too."""
        return [web.get(DESCRIPTION_PATH, self.show)]

    async def show(self, _request: web.Request) -> web.Response:
        """Answer the document."""
        return web.Response(body=description(), content_type="application/yaml")
