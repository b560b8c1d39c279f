"""The transaction state machines, driven by a clock that is an argument."""

from __future__ import annotations

import pytest

from mcp_sim.sip.client_transaction import ClientTransaction, InviteClientTransaction
from mcp_sim.sip.message import SipResponse
from mcp_sim.sip.server_transaction import InviteServerTransaction, ServerTransaction
from mcp_sim.sip.transaction import Action, Failed, NeedsTrying, PassUp, Send, State, Timers
from tests.mcp_sim.sip.wire import message_text, parsed_request, parsed_response

TIMERS = Timers()
INVITE = parsed_request(message_text())
ACK = parsed_request(message_text("ACK sip:record@192.0.2.1 SIP/2.0"))
OPTIONS = parsed_request(message_text("OPTIONS sip:record@192.0.2.1 SIP/2.0"))

Machine = ClientTransaction | ServerTransaction


def response(code: int, method: str = "INVITE") -> SipResponse:
    return parsed_response(message_text(f"SIP/2.0 {code} X", method=method, to_tag="t"))


def state_of(machine: Machine) -> State:
    return machine.state  # a call, so that the type checker does not remember the last answer


def run(machine: Machine, until: float) -> list[tuple[float, Action]]:
    """Fire the machine whenever it wants, up to `until`; returns what it did and when."""
    done: list[tuple[float, Action]] = []
    while machine.deadline is not None and machine.deadline <= until:
        now = machine.deadline
        done += [(now, action) for action in machine.fire(now)]
    return done


def invite_client(*, reliable: bool = False) -> InviteClientTransaction:
    machine = InviteClientTransaction(
        b"INVITE", lambda answer: f"ACK {answer.code}".encode(), reliable=reliable, timers=TIMERS
    )
    assert machine.start(0.0) == [Send(b"INVITE")]
    return machine


def client(*, reliable: bool = False) -> ClientTransaction:
    machine = ClientTransaction(b"BYE", reliable=reliable, timers=TIMERS)
    assert machine.start(0.0) == [Send(b"BYE")]
    return machine


def invite_server(*, reliable: bool = False) -> InviteServerTransaction:
    return InviteServerTransaction(reliable=reliable, timers=TIMERS, now=0.0)


def server(*, reliable: bool = False) -> ServerTransaction:
    return ServerTransaction(reliable=reliable, timers=TIMERS, now=0.0)


def test_invite_is_repeated_with_doubled_waits_until_timer_b() -> None:
    """Without an answer an INVITE goes out at 0.5, 1.5, 3.5 … s and fails after 32 s."""
    machine = invite_client()
    done = run(machine, 100.0)
    sent = [at for at, action in done if action == Send(b"INVITE")]
    assert sent == [0.5, 1.5, 3.5, 7.5, 15.5, 31.5]
    assert done[-1] == (32.0, Failed("timeout"))
    assert state_of(machine) is State.TERMINATED


def test_request_is_repeated_with_waits_up_to_t2_until_timer_f() -> None:
    """Without an answer a BYE goes out with waits doubling to 4 s, and fails after 32 s."""
    machine = client()
    done = run(machine, 100.0)
    sent = [at for at, action in done if isinstance(action, Send)]
    assert sent == [0.5, 1.5, 3.5, 7.5, 11.5, 15.5, 19.5, 23.5, 27.5, 31.5]
    assert done[-1] == (32.0, Failed("timeout"))


@pytest.mark.parametrize("make", [invite_client, client])
def test_nothing_is_repeated_over_a_reliable_transport(
    make: type[InviteClientTransaction] | type[ClientTransaction],
) -> None:
    """TCP repeats lost bytes itself; only the time-out stays."""
    machine = make(reliable=True)  # type: ignore[call-arg]  # both makers take `reliable` only
    assert run(machine, 100.0) == [(32.0, Failed("timeout"))]


def test_provisional_response_stops_the_repeats_of_an_invite() -> None:
    """After a 1xx the INVITE is not repeated, and ringing is bounded like timer C."""
    machine = invite_client()
    ringing = response(180)
    assert machine.receive(ringing, 0.3) == [PassUp(ringing)]
    assert run(machine, 180.0) == []
    assert machine.receive(ringing, 180.0) == [PassUp(ringing)]
    assert run(machine, 500.0) == [(365.0, Failed("timeout"))]


def test_provisional_response_slows_the_repeats_of_a_request() -> None:
    """After a 1xx a non-INVITE request is repeated every T2."""
    machine = client()
    machine.receive(response(100, "BYE"), 0.1)
    sent = [at for at, action in run(machine, 9.0) if isinstance(action, Send)]
    assert sent == [0.5, 4.5, 8.5]


def test_refused_invite_is_acknowledged_each_time() -> None:
    """A final response of 300 or above is passed up once and acknowledged whenever it comes."""
    machine = invite_client()
    busy = response(486)
    assert machine.receive(busy, 1.0) == [Send(b"ACK 486"), PassUp(busy)]
    assert machine.receive(busy, 2.0) == [Send(b"ACK 486")]
    assert machine.receive(response(200), 2.0) == []
    assert run(machine, 100.0) == []
    assert state_of(machine) is State.TERMINATED
    assert machine.receive(busy, 101.0) == []


