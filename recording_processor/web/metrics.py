"""What the processor counts, for Prometheus. Labels are route names and outcomes, never ids."""

from __future__ import annotations

import time

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector

from service_shell.web import metrics_response

# What nginx writes for a client that went away.
_GONE = 499
_METHODS = frozenset(("GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS"))


class Metrics:
    """The registry of one processor and its instruments."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        name = "reclab_processor_"
        self.requests = Histogram(
            f"{name}request_seconds",
            "Time from a request's head to the end of its answer",
            ("method", "route", "status"),
            registry=self.registry,
        )
        self.filed = Counter(
            f"{name}posts_total",
            "Metadata posts by outcome: filed, repeated, conflict, refused",
            ("outcome",),
            registry=self.registry,
        )
        self.media_files = Counter(
            f"{name}media_files_total", "Media files that were filed", registry=self.registry
        )
        self.upstream = Counter(
            f"{name}upstream_total",
            "Streams from the store and crypto_server by outcome: whole, refused, broken, left",
            ("upstream", "outcome"),
            registry=self.registry,
        )
        self.upstream_bytes = Counter(
            f"{name}upstream_bytes_total",
            "Bytes streamed through from the store and crypto_server",
            ("upstream",),
            registry=self.registry,
        )
        self.profile_version = Gauge(
            f"{name}profile_version", "Version of the IVR profiles", registry=self.registry
        )
        self.long_polls = Gauge(
            f"{name}long_polls", "Readers waiting for a profile change", registry=self.registry
        )
        self.streams = Gauge(
            f"{name}streams", "Streams open at the moment", ("upstream",), registry=self.registry
        )
        self.posts_waiting = Gauge(
            f"{name}posts_waiting",
            "Metadata posts that are being filed or wait",
            registry=self.registry,
        )
        self.transactions = Counter(
            f"{name}post_transactions_total",
            "Transactions of metadata posts by outcome: committed, failed",
            ("outcome",),
            registry=self.registry,
        )
        self.batch_posts = Histogram(
            f"{name}batch_posts",
            "Metadata posts that shared one committed transaction",
            buckets=(1, 2, 4, 8, 16, 32, 64, 128, 256),
            registry=self.registry,
        )
        self.writes_waiting = Gauge(
            f"{name}writes_waiting",
            "Changes of the catalogue that run or wait",
            registry=self.registry,
        )
        self.conflicts = Gauge(
            f"{name}conflicts", "Conflicts that nobody has dismissed", registry=self.registry
        )
        self.onward = Counter(
            f"{name}onward_total",
            "Posts to the web services by outcome: sent, later, failed, replayed",
            ("outcome",),
            registry=self.registry,
        )
        self.onward_waiting = Gauge(
            f"{name}onward_waiting", "Posts that wait to go onward", registry=self.registry
        )
        self.onward_files = Gauge(
            f"{name}onward_failed_files",
            "Files of posts that could not go onward",
            registry=self.registry,
        )

    def count_posts(self, posts: int, committed: bool) -> None:
        """Count one transaction of metadata posts."""
        self.transactions.labels("committed" if committed else "failed").inc()
        if committed:
            self.batch_posts.observe(posts)

    def middleware(self) -> Middleware:
        """Return the middleware that times every request by its route's pattern."""

        @web.middleware
        async def measure(request: web.Request, handler: Handler) -> web.StreamResponse:
            began = time.perf_counter()
            status = 500
            try:
                response = await handler(request)
                status = response.status
                return response
            except ConnectionError:
                status = _GONE
                raise
            finally:
                resource = request.match_info.route.resource
                route = "unknown" if resource is None else resource.canonical
                # A method is the client's text: only the known ones may become a label.
                method = request.method if request.method in _METHODS else "other"
                self.requests.labels(method, route, str(status)).observe(
                    time.perf_counter() - began
                )

        return measure

    async def show(self, _request: web.Request) -> web.Response:
        """``GET /metrics``."""
        return metrics_response(self.registry)
