"""The law of arrows: who may import whom, read from the imports themselves.

`recording_format` and `service_shell` import no other room; the services never import each other;
inside `mcp_sim`, signalling and media do not know each other, and only `call` knows both.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SERVICES = ("mcp_sim", "webdav_store", "recording_processor", "crypto_server")
ROOMS = ("recording_format", "service_shell", *SERVICES, "reclab")
MAXIMUM_LINES = 400
NAMELESS = {"util", "utils", "helper", "helpers", "common", "manager", "base", "misc"}
PURE = ("recording_format/", "mcp_sim/recording/timeline/", "mcp_sim/recording/journal/frames.py")
IMPURE_MODULES = {"asyncio", "socket", "subprocess", "aiohttp", "select", "signal"}


def modules() -> list[Path]:
    return [p.relative_to(ROOT) for room in ROOMS for p in sorted((ROOT / room).rglob("*.py"))]


def imports(path: Path) -> Iterator[str]:
    """Yield the full dotted name of every module that `path` imports, relative ones resolved."""
    package = list(path.with_suffix("").parts[:-1])
    for node in ast.walk(ast.parse((ROOT / path).read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            start = package[: len(package) - node.level + 1] if node.level else []
            module = ".".join([*start, *([node.module] if node.module else [])])
            yield module
            yield from (f"{module}.{alias.name}" for alias in node.names)


def within(name: str, place: str) -> bool:
    return name == place or name.startswith(f"{place}.")


def allowed_rooms(room: str) -> set[str]:
    if room in ("recording_format", "service_shell"):
        return {room}
    if room == "reclab":
        return set(ROOMS)
    return {room, "recording_format", "service_shell"}


@pytest.mark.parametrize("path", modules(), ids=str)
def test_rooms_import_only_what_they_may(path: Path) -> None:
    """No room imports one that the law keeps from it."""
    allowed = allowed_rooms(path.parts[0])
    found = {n.partition(".")[0] for n in imports(path)} & set(ROOMS)
    assert found <= allowed


@pytest.mark.parametrize("path", modules(), ids=str)
def test_signalling_and_media_do_not_know_each_other(path: Path) -> None:
    """In `mcp_sim`: sip knows no rtp and no recording, media knows no sip, `call` joins them."""
    name = ".".join(path.with_suffix("").parts)
    used = set(imports(path))
    knows_sip = any(within(n, "mcp_sim.sip") for n in used)
    knows_media = any(within(n, p) for n in used for p in ("mcp_sim.rtp", "mcp_sim.recording"))
    if within(name, "mcp_sim.sip"):
        assert not knows_media
    if within(name, "mcp_sim.rtp"):
        assert not knows_sip
        assert not any(within(n, "mcp_sim.recording") for n in used)
    if within(name, "mcp_sim.recording"):
        assert not knows_sip


@pytest.mark.parametrize("path", modules(), ids=str)
def test_rooms_are_small_and_have_names(path: Path) -> None:
    """No file is above 400 lines, and none is called by what it is not."""
    lines = (ROOT / path).read_text(encoding="utf-8").count("\n")
    assert lines <= MAXIMUM_LINES
    assert path.stem not in NAMELESS


@pytest.mark.parametrize("path", [p for p in modules() if str(p).startswith(PURE)], ids=str)
def test_pure_rooms_stay_pure(path: Path) -> None:
    """What is pure by law imports no sockets, loops, threads or processes."""
    assert not {n.partition(".")[0] for n in imports(path)} & IMPURE_MODULES
