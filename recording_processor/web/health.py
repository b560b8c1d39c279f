"""Whether the processor lives, and whether it can work: for supervisors, open to everyone."""

from __future__ import annotations

from aiohttp import web

from recording_processor.catalogue.catalogue import Catalogue
from recording_processor.catalogue.database import answers
from recording_processor.profile_feed import ProfileFeed
from recording_processor.web.metrics import Metrics

OPEN_PATHS = ("/livez", "/readyz", "/metrics")


class HealthRoutes:
    """``/livez``, ``/readyz``, ``/metrics``."""

    def __init__(self, catalogue: Catalogue, feed: ProfileFeed, metrics: Metrics) -> None:
        self._catalogue = catalogue
        self._feed = feed
        self._metrics = metrics

    def routes(self) -> list[web.RouteDef]:
        """Return the routes."""
        return [
            web.get("/livez", self.live),
            web.get("/readyz", self.ready),
            web.get("/metrics", self._metrics.show),
        ]

    async def live(self, _request: web.Request) -> web.Response:
        """Answer 200: the event loop runs."""
        return web.json_response({"status": "alive"})

    async def ready(self, _request: web.Request) -> web.Response:
        """Answer 200 when the catalogue answers and the service is not ending, else 503."""
        if self._feed.closed:
            return web.json_response({"status": "stopping"}, status=503)
        if not await answers(self._catalogue.database):
            return web.json_response({"status": "the catalogue does not answer"}, status=503)
        return web.json_response({"status": "ready"})
