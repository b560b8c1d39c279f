"""Recordings that were put aside are listed, whatever happens to them meanwhile."""

from __future__ import annotations

from pathlib import Path

from mcp_sim.put_aside import put_aside
from mcp_sim.recording.spool.folders import State
from mcp_sim.recording.spool.spool import Spool


class Busy(Spool):
    """A spool where a retry takes an item back while somebody lists them."""

    def items(self, state: State) -> list[str]:
        """Return what is there, and take one of it away at once."""
        found = super().items(state)
        if "gone" in found:
            self.take_back("gone", State.READY)
        return found


def test_one_that_is_taken_back_meanwhile_is_not_listed(tmp_path: Path) -> None:
    """The others are, and nobody is told that the spool cannot be read."""
    with Busy(tmp_path / "spool", wait=0) as spool:
        for item in ("gone", "stays"):
            spool.create(item)
            spool.fail(item, "because")
        assert [(one.item, one.reason) for one in put_aside(spool)] == [("stays", "because")]
