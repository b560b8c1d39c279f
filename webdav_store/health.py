"""The service's own pages under ``/-/``, open to everybody: alive, ready, metrics, description."""

from __future__ import annotations

from aiohttp import web

from service_shell.openapi import OPENAPI_PATH, openapi_route
from service_shell.web import metrics_response
from webdav_store.disk import Disk
from webdav_store.metrics import StoreMetrics
from webdav_store.root import StoreRoot

LIVEZ, READYZ, METRICS = "/-/livez", "/-/readyz", "/-/metrics"
OPENAPI = f"/-{OPENAPI_PATH}"
FAULTS = "/-/faults"
"""Beside them, where faults on purpose are enabled; not open."""


class HealthPages:
    """What a supervisor and Prometheus ask."""

    def __init__(self, root: StoreRoot, disk: Disk, metrics: StoreMetrics) -> None:
        self._root = root
        self._disk = disk
        self._metrics = metrics

    def add_to(self, router: web.UrlDispatcher) -> None:
        """Add the routes."""
        router.add_get(LIVEZ, self.livez)
        router.add_get(READYZ, self.readyz)
        router.add_get(METRICS, self.metrics)
        router.add_routes([openapi_route("webdav_store", OPENAPI)])

    async def livez(self, _request: web.Request) -> web.Response:
        """Answer 200: the process runs."""
        return web.Response(text="alive\n")

    async def readyz(self, _request: web.Request) -> web.Response:
        """Answer 200 when uploads can be stored, else 503 with the reason."""
        fault = await self._disk.read(self._root.fault)
        if fault is not None:
            return web.Response(status=503, text=f"{fault}\n")
        return web.Response(text="ready\n")

    async def metrics(self, _request: web.Request) -> web.Response:
        """Answer with the counters."""
        return metrics_response(self._metrics.registry)
