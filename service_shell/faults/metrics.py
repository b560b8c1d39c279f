"""The figures of faults on purpose, so that a dashboard tells them from real ones."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from service_shell.faults.switch import FaultSwitch


class FaultCollector(Collector):
    """Reads a service's switch; `service` is its name in metrics."""

    def __init__(self, switch: FaultSwitch, service: str) -> None:
        self._switch = switch
        self._prefix = f"reclab_{service}"

    def collect(self) -> Iterator[Metric]:
        """Yield how often faults struck, and whether any are in force."""
        struck = CounterMetricFamily(
            f"{self._prefix}_faults_struck", "Faults on purpose that struck", labels=["kind"]
        )
        for kind, count in self._switch.struck.items():
            struck.add_metric([kind], count)
        yield struck
        yield GaugeMetricFamily(
            f"{self._prefix}_fault_plan_in_force",
            "1 while a plan of faults on purpose is in force",
            float(self._switch.run is not None),
        )
