"""The platform's figures for Prometheus, read when they are asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from mcp_sim.calls import Calls
from mcp_sim.capture_fleet import CaptureFleet
from mcp_sim.lapse import CAUSES as LAPSE_CAUSES
from mcp_sim.pipeline import Pipeline
from mcp_sim.recording.capture.messages import CaptureStats
from mcp_sim.recording.delivery.delivery import DeliveryStats
from mcp_sim.recording.render.pool import RenderStats
from mcp_sim.recording.spool.folders import State
from mcp_sim.recording.spool.spool import Spool
from mcp_sim.sip import SipAgent
from mcp_sim.sip.user_agent import Counters
from mcp_sim.watch import Watch
from recording_format.errors import CERTIFICATE_REASONS

_SIP_COUNTERS: tuple[tuple[str, str, Callable[[Counters], float]], ...] = (
    ("requests", "SIP requests received", lambda c: c.requests),
    ("responses", "SIP responses received", lambda c: c.responses),
    ("malformed", "SIP messages that could not be read", lambda c: c.malformed),
    ("refused", "SIP requests refused before they reached a call", lambda c: c.refused),
)
_CAPTURE_COUNTERS: tuple[tuple[str, str, Callable[[CaptureStats], float]], ...] = (
    ("packets", "Datagrams received on RTP ports", lambda s: s.packets),
    ("bytes", "Bytes received on RTP ports", lambda s: s.octets),
    ("kernel_drops", "Datagrams that a full socket queue dropped", lambda s: s.dropped),
    ("overflows", "Datagrams given up for a slow disk", lambda s: s.overflowed),
    ("oversized", "Datagrams longer than a journal takes", lambda s: s.oversized),
    ("ports_avoided", "RTP ports not given out: strangers send there", lambda s: s.ports_avoided),
    ("journal_bytes", "Bytes written to journals", lambda s: s.journal_bytes),
    ("journal_errors", "Journal writes that failed", lambda s: s.journal_errors),
    ("clock_jumps", "Jumps of the wall clock that were seen", lambda s: s.clock_jumps),
    ("cpu_seconds", "Processor time of the capture processes", lambda s: s.cpu_seconds),
)
_CAPTURE_GAUGES: tuple[tuple[str, str, Callable[[CaptureStats], float]], ...] = (
    ("buffered_bytes", "Bytes that wait to be written to journals", lambda s: s.buffered_bytes),
    ("worst_tick_lag_seconds", "How late a tick began", lambda s: s.worst_tick_lag),
    ("worst_flush_seconds", "How late a journal was on disk", lambda s: s.worst_flush),
    ("worst_sync_seconds", "How long stable storage took", lambda s: s.worst_sync),
)

_RENDER_COUNTERS: tuple[tuple[str, str, Callable[[RenderStats], float]], ...] = (
    ("recordings", "Recordings rendered", lambda s: s.rendered),
    ("recovered", "Recordings rendered from what a killed process left", lambda s: s.recovered),
    ("failed", "Recordings put aside", lambda s: s.failed),
    ("empty", "Journals in which nothing was recorded", lambda s: s.empty),
    ("crashes", "Render workers that died", lambda s: s.crashes),
    ("postponed", "Renders that the disk refused for now", lambda s: s.postponed),
    ("packets", "Packets rendered", lambda s: s.packets),
    ("lost_packets", "Packets that never came", lambda s: s.lost),
    ("cpu_seconds", "Processor time of the render workers", lambda s: s.cpu_seconds),
)
_DELIVERY_COUNTERS: tuple[tuple[str, str, Callable[[DeliveryStats], float]], ...] = (
    ("recordings", "Recordings delivered", lambda s: s.delivered),
    ("bytes", "Bytes of recordings delivered", lambda s: s.delivered_bytes),
    ("copies", "Copies delivered to a second store", lambda s: s.copies),
    ("retries", "Tries that failed and will be repeated", lambda s: s.retries),
    ("failed", "Recordings that cannot be delivered", lambda s: s.failed),
    ("conflicts", "Of these: another object or recording was there", lambda s: s.conflicts),
)


class PlatformCollector(Collector):
    """Reads the running platform."""

    def __init__(
        self,
        *,
        calls: Calls,
        agent: SipAgent,
        fleet: CaptureFleet,
        pipeline: Pipeline,
        spool: Spool,
        watch: Watch,
    ) -> None:
        self._calls = calls
        self._agent = agent
        self._fleet = fleet
        self._pipeline = pipeline
        self._spool = spool
        self._watch = watch

    def register(self, registry: CollectorRegistry) -> None:
        """Add the figures to `registry`."""
        registry.register(self)

    def collect(self) -> Iterator[Metric]:
        """Yield all figures."""
        yield GaugeMetricFamily("reclab_mcp_calls", "Recordings in progress", len(self._calls))
        yield GaugeMetricFamily(
            "reclab_mcp_calls_limit", "Most recordings at once", self._calls.limit
        )
        yield CounterMetricFamily("reclab_mcp_calls_begun", "Recordings begun", self._calls.begun)
        yield self._skipped()
        yield self._lapsed()
        yield from self._limits()
        legs = sum(len(call.legs.open) for call in self._calls.running)
        yield GaugeMetricFamily("reclab_mcp_legs", "Legs of the recordings in progress", legs)
        yield from self._sip()
        yield from self._capture()
        yield from self._render()
        yield from self._delivery()
        yield self._items()
        with suppress(OSError):
            free = self._calls.space.free_bytes
            yield GaugeMetricFamily("reclab_mcp_spool_free_bytes", "Free space of the spool", free)

    def _skipped(self) -> Metric:
        text = "Unusable certificates that recordings were made without"
        family = CounterMetricFamily("reclab_mcp_certificates_skipped", text, labels=["reason"])
        for reason in CERTIFICATE_REASONS:
            family.add_metric([reason], self._calls.certificates_skipped[reason])
        return family

    def _lapsed(self) -> Metric:
        text = "Calls that the platform ended because nobody did"
        family = CounterMetricFamily("reclab_mcp_calls_lapsed", text, labels=["cause"])
        for cause in LAPSE_CAUSES:
            family.add_metric([cause], self._watch.lapsed[cause])
        return family

    def _limits(self) -> Iterator[Metric]:
        """What new calls depend on; a limit of 0 limits nothing."""
        space = self._calls.space
        rows: list[tuple[str, float, float, bool]] = [
            ("calls", len(self._calls), self._calls.limit, len(self._calls) >= self._calls.limit)
        ]
        with suppress(OSError):
            rows.append(("free-bytes", space.free_bytes, space.reserved, bool(space.fault)))
        for gauge in self._calls.gauges.all:
            rows.append((gauge.name, gauge.value, gauge.limit, gauge.shut))
        texts = {
            "value": "What new calls depend on",
            "bound": "How far that may go",
            "refusing": "1 while new calls are refused for it",
        }
        for column, (name, text) in enumerate(texts.items(), start=1):
            family = GaugeMetricFamily(f"reclab_mcp_limit_{name}", text, labels=["limit"])
            for row in rows:
                family.add_metric([row[0]], float(row[column]))
            yield family

    def _sip(self) -> Iterator[Metric]:
        for name, text, read in _SIP_COUNTERS:
            yield CounterMetricFamily(f"reclab_mcp_sip_{name}", text, read(self._agent.counters))
        open_now = self._agent.open_calls
        yield GaugeMetricFamily("reclab_mcp_sip_dialogs", "SIP dialogs that are open", open_now)

    def _capture(self) -> Iterator[Metric]:
        deaths = self._fleet.deaths
        text = "Capture processes that ended by themselves"
        yield CounterMetricFamily("reclab_mcp_capture_deaths", text, deaths)
        stats = self._fleet.stats
        for name, text, read in _CAPTURE_COUNTERS:
            yield CounterMetricFamily(f"reclab_mcp_capture_{name}", text, sum(map(read, stats)))
        for name, text, read in _CAPTURE_GAUGES:
            worst = max(map(read, stats), default=0.0)
            yield GaugeMetricFamily(f"reclab_mcp_capture_{name}", text, worst)

    def _render(self) -> Iterator[Metric]:
        stats = self._pipeline.renders
        for name, text, read in _RENDER_COUNTERS:
            yield CounterMetricFamily(f"reclab_mcp_render_{name}", text, read(stats))
        running = self._pipeline.rendering
        yield GaugeMetricFamily("reclab_mcp_rendering", "Renders waiting or run", running)

    def _delivery(self) -> Iterator[Metric]:
        stats = self._pipeline.deliveries
        for name, text, read in _DELIVERY_COUNTERS:
            yield CounterMetricFamily(f"reclab_mcp_delivery_{name}", text, read(stats))
        waiting = stats.waiting + stats.running
        yield GaugeMetricFamily("reclab_mcp_delivering", "Deliveries waiting or run", waiting)
        text = "1 while nothing but probes goes there"
        family = GaugeMetricFamily("reclab_mcp_destination_open", text, labels=["destination"])
        for destination, is_open in stats.destinations.items():
            family.add_metric([destination], float(is_open))
        yield family

    def _items(self) -> Metric:
        family = GaugeMetricFamily(
            "reclab_mcp_spool_items", "Recordings by state", labels=["state"]
        )
        for state in (State.CAPTURING, State.RENDERING, State.READY, State.FAILED):
            family.add_metric([state.value], len(self._spool.items(state)))
        return family
