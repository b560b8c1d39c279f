"""Scenario files are read strictly: each mistake is one sentence that says where it is."""

from __future__ import annotations

from pathlib import Path

import pytest

from mcp_sim.load.impairments import Impairments
from reclab.faults.scenario import FaultScenario, ScenarioFileError, read_scenario

WHOLE = """
title = "The store is down"
about = "It is refused, and comes back."
cause = "storage down"
seed = 7

[load]
calls = 20
hold = 10.0
signalling = "gir"
stagger = 0.5

[[faults]]
on = "store"
kind = "down"
begin = 1.0
end = 4.0

[[faults]]
on = "certificates"
kind = "ruined"
certificate = 2

[[steps]]
at = "before"
do = "set-option"
option = "recordingclient.type"
value = "fixed,audio/mp3"

[settings.mcp]
delivery = { first_retry = 0.5 }
node = "0a1b2c3d"

[settings.store.limits]
uploads = 2

[until]
tries = 2

[during]
waiting = "all"

[expect]
recorded = "all"
refused = 1
refusal = "limit"

[after]
calls = 5
hold = 9.0
"""
LEAST = """
title = "a"
about = "b"
[[faults]]
on = "store"
kind = "down"
[expect]
lost = 0
"""
MUTE_AGENT = """
[[faults]]
on = "rtp"
leg = "agent"
impairment = { loss = 0.1 }
[load]
signalling = "plain"
"""


def read(tmp_path: Path, text: str) -> FaultScenario:
    file = tmp_path / "one.toml"
    file.write_text(text)
    return read_scenario(file)


def test_everything_is_read(tmp_path: Path) -> None:
    """What a file says is what the scenario has: load, faults, steps, settings, expectations."""
    scenario = read(tmp_path, WHOLE)
    assert scenario.load.load(3, Impairments()).signalling == "gir"
    assert [fault.target for fault in scenario.plan.faults] == ["store", "certificates"]
    assert scenario.plan.seed == 7
    assert scenario.environment == {
        "RECLAB_MCP__DELIVERY__FIRST_RETRY": "0.5",
        "RECLAB_MCP__NODE": "0a1b2c3d",
        "RECLAB_STORE__LIMITS__UPLOADS": "2",
    }
    assert scenario.expect.keys == ("refused", "refusal", "recorded")
    assert scenario.during is not None
    assert scenario.during.keys == ("waiting",)


def test_short_form_has_few_short_calls(tmp_path: Path) -> None:
    """The short form has less load, in the calls afterwards too, and is else the same."""
    scenario = read(tmp_path, WHOLE)
    short = scenario.shortened()
    assert (short.load.calls, short.load.hold) == (4, 3.0)
    assert short.after is not None
    assert (short.after.calls, short.after.hold) == (4, 3.0)
    assert (short.faults, short.expect) == (scenario.faults, scenario.expect)


@pytest.mark.parametrize(
    ("before", "after", "sentence"),
    [
        ('title = "a"', "", "missing required field `title`"),
        ("lost = 0", "lots = 0", "unknown field `lots` - at `$.expect`"),
        ("lost = 0", "lost = -1", "`int` >= 0 - at `$.expect.lost`"),
        ("lost = 0", 'recorded = "most"', "'most' - at `$.expect.recorded`"),
        ("lost = 0", "", "`expect` names nothing: it could not fail"),
        ("lost = 0", 'lost = 0\nrefusal = "x"', "`refusal` needs `refused`"),
        ("lost = 0", 'lost = 0\nreason = "x"', "`reason` needs `recoverable`"),
        ("lost = 0", "lost = 0\n[during]", "`during` names nothing: it could not fail"),
        ('kind = "down"', 'kind = "dawn"', "'dawn' - at `$.faults[0].kind`"),
        ('on = "store"', 'on = "shop"', "'shop' - at `$.faults[0].on`"),
        ('kind = "down"', 'kind = "down"\nbegin = 3\nend = 2', "is not after its `begin`"),
        ('[[faults]]\non = "store"\nkind = "down"', "", "it breaks nothing"),
        ("lost = 0", "lost = 0\n[load]\nrate = 0", "rate must be above 0"),
        ("lost = 0", "lost = 0\n[load]\nhold = -1.0", "hold must be above 0"),
        ("lost = 0", 'lost = 0\n[[steps]]\ndo = "pray"', "'pray' - at `$.steps[0].do`"),
        ("lost = 0", "lost = 0\n[settings.shop]\na = 1", "'shop'"),
        ("lost = 0", 'lost = 0\n[settings.mcp]\n"no/name" = 1', "a name that no setting has"),
        ("lost = 0", "lost = 0\n[until]\ntries = 1000", "`int` <= 50"),
        ("lost = 0", "lost = 0\n[until]\ntries = 2\ndelivered = true", "not both"),
        (
            "[expect]",
            f"{MUTE_AGENT}[expect]",
            "has no agent",
        ),
        (
            "[expect]",
            '[[faults]]\non = "rtp"\nimpairment = { losses = 0.1 }\n[expect]',
            "unknown field `losses`",
        ),
        (
            "[expect]",
            '[[faults]]\non = "rtp"\nimpairment = { loss = 0.1 }\nend = 2.0\n[expect]',
            "lasts whole calls",
        ),
        ("[expect]", "[expect", "is no scenario"),
    ],
)
def test_mistakes_are_told(tmp_path: Path, before: str, after: str, sentence: str) -> None:
    """A mistake is refused by one sentence with the file, the place and what is wrong."""
    assert before in LEAST
    read(tmp_path, LEAST)
    with pytest.raises(ScenarioFileError) as refused:
        read(tmp_path, LEAST.replace(before, after))
    assert sentence in str(refused.value)
    assert "one.toml" in str(refused.value)
    assert "\n" not in str(refused.value)


def test_unreadable_files_are_told(tmp_path: Path) -> None:
    """A file that is not there, too long, or no text is one sentence, too."""
    with pytest.raises(ScenarioFileError, match="cannot be read: no such file"):
        read_scenario(tmp_path / "none.toml")
    with pytest.raises(ScenarioFileError, match="is above 65536 bytes"):
        read(tmp_path, LEAST + "#" * 65536)
    (tmp_path / "one.toml").write_bytes(b"title = \xff")
    with pytest.raises(ScenarioFileError, match="is no scenario"):
        read_scenario(tmp_path / "one.toml")
