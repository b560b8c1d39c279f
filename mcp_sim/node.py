"""The names that this node gives: its id, how often it booted, and the next segment number.

Node id and boot counter lie beside the spool, durably, so that no two nodes and no two starts ever
give one media id to two files.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

import msgspec

from mcp_sim.recording.spool.durable import write_file
from recording_format.names import MediaSerial
from service_shell.settings import SettingsError

_NODE = re.compile(r"[0-9a-f]{8}")
_FILE = "node.json"


class _State(msgspec.Struct, frozen=True):
    node: str
    boot: int


class Node:
    """This node, booted once more. Raises `SettingsError` when its state cannot be kept."""

    def __init__(self, folder: Path, *, node: str = "") -> None:
        if node and not _NODE.fullmatch(node):
            raise SettingsError(f"`node`: {node!r} is not 8 hex digits in lower case")
        path = folder / _FILE
        try:
            known = _read(path)
            self.id = node or (known.node if known else os.urandom(4).hex())
            self.boot = 1 + (known.boot if known else 0)
            write_file(path, msgspec.json.encode(_State(self.id, self.boot)))
        except OSError as error:
            raise SettingsError(f"{path} cannot be written ({error.strerror})") from None
        self._segment = 0

    def next_serial(self) -> MediaSerial:
        """Return the serial of the next media file of this boot."""
        self._segment += 1
        return MediaSerial(self.id, f"{self.boot & 0xFFFFFFFF:08x}", self._segment)


def _read(path: Path) -> _State | None:
    try:
        state = msgspec.json.decode(path.read_bytes(), type=_State)
        if not _NODE.fullmatch(state.node) or state.boot < 0:
            raise ValueError
        return state
    except FileNotFoundError:
        return None
    except ValueError:
        # Guessing a boot counter could give one media id to two files.
        raise SettingsError(f"{path} is damaged: remove it and set a new `node` id") from None
