"""A network of pure user agents in virtual time: no sockets, no sleeps, losses by decision."""

from __future__ import annotations

import itertools
from collections.abc import Callable

from mcp_sim.sip.asking import Outcome
from mcp_sim.sip.events import Event, RequestArrived
from mcp_sim.sip.hop import Hop, Route, TransportName
from mcp_sim.sip.identity import AgentIdentity
from mcp_sim.sip.message import SipRequest, SipResponse, parse_message
from mcp_sim.sip.placing import Placement, PlacementOutcome
from mcp_sim.sip.session import Session
from mcp_sim.sip.transaction import Timers
from mcp_sim.sip.transactions import Incoming
from mcp_sim.sip.user_agent import UserAgent

Lose = Callable[[bytes], bool]


class Node:
    """One user agent with an address, and what its application has seen."""

    def __init__(self, host: str, transport: TransportName = "udp") -> None:
        tokens = itertools.count(1)
        self.host = host
        self.here = Hop(transport, host, 5060)
        self.core = UserAgent(
            AgentIdentity(
                user_agent="simulated",
                port=5060,
                local_host=lambda peer: host,
                token=lambda: f"{host[-1]}-{next(tokens)}",
            ),
            timers=Timers(),
        )
        self.calls: list[tuple[Session, Incoming]] = []
        self.events: list[tuple[float, Event]] = []
        self.requests: list[Incoming] = []
        self.placed: list[PlacementOutcome] = []
        self.outcomes: list[Outcome] = []

    def done(self, outcome: Outcome, now: float) -> None:
        """Where requests of this node's sessions tell their outcome."""
        self.outcomes.append(outcome)

    @property
    def ended(self) -> list[str]:
        """How this node's calls ended, in order."""
        return [event.by for _, event in self.events if hasattr(event, "by")]


class Network:
    """Nodes in one virtual time; `lose` decides about each message by its bytes."""

    def __init__(self, *nodes: Node) -> None:
        self.now = 0.0
        self.nodes = {node.host: node for node in nodes}
        self.lose: Lose = lambda data: False
        self.sent: list[tuple[float, str, SipRequest | SipResponse]] = []

    def settle(self) -> None:
        """Deliver everything that wants to go now, until nobody has more to say."""
        busy = True
        while busy:
            busy = False
            for node in self.nodes.values():
                self._collect(node)
                for transmit in node.core.take_transmits():
                    busy = True
                    self._deliver(node, transmit.route, transmit.data)
                self._collect(node)

    def _deliver(self, sender: Node, route: Route, data: bytes) -> None:
        message = parse_message(data, sender.here)
        self.sent.append((self.now, sender.host, message))
        target = self.nodes.get(route.hop.host)
        if target is not None and not self.lose(data):
            target.core.receive(data, sender.here, self.now)

    def _collect(self, node: Node) -> None:
        node.calls += node.core.take_calls()
        for _, event in node.core.take_events():
            node.events.append((self.now, event))
            if isinstance(event, RequestArrived):
                node.requests.append(event.incoming)
        node.core.take_ended()

    def run(self, until: float) -> None:
        """Let virtual time pass, with everybody's timers."""
        self.settle()
        while True:
            deadlines = [node.core.next_deadline() for node in self.nodes.values()]
            due = min((at for at in deadlines if at is not None), default=None)
            if due is None or due > until:
                break
            self.now = max(self.now, due)
            for node in self.nodes.values():
                node.core.fire(self.now)
            self.settle()
        self.now = until

    def lines(self, host: str = "") -> list[str]:
        """What was sent (by one host): methods and status codes, in order."""
        return [
            message.method if isinstance(message, SipRequest) else f"{message.code}"
            for _, sender, message in self.sent
            if host in ("", sender)
        ]

    def times(self, host: str, line: str) -> list[float]:
        """When `host` sent messages of that method or code."""
        return [
            at
            for at, sender, message in self.sent
            if sender == host
            and line == (message.method if isinstance(message, SipRequest) else f"{message.code}")
        ]


def place(network: Network, caller: Node, callee: Node, body: bytes = b"offer") -> Placement:
    """Place a call; the outcome comes to `caller.placed`."""
    route = Route(Hop(caller.here.transport, callee.host, 5060))
    placement = caller.core.place(
        route,
        network.now,
        lambda outcome, now: caller.placed.append(outcome),
        uri=f"sip:record@{callee.host}",
        caller=f"<sip:alice@{caller.host}>",
        callee=f"<sip:record@{callee.host}>",
        call_id="call-1",
        headers=[("Content-Type", "application/sdp")],
        body=body,
    )
    network.settle()
    return placement


def establish(network: Network, caller: Node, callee: Node) -> tuple[Session, Session]:
    """A confirmed call between two nodes: the caller's session and the callee's."""
    place(network, caller, callee)
    session, incoming = callee.calls[-1]
    session.answer(incoming, 200, network.now, body=b"answer")
    network.settle()
    outcome = caller.placed[-1]
    assert isinstance(outcome, tuple)
    network.sent.clear()
    callee.events.clear()
    return outcome[0], session
