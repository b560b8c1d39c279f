"""What the crypto server counts, for Prometheus."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector

from crypto_server.audit import PlaybackRecord
from crypto_server.keystore import Keystore


class PlaybackMetrics:
    """Playbacks by outcome, their bytes and seconds, and the keys that stand ready."""

    def __init__(self, keystore: Keystore) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self.running = Gauge(
            "reclab_crypto_playbacks_running", "Playbacks going on now", registry=self.registry
        )
        self._playbacks = Counter(
            "reclab_crypto_playbacks",
            "Playbacks that ended, by outcome",
            ["outcome"],
            registry=self.registry,
        )
        self._bytes = Counter(
            "reclab_crypto_played_bytes", "Plaintext handed to listeners", registry=self.registry
        )
        self._seconds = Histogram(
            "reclab_crypto_playback_seconds",
            "How long playbacks took, from the request to the last byte",
            registry=self.registry,
            buckets=(0.01, 0.05, 0.1, 0.5, 1, 5, 30, 120, 600),
        )
        keys = Gauge("reclab_crypto_keys", "Keys that can decrypt", registry=self.registry)
        keys.set_function(lambda: keystore.count().keys)
        unusable = Gauge(
            "reclab_crypto_keystore_unusable_files",
            "Keystore files that could not be read",
            registry=self.registry,
        )
        unusable.set_function(lambda: keystore.count().unusable)

    def ended(self, record: PlaybackRecord) -> None:
        """Count a playback that ended."""
        self._playbacks.labels(record.outcome).inc()
        self._bytes.inc(record.bytes)
        self._seconds.observe(record.seconds)
