"""The node's names: no two starts and no two nodes ever give one media id twice."""

from __future__ import annotations

from pathlib import Path

import pytest

from mcp_sim.node import Node
from service_shell.settings import SettingsError


def test_each_start_is_another_boot(tmp_path: Path) -> None:
    """The id stays, the boot counter rises, segments begin anew."""
    first, second = Node(tmp_path), Node(tmp_path)
    assert first.id == second.id
    assert (first.boot, second.boot) == (1, 2)
    serials = [str(node.next_serial()) for node in (first, first, second)]
    assert serials == [
        f"-{first.id}-00000001-00000001",
        f"-{first.id}-00000001-00000002",
        f"-{first.id}-00000002-00000001",
    ]


def test_nodes_have_ids_of_their_own(tmp_path: Path) -> None:
    """Two spools make two ids; a setting names one."""
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    assert Node(tmp_path / "a").id != Node(tmp_path / "b").id
    assert Node(tmp_path / "a", node="0a1b2c3d").id == "0a1b2c3d"
    assert Node(tmp_path / "a").id == "0a1b2c3d"


@pytest.mark.parametrize("node", ["0A1B2C3D", "0a1b", "0a1b2c3d4", "../../x"])
def test_id_that_is_none(tmp_path: Path, node: str) -> None:
    """Only 8 hex digits in lower case are an id."""
    with pytest.raises(SettingsError, match="`node`"):
        Node(tmp_path, node=node)


@pytest.mark.parametrize(
    "text", ["", "{", '{"node":"x","boot":1}', '{"node":"0a1b2c3d","boot":-1}', '{"boot":1}']
)
def test_damaged_state_is_not_guessed(tmp_path: Path, text: str) -> None:
    """A counter that cannot be read stops the start, and says what to do."""
    (tmp_path / "node.json").write_text(text)
    with pytest.raises(SettingsError, match=r"node\.json is damaged: remove it and set a new"):
        Node(tmp_path)
    assert (tmp_path / "node.json").read_text() == text


def test_folder_that_takes_nothing(tmp_path: Path) -> None:
    """A state that cannot be kept stops the start in one sentence."""
    with pytest.raises(SettingsError, match="cannot be written"):
        Node(tmp_path / "nowhere")
