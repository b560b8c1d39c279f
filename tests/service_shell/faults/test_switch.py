"""The plan in force: put, added to, cleared and followed; and what the settings allow."""

from __future__ import annotations

from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry
from structlog.testing import capture_logs

from service_shell.faults import FaultPlan, FaultPlanError, FaultSwitch, PlanRun
from service_shell.faults.fault import PlatformFault, StoreFault
from service_shell.faults.metrics import FaultCollector
from service_shell.faults.settings import FaultSettings, open_switch
from service_shell.settings import SettingsError

DOWN = StoreFault(kind="down")


def test_followers_hear_of_each_change() -> None:
    """A follower gets the run in force, the same one after an addition, and None at the end."""
    switch = FaultSwitch("store", lambda: 5.0)
    heard: list[PlanRun | None] = []
    switch.follow(heard.append)
    assert heard == []
    switch.put(FaultPlan(faults=[DOWN]))
    switch.add(StoreFault(kind="full"))
    switch.clear()
    first, second, last = heard
    assert first is second
    assert last is None
    assert switch.run is None


def test_a_late_follower_hears_what_is_in_force() -> None:
    """Who follows after a plan was put learns of it at once."""
    switch = FaultSwitch("store")
    switch.put(FaultPlan(faults=[DOWN]))
    heard: list[PlanRun | None] = []
    switch.follow(heard.append)
    assert heard == [switch.run]


def test_a_plan_for_others_is_none() -> None:
    """A plan without faults of the service ends what was in force."""
    switch = FaultSwitch("mcp")
    switch.put(FaultPlan(faults=[PlatformFault(kind="crash")]))
    assert switch.run is not None
    switch.put(FaultPlan(faults=[DOWN]))
    assert switch.run is None


def test_an_added_fault_gets_a_free_name() -> None:
    """A fault without a name gets a number that no other has; a taken name is refused."""
    switch = FaultSwitch("store")
    assert switch.add(DOWN) == "store-1"
    assert switch.add(StoreFault(kind="full", name="store-3")) == "store-3"
    assert switch.add(DOWN) == "store-4"
    with pytest.raises(FaultPlanError, match="'store-3' already"):
        switch.add(StoreFault(kind="full", name="store-3"))


def test_an_added_fault_draws_as_in_a_plan_of_its_own() -> None:
    """What is added changes nothing for the draws of the others."""

    def drawn(*, with_addition: bool) -> list[bool]:
        switch = FaultSwitch("store", lambda: 0.0)
        switch.put(FaultPlan(seed=4, faults=[StoreFault(kind="down", probability=0.5)]))
        run = switch.run
        assert run is not None
        struck = []
        for number in range(60):
            if with_addition and number == 20:
                switch.add(StoreFault(kind="full", probability=0.5))
            found = run.strike(StoreFault, lambda fault: True, now=1.0)
            struck.append(any(fault.kind == "down" for fault in found))
        return struck

    assert drawn(with_addition=True) == drawn(with_addition=False)


def test_strikes_are_counted_over_all_plans() -> None:
    """The metric of struck faults never falls, whatever plans come and go."""
    switch = FaultSwitch("store")
    registry = CollectorRegistry()
    registry.register(FaultCollector(switch, "store"))
    for expected in (1, 2):
        switch.put(FaultPlan(faults=[DOWN]))
        assert switch.run is not None
        switch.run.strike(StoreFault, lambda fault: True, now=switch.clock())
        told = registry.get_sample_value("reclab_store_faults_struck_total", {"kind": "down"})
        assert told == expected
        assert registry.get_sample_value("reclab_store_fault_plan_in_force") == 1
    switch.clear()
    assert registry.get_sample_value("reclab_store_fault_plan_in_force") == 0


def test_faults_are_off_unless_enabled() -> None:
    """The usual settings give no switch; enabling them is a loud warning."""
    assert open_switch(FaultSettings(), "store") is None
    with capture_logs() as logs:
        switch = open_switch(FaultSettings(enabled=True), "store")
    assert switch is not None
    assert switch.run is None
    assert [entry["log_level"] for entry in logs] == ["warning"]


def test_a_file_is_in_force_from_the_start(tmp_path: Path) -> None:
    """The plan of the settings' file is in force; its faults of others are left out."""
    file = tmp_path / "plan.toml"
    file.write_text(
        '[[faults]]\non = "store"\nkind = "down"\n[[faults]]\non = "mcp"\nkind = "crash"'
    )
    switch = open_switch(FaultSettings(enabled=True, file=str(file)), "store")
    assert switch is not None
    assert switch.run is not None
    assert [fault.name for fault in switch.run.plan.faults] == ["store-1"]


@pytest.mark.parametrize(
    ("enabled", "text", "said"),
    [
        (False, "", "`faults.enabled` is false"),
        (True, "x = 1", "`x`"),
        (True, None, "no such file"),
    ],
)
def test_a_plan_that_would_not_be_used_is_refused(
    tmp_path: Path, enabled: bool, text: str | None, said: str
) -> None:
    """A file without `enabled`, a wrong file or none is one sentence at the start."""
    file = tmp_path / "plan.toml"
    if text is not None:
        file.write_text(text)
    with pytest.raises(SettingsError) as refused:
        open_switch(FaultSettings(enabled=enabled, file=str(file)), "store")
    assert said in str(refused.value)
