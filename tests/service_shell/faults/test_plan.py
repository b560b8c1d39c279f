"""A fault plan is read strictly, and one run of it depends on its seed only."""

from __future__ import annotations

from pathlib import Path

import pytest

from service_shell.faults import FaultPlan, FaultPlanError, PlanRun, read_plan
from service_shell.faults.fault import ProcessorFault, StoreFault
from service_shell.faults.plan import decode_plan

_PLAN = """
seed = 7
[[faults]]
on = "store"
kind = "status"
match = "PUT /recordings/*"
probability = 0.3
[[faults]]
on = "mcp"
kind = "crash"
begin = 3.0
[[faults]]
on = "rtp"
leg = "agent"
impairment = {loss = 0.01}
"""


def _struck(plan: FaultPlan, operations: int = 200) -> list[bool]:
    run = PlanRun(plan, "store", began=0.0)
    return [bool(run.strike(StoreFault, lambda fault: True, now=1.0)) for _ in range(operations)]


def _store(**fields: object) -> StoreFault:
    return StoreFault(kind="down", **fields)  # type: ignore[arg-type]  # a test's shorthand


def test_a_file_holds_faults_of_a_whole_lab(tmp_path: Path) -> None:
    """Each service takes its own faults of one plan, under the names that they have in it."""
    file = tmp_path / "plan.toml"
    file.write_text(_PLAN)
    plan = read_plan(file)
    assert [fault.target for fault in plan.faults] == ["store", "mcp", "rtp"]
    assert [fault.name for fault in plan.only("mcp", "rtp").faults] == ["mcp-2", "rtp-3"]


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"{", "truncated"),
        (b'{"faults":[{"on":"store","kind":"rain"}]}', "'rain'"),
        (b'{"faults":[{"on":"roof","kind":"down"}]}', "'roof'"),
        (b'{"faults":[{"on":"mcp","kind":"crash","status":500}]}', "`status`"),
        (b'{"faults":[{"on":"mcp","kind":"crash","begin":5,"end":3}]}', "not after its `begin`"),
        (b'{"faults":[{"on":"store","kind":"down","probability":2}]}', "probability"),
        (b'{"faults":[{"on":"store","kind":"down","match":"nonsense"}]}', "match"),
        (
            (
                b'{"faults":[{"on":"store","kind":"down","name":"a"},'
                b'{"on":"crypto","kind":"down","name":"a"}]}'
            ),
            "two faults are named 'a'",
        ),
    ],
)
def test_a_wrong_plan_is_refused_with_its_place(body: bytes, said: str) -> None:
    """One sentence names what is wrong in the plan."""
    with pytest.raises(FaultPlanError) as refused:
        decode_plan(body)
    assert said in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_missing_file_is_one_sentence(tmp_path: Path) -> None:
    """A plan that is not there is named."""
    with pytest.raises(FaultPlanError, match="no such file"):
        read_plan(tmp_path / "none.toml")


def test_the_same_seed_strikes_the_same_operations() -> None:
    """Two runs of one plan strike alike, another seed strikes others, about as many as asked."""
    one = FaultPlan(seed=1, faults=[_store(probability=0.3)])
    other = FaultPlan(seed=2, faults=[_store(probability=0.3)])
    assert _struck(one) == _struck(one)
    assert _struck(one) != _struck(other)
    assert 40 <= sum(_struck(one)) <= 80


def test_skip_times_begin_and_end_bound_a_fault() -> None:
    """The first ones are left alone, no more than `times` are struck, and only within the span."""
    plan = FaultPlan(faults=[_store(skip=2, times=3, begin=10.0, end=20.0)])
    run = PlanRun(plan, "store", began=100.0)

    def strikes(now: float) -> bool:
        return bool(run.strike(StoreFault, lambda fault: True, now=now))

    assert not strikes(105.0)
    assert [strikes(110.0) for _ in range(7)] == [False, False, True, True, True, False, False]
    assert not strikes(120.0)
    count = run.counts["store-1"]
    assert (count.seen, count.struck) == (7, 3)


def test_only_fitting_faults_of_the_service_draw() -> None:
    """Faults of other services, and those that do not fit the operation, count nothing."""
    plan = FaultPlan(
        faults=[_store(match="PUT /*"), ProcessorFault(kind="down"), _store(match="GET /*")]
    )
    run = PlanRun(plan, "store", began=0.0)
    struck = run.strike(StoreFault, lambda fault: fault.match.startswith("GET"), now=0.0)
    assert [fault.name for fault in struck] == ["store-3"]
    assert run.counts["store-1"].seen == 0


def test_further_draws_change_nothing_for_the_next_operation() -> None:
    """How much a fault draws for its jitter does not move which operations it strikes."""
    plan = FaultPlan(seed=3, faults=[_store(probability=0.5)])
    run = PlanRun(plan, "store", began=0.0)
    struck = []
    for _ in range(200):
        found = run.strike(StoreFault, lambda fault: True, now=1.0)
        struck.append(bool(found))
        for fault in found:
            assert 0 <= run.draw(fault) < 1
    assert struck == _struck(plan)
