"""A circuit and the slots of destinations, by a clock that is an argument."""

from __future__ import annotations

import math

import pytest

from mcp_sim.recording.delivery.backoff import Backoff
from mcp_sim.recording.delivery.circuit import Circuit
from mcp_sim.recording.delivery.errors import (
    BrokenItemError,
    ConflictError,
    DeliveryError,
    DestinationError,
    NotNowError,
    RefusedError,
    SignInRefusedError,
)
from mcp_sim.recording.delivery.route import Route, origin_of
from mcp_sim.recording.delivery.traffic import CircuitRule, Stage, Traffic

PAUSE = Backoff(first=5, longest=30, jitter=0)
A, B = Route("http://a:1", "http://p:1"), Route("http://b:1", "http://p:1")
DOWN = DestinationError("down")


def an_open_circuit(now: float = 100.0) -> Circuit:
    circuit = Circuit(failures=1, pause=PAUSE)
    assert circuit.failed(now, probe=False)
    return circuit


def traffic(slots: int = 8, failures: int = 2) -> Traffic:
    return Traffic(slots, CircuitRule(failures, PAUSE))


def test_it_opens_after_failures_in_a_row() -> None:
    """A success in between begins the count anew."""
    circuit = Circuit(failures=3, pause=PAUSE)
    said = [circuit.failed(0, probe=False) for _ in range(2)]
    assert not circuit.succeeded()
    said += [circuit.failed(0, probe=False) for _ in range(3)]
    assert said == [False, False, False, False, True]
    assert (circuit.open, circuit.earliest(0)) == (True, 5)


def test_one_probe_at_a_time_and_pauses_that_grow() -> None:
    """5, 10, 20, at most 30 seconds; while a probe runs, nobody knows when the next may."""
    circuit, now, pauses = an_open_circuit(), 100.0, []
    for _ in range(5):
        pauses.append(circuit.earliest(now) - now)
        now = circuit.earliest(now)
        assert circuit.begin()
        assert circuit.earliest(now) == math.inf
        assert not circuit.failed(now, probe=True)
    assert pauses == [5, 10, 20, 30, 30]


def test_what_began_before_does_not_make_the_pause_longer() -> None:
    """Deliveries that were under way when it opened fail too, and say nothing new."""
    circuit = an_open_circuit()
    assert not circuit.failed(104, probe=False)
    assert circuit.earliest(104) == 105


def test_a_success_closes_it_and_forgets() -> None:
    """Also that of a delivery which had begun before."""
    circuit = an_open_circuit()
    assert circuit.succeeded()
    assert (circuit.open, circuit.idle, circuit.earliest(101)) == (False, True, 101)


def test_retry_after_makes_the_pause_longer() -> None:
    """The destination knows better when it will be back."""
    circuit = Circuit(failures=1, pause=PAUSE)
    circuit.failed(100, probe=False, retry_after=60)
    assert circuit.earliest(100) == 160


def test_a_clock_set_back_makes_no_pause_longer() -> None:
    """The end of the pause lies never further ahead than the pause is long."""
    assert an_open_circuit(1_000_000).earliest(100) == 105


def test_a_probe_that_came_elsewhere_lets_the_next_one_go() -> None:
    """A delivery that ended before it came to the destination has proved nothing."""
    circuit = an_open_circuit()
    circuit.begin()
    circuit.released()
    assert (circuit.open, circuit.earliest(105)) == (True, 105)


@pytest.mark.parametrize(
    ("error", "opens"),
    [
        (DestinationError("x"), True),
        (SignInRefusedError("x"), True),
        (NotNowError("x"), False),
        (ConflictError("x"), False),
        (RefusedError("x"), False),
        (BrokenItemError("x"), False),
    ],
)
def test_what_counts_as_the_destinations_failure(error: DeliveryError, opens: bool) -> None:
    """What is wrong with one item says nothing against the destination."""
    known = traffic(failures=1)
    known.end(known.begin(A, 0), 0, Stage.STORE, error)
    assert known.open == {"http://a:1": opens, "http://p:1": False}


def test_a_broken_item_does_not_close_an_open_circuit() -> None:
    """It proves nothing of the store that it never reached."""
    known = traffic(failures=1)
    known.end(known.begin(A, 0), 0, Stage.STORE, DOWN)
    known.end(known.begin(A, 5), 5, Stage.STORE, BrokenItemError("x"))
    assert known.open["http://a:1"]
    assert known.earliest(A, 5) == 5


def test_the_processor_is_blamed_for_its_own_failures() -> None:
    """Whoever comes as far as the processor has shown that the store works."""
    known = traffic(failures=1)
    known.end(known.begin(A, 0), 0, Stage.STORE, DOWN)
    assert known.end(known.begin(A, 5), 5, Stage.PROCESSOR, DOWN) == ["http://a:1"]
    assert known.open == {"http://a:1": False, "http://p:1": True}


def test_a_store_and_a_processor_behind_one_address_are_one() -> None:
    """Half of it does not work: what came through the other half does not close the circuit."""
    known, both = traffic(failures=2), Route("http://a:1", "http://a:1")
    for _ in range(2):
        assert known.end(known.begin(both, 0), 0, Stage.PROCESSOR, DOWN) == []
    assert known.open == {"http://a:1": True}
    assert known.end(known.begin(both, 5), 5, Stage.PROCESSOR, DOWN) == []
    assert known.earliest(both, 5) == 15
    assert known.end(known.begin(both, 15), 15, Stage.PROCESSOR, None) == ["http://a:1"]


def test_a_changed_password_makes_the_probe_due() -> None:
    """It does not close the circuit: one more failure costs one try, and the pause begins anew."""
    known = traffic(failures=1)
    known.end(known.begin(A, 0), 0, Stage.STORE, DOWN)
    known.probe_at_once("http://a:1")
    assert known.earliest(A, 1) == 1
    ticket = known.begin(A, 1)
    assert known.earliest(A, 1) == math.inf
    known.end(ticket, 1, Stage.STORE, DOWN)
    assert known.earliest(A, 1) == 6


def test_one_destination_alone_may_have_all_slots() -> None:
    """Half of them would be lost if there is nothing else to be brought."""
    known = traffic(slots=4)
    for _ in range(4):
        assert known.earliest(A, 0) == 0
        known.begin(A, 0)


def test_no_destination_has_more_than_half_beside_another() -> None:
    """The processor that both need has no such bound; the other store has its half."""
    known = traffic(slots=4)
    known.expect(B, 0)
    for route in (A, A, B, B):
        assert known.earliest(route, 0) == 0
        known.begin(route, 0)
    assert known.earliest(A, 0) == math.inf


def test_a_way_that_was_not_gone_for_long_is_forgotten() -> None:
    """Its destination leaves the metrics, and the others have all slots again."""
    known = traffic(slots=2)
    known.expect(B, 0)
    known.end(known.begin(A, 1000), 1000, Stage.PROCESSOR, None)
    assert set(known.open) == A.origins
    known.begin(A, 1000)
    assert known.earliest(A, 1000) == 1000


@pytest.mark.parametrize(
    ("url", "origin"),
    [
        ("http://Store/recordings/x", "http://store:80"),
        ("https://user:secret@store:8443/x", "https://store:8443"),
        ("https://[::1]/x", "https://[::1]:443"),
        ("ftp://x/y", ""),
        ("http://[::1", ""),
        ("http://x:99999/", ""),
        ("nonsense", ""),
    ],
)
def test_an_origin_is_scheme_host_and_port(url: str, origin: str) -> None:
    """Never a user or a password; what is no HTTP URL has none."""
    assert origin_of(url) == origin
