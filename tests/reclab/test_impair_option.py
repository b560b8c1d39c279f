"""``--impair``: words and files become impairments, and bad input one sentence."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from mcp_sim.load.impairments import Impairments
from mcp_sim.rtp.impairment import Impairment
from reclab.commands import app
from reclab.impair_option import read_impairments
from service_shell.settings import SettingsError


def test_words_are_fields_of_a_leg() -> None:
    """A leg in front, else both; short names; what comes later is added field by field."""
    said = read_impairments(["loss=.01", "customer:jitter=30, drift=-50", "agent:loss=0.5"])
    assert said == Impairments(
        customer=Impairment(loss=0.01, jitter_ms=30, drift_ppm=-50), agent=Impairment(loss=0.5)
    )
    assert read_impairments(["agent:one_way"]) == Impairments(agent=Impairment(one_way=True))
    assert read_impairments([]) == Impairments()


def test_a_file_has_fields_for_both_and_tables_for_each(tmp_path: Path) -> None:
    """Fields at the top are for both legs, the tables' are over them."""
    file = tmp_path / "bad-line.toml"
    file.write_text("loss = 0.01\n[agent]\ntalk = 2\nsilence = 1.5\n[both]\nreorder = 0.1\n")
    said = read_impairments([str(file), "customer:loss=0.2"])
    assert said.customer == Impairment(loss=0.2, reorder=0.1)
    assert said.agent == Impairment(loss=0.01, reorder=0.1, talk=2, silence=1.5)


@pytest.mark.parametrize(
    ("option", "sentence"),
    [
        ("loss=2", "--impair customer: loss must be between 0 and 1, not 2"),
        ("agent:loss=much", "--impair agent: loss cannot be 'much'"),
        ("agent:burst_length=2.5", "--impair agent: burst_length cannot be 2.5"),
        ("agent:one_way=3", "--impair agent: one_way cannot be 3"),
        ("caller:loss=1", "the leg is customer, agent or both, not 'caller'"),
        ("lost=0.1", "--impair lost=0.1: there is no 'lost'; there are loss, burst_loss"),
        ("loss", "--impair loss: loss needs a value, as in loss="),
        ("talk=2", "talk and silence are needed together"),
        ("nowhere.toml", "--impair nowhere.toml cannot be read: No such file"),
    ],
)
def test_what_cannot_be_understood_is_one_sentence(option: str, sentence: str) -> None:
    """The sentence names the option, the leg and the field."""
    with pytest.raises(SettingsError) as refused:
        read_impairments([option])
    assert sentence in str(refused.value)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("loss = ", "is not TOML"),
        ("", "names nothing that shall go wrong"),
        ("agent = 5", "agent has to be a table"),
        ("[agent]\nlost = 1", "there is no 'lost'"),
        ('[agent]\nloss = "a"', "--impair agent: loss cannot be 'a'"),
    ],
)
def test_a_bad_file_is_one_sentence(tmp_path: Path, text: str, sentence: str) -> None:
    """So is what a file says."""
    file = tmp_path / "x.toml"
    file.write_text(text)
    with pytest.raises(SettingsError) as refused:
        read_impairments([str(file)])
    assert sentence in str(refused.value)


def test_a_plain_call_has_no_agent_to_impair() -> None:
    """The command refuses with 2 before it asks the network for anything."""
    done = CliRunner().invoke(
        app, ["load", "--target", "127.0.0.1:9", "--signalling", "plain", "--impair", "loss=0.1"]
    )
    assert isinstance(done.exception, SettingsError)
    assert "a call of --signalling plain has no agent" in str(done.exception)
