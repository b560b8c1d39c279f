"""Random calls in virtual time: whatever is done and lost, both sides come to rest and agree."""

from __future__ import annotations

import contextlib
from collections.abc import Callable

from hypothesis import given, settings
from hypothesis import strategies as st

from mcp_sim.sip.errors import CallBusy, CallGone
from mcp_sim.sip.placing import Placement
from mcp_sim.sip.session import Session
from tests.mcp_sim.sip.simulated import Network, Node, place

ACTIONS = (
    "accept",
    "refuse",
    "ring",
    "cancel",
    "bye a",
    "bye b",
    "reinvite a",
    "reinvite b",
    "update a",
    "info b",
    "serve a",
    "serve b",
)


class Story:
    """One call between two nodes, told by random actions."""

    def __init__(self) -> None:
        self.a, self.b = Node("192.0.2.1"), Node("192.0.2.2")
        self.network = Network(self.a, self.b)
        self.placement: Placement = place(self.network, self.a, self.b)
        self.asked = 0

    def sessions(self, node: Node) -> list[Session]:
        if node is self.b:
            return [session for session, _ in node.calls]
        return [outcome[0] for outcome in node.placed if isinstance(outcome, tuple)]

    def act(self, action: str) -> None:
        """Do one thing; what is not possible now is refused by name."""
        name, _, side = action.partition(" ")
        node = self.a if side == "a" else self.b
        steps: dict[str, Callable[[], None]] = {
            "accept": lambda: self.answer(200),
            "refuse": lambda: self.answer(486),
            "ring": lambda: self.calls_b(lambda s: s.provisional(180, self.network.now)),
            "cancel": lambda: self.placement.cancel(self.network.now),
            "serve": lambda: self.serve(node),
            "bye": lambda: self.ask(node, "BYE"),
        }
        with contextlib.suppress(CallGone, CallBusy):
            steps.get(
                name, lambda: self.ask(node, {"reinvite": "INVITE"}.get(name, name.upper()))
            )()
        self.network.settle()

    def calls_b(self, step: Callable[[Session], None]) -> None:
        for session, _ in self.b.calls:
            step(session)

    def answer(self, code: int) -> None:
        for session, incoming in self.b.calls:
            session.answer(incoming, code, self.network.now, body=b"x")

    def serve(self, node: Node) -> None:
        """Answer the requests that wait."""
        waiting, node.requests = node.requests, []
        for incoming in waiting:
            for session in self.sessions(node):
                with contextlib.suppress(CallGone):
                    session.answer(incoming, 200, self.network.now, body=b"y")

    def ask(self, node: Node, method: str) -> None:
        for session in self.sessions(node):
            if method == "BYE":
                session.bye(self.network.now, node.done)
            else:
                session.request(method, self.network.now, node.done, body=b"z")
            self.asked += 1


@settings(max_examples=150, deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from(ACTIONS), st.sampled_from([0.0, 0.1, 0.6, 5.0, 40.0])),
        max_size=14,
    ),
    st.lists(st.booleans(), max_size=40),
)
def test_every_call_comes_to_rest(steps: list[tuple[str, float]], losses: list[bool]) -> None:
    """After any story, with any losses, nothing is left over and every question has its outcome."""
    story = Story()
    network = story.network
    pending = iter(losses)
    network.lose = lambda data: next(pending, False)
    for action, later in steps:
        story.act(action)
        network.run(network.now + later)
    for action in ("serve a", "serve b", "bye a", "bye b"):
        story.act(action)
        network.run(network.now + 100.0)
    network.run(network.now + 400.0)
    for node in (story.a, story.b):
        assert node.core.open_transactions == 0
        assert node.core.open_calls == 0
        assert node.core.next_deadline() is None
        assert len(node.ended) <= 1
    assert len(story.a.outcomes) + len(story.b.outcomes) == story.asked
    assert len(story.a.placed) == 1
