"""What the store counts, for Prometheus. No name of a file or an account is ever a label."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector

from webdav_store.root import StoreRoot

_SECONDS = (0.001, 0.005, 0.02, 0.1, 0.5, 2.0, 10.0, 60.0)


class StoreMetrics:
    """One registry per running store, so that several can live in one process."""

    def __init__(self, root: StoreRoot) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self.requests = Counter(
            "reclab_store_requests",
            "Requests answered, by method and status",
            ("method", "status"),
            registry=self.registry,
        )
        self.seconds = Histogram(
            "reclab_store_request_seconds",
            "Time from a request's headers to the end of its answer",
            ("method",),
            buckets=_SECONDS,
            registry=self.registry,
        )
        self.received = Counter(
            "reclab_store_received_bytes", "Bytes of uploads received", registry=self.registry
        )
        self.sent = Counter(
            "reclab_store_sent_bytes", "Bytes of answers' bodies sent", registry=self.registry
        )
        self.cut_uploads = Counter(
            "reclab_store_cut_uploads",
            "Uploads that ended early, stalled or were too long",
            registry=self.registry,
        )
        self.cut_downloads = Counter(
            "reclab_store_cut_downloads",
            "Answers that the client did not take to the end",
            registry=self.registry,
        )
        self.uploads = Gauge(
            "reclab_store_uploads_in_progress", "Uploads under way", registry=self.registry
        )
        Gauge(
            "reclab_store_free_bytes", "Free space on the root's disk", registry=self.registry
        ).set_function(root.free_bytes)