def test_accepted_invite_passes_every_2xx_until_timer_m() -> None:
    """Repeated and forked 2xx reach the user for 64*T1 after the first (RFC 6026 §7.2)."""
    machine = invite_client()
    accepted = response(200)
    assert machine.receive(accepted, 1.0) == [PassUp(accepted)]
    assert machine.receive(accepted, 32.9) == [PassUp(accepted)]
    assert machine.receive(response(486), 32.9) == []
    assert machine.fail() == []
    assert run(machine, 100.0) == []
    assert machine.receive(accepted, 101.0) == []


def test_final_response_is_passed_once_and_repeats_are_absorbed() -> None:
    """A non-INVITE client transaction absorbs repeats for T4 over UDP, not at all over TCP."""
    machine = client()
    final = response(200, "BYE")
    assert machine.receive(final, 1.0) == [PassUp(final)]
    assert machine.receive(final, 2.0) == []
    assert machine.deadline == 6.0
    reliable = client(reliable=True)
    reliable.receive(final, 1.0)
    assert reliable.deadline == 1.0


@pytest.mark.parametrize("make", [invite_client, client])
def test_transport_failure_is_told_once(
    make: type[InviteClientTransaction] | type[ClientTransaction],
) -> None:
    """A failed send ends a client transaction at once (RFC 3261 §17.1.4)."""
    machine = make()  # type: ignore[call-arg]  # both makers need nothing
    assert machine.fail() == [Failed("transport")]
    assert machine.fail() == []
    assert machine.deadline is None


def test_cancelled_invite_waits_64_t1() -> None:
    """After CANCEL the final response is awaited for 64*T1, not for the whole ringing time."""
    machine = invite_client()
    machine.receive(response(180), 1.0)
    machine.abandon(10.0)
    assert run(machine, 500.0) == [(42.0, Failed("timeout"))]


def test_trying_is_asked_for_when_the_user_is_slow() -> None:
    """An INVITE that is not answered within 200 ms asks for a 100, once."""
    machine = invite_server()
    assert run(machine, 100.0) == [(0.2, NeedsTrying())]
    assert machine.respond(100, b"100", 0.2) == [Send(b"100")]
    assert machine.receive(INVITE, 1.0) == [Send(b"100")]
    assert machine.deadline is None


def test_refusal_is_repeated_until_its_ack() -> None:
    """A 4xx to an INVITE goes out with waits doubling to T2 until the ACK, then rests T4."""
    machine = invite_server()
    assert machine.respond(486, b"486", 1.0) == [Send(b"486")]
    assert [at for at, _ in run(machine, 10.0)] == [1.5, 2.5, 4.5, 8.5]
    assert machine.receive(INVITE, 10.0) == [Send(b"486")]
    assert machine.receive(ACK, 10.5) == []
    assert state_of(machine) is State.CONFIRMED
    assert machine.receive(INVITE, 11.0) == []
    assert run(machine, 100.0) == []
    assert state_of(machine) is State.TERMINATED


def test_refusal_without_ack_is_told() -> None:
    """When no ACK comes in 64*T1 the user learns it (timer H)."""
    machine = invite_server(reliable=True)
    machine.respond(486, b"486", 1.0)
    assert run(machine, 100.0) == [(33.0, Failed("timeout"))]


def test_accepted_server_transaction_leaves_2xx_to_the_user() -> None:
    """After a 2xx, repeats of the INVITE are absorbed and 2xx and ACK pass (RFC 6026 §7.1)."""
    machine = invite_server()
    assert machine.respond(200, b"200", 1.0) == [Send(b"200")]
    assert machine.receive(INVITE, 2.0) == []
    assert machine.respond(200, b"200", 2.0) == [Send(b"200")]
    assert machine.respond(486, b"486", 2.0) == []
    assert machine.receive(ACK, 3.0) == [PassUp(ACK)]
    assert run(machine, 32.9) == []
    assert state_of(machine) is State.ACCEPTED
    assert run(machine, 33.0) == []
    assert state_of(machine) is State.TERMINATED


def test_answer_to_a_request_is_repeated_on_demand() -> None:
    """A repeated non-INVITE request gets the same answer for 64*T1, and no second one."""
    machine = server()
    assert machine.receive(OPTIONS, 0.1) == []
    assert machine.respond(200, b"200", 1.0) == [Send(b"200")]
    assert machine.respond(500, b"500", 1.0) == []
    assert machine.receive(OPTIONS, 30.0) == [Send(b"200")]
    assert machine.deadline == 33.0
    assert run(machine, 33.0) == []
    assert machine.receive(OPTIONS, 34.0) == []


def test_request_nobody_answers_is_forgotten() -> None:
    """A request that its user never answers does not stay for ever."""
    machine = server()
    assert run(machine, 32.0) == []
    assert state_of(machine) is State.TERMINATED
    assert machine.answered
