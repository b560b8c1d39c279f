"""Which deliveries may begin: none to a destination that is down, and none takes all the slots.

A destination may have half of the slots as long as deliveries that do without it are known: one
that accepts and never answers holds up its own recordings only.
"""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass, field
from enum import Enum

import structlog

from mcp_sim.recording.delivery.backoff import Backoff
from mcp_sim.recording.delivery.circuit import Circuit
from mcp_sim.recording.delivery.errors import DeliveryError
from mcp_sim.recording.delivery.route import Route

_log = structlog.get_logger()

_REMEMBERED_SECONDS = 600.0


class Stage(Enum):
    """The destination that a try had come to."""

    NONE = "none"
    STORE = "store"
    PROCESSOR = "processor"


@dataclass(frozen=True, slots=True)
class CircuitRule:
    """`failures` in a row open a circuit; `pause` is how long until the next probe."""

    failures: int = 5
    pause: Backoff = field(default_factory=lambda: Backoff(first=5.0, longest=30.0))


@dataclass(frozen=True, slots=True)
class Ticket:
    """A delivery that has begun: its route, and the origins that it is the probe of."""

    route: Route
    probes: frozenset[str]


class Traffic:
    """The circuits of all destinations, and who has how many of the slots."""

    def __init__(self, slots: int, rule: CircuitRule | None = None) -> None:
        self._slots = slots
        self._rule = rule or CircuitRule()
        self._circuits: dict[str, Circuit] = {}
        self._running: Counter[str] = Counter()
        self._seen: dict[Route, float] = {}

    @property
    def open(self) -> dict[str, bool]:
        """Each known destination, and whether its circuit is open."""
        return {origin: circuit.open for origin, circuit in self._circuits.items()}

    def expect(self, route: Route, now: float) -> None:
        """Say that there is something to be brought that way."""
        if route.origins:
            self._seen[route] = now
        for origin in route.origins:
            self._circuit(origin)

    def earliest(self, route: Route, now: float) -> float:
        """Return when a delivery may begin; infinity: not before another one has ended."""
        times = [now]
        for origin in route.origins:
            if self._running[origin] >= self._share(origin):
                return math.inf
            times.append(self._circuit(origin).earliest(now))
        return max(times)

    def begin(self, route: Route, now: float) -> Ticket:
        """Take a slot."""
        self.expect(route, now)
        self._running.update(route.origins)
        probes = frozenset(origin for origin in route.origins if self._circuit(origin).begin())
        return Ticket(route, probes)

    def end(
        self, ticket: Ticket, now: float, stage: Stage, error: DeliveryError | None
    ) -> list[str]:
        """Give the slot back; `error` was met at `stage`. Return the origins that were reopened
        for deliveries.
        """
        route = ticket.route
        self._running.subtract(route.origins)
        closed = []
        here = {Stage.STORE: route.store, Stage.PROCESSOR: route.processor}.get(stage, "")
        if stage is Stage.PROCESSOR and route.store != here:
            closed += self._succeeded(route.store)
        works = True if error is None else error.destination_works
        if works:
            closed += self._succeeded(here)
        elif here and error is not None and works is not None:
            self._failed(here, ticket, now, error)
        for origin in ticket.probes:
            self._circuit(origin).released()
        self._forget(now)
        return closed

    def probe_at_once(self, origin: str) -> None:
        """Let the next delivery to `origin` be its probe without waiting for the pause."""
        self._circuit(origin).probe_at_once()

    def _circuit(self, origin: str) -> Circuit:
        if origin not in self._circuits:
            self._circuits[origin] = Circuit(failures=self._rule.failures, pause=self._rule.pause)
        return self._circuits[origin]

    def _share(self, origin: str) -> int:
        alone = all(origin in route.origins for route in self._seen)
        return self._slots if alone else max(1, self._slots // 2)

    def _succeeded(self, origin: str) -> list[str]:
        if not origin or not self._circuit(origin).succeeded():
            return []
        _log.info("Deliveries to a destination were resumed", destination=origin)
        return [origin]

    def _failed(self, origin: str, ticket: Ticket, now: float, error: DeliveryError) -> None:
        circuit = self._circuit(origin)
        probe = origin in ticket.probes
        if circuit.failed(now, probe=probe, retry_after=error.retry_after):
            _log.warning(
                "Deliveries to a destination were stopped",
                destination=origin,
                reason=str(error),
                seconds=round(circuit.earliest(now) - now, 1),
            )

    def _forget(self, now: float) -> None:
        """Let go of ways that nothing went for a while, and of destinations that nothing needs."""
        self._seen = {
            route: at for route, at in self._seen.items() if abs(now - at) < _REMEMBERED_SECONDS
        }
        self._running += Counter()  # takes out what is zero
        known = {origin for route in self._seen for origin in route.origins}
        self._circuits = {
            origin: circuit
            for origin, circuit in self._circuits.items()
            if origin in known or not circuit.idle
        }
