"""The documents say what the code does: settings, words and links."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import get_args, get_origin

import msgspec
import pytest

from crypto_server.settings import Settings as CryptoSettings
from mcp_sim.config import McpSettings
from recording_processor.settings import ProcessorSettings
from webdav_store.settings import StoreSettings

ROOT = Path(__file__).parent.parent
DOCUMENTS = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
_SHARED = ("accounts", "log")


def names_of(kind: type[msgspec.Struct], prefix: str = "") -> Iterator[str]:
    """The dotted names of all settings below a struct, as a TOML file spells them."""
    for field in msgspec.structs.fields(kind):
        name = f"{prefix}{field.encode_name}"
        if name in _SHARED:
            continue
        if isinstance(field.type, type) and issubclass(field.type, msgspec.Struct):
            yield from names_of(field.type, f"{name}.")
        elif get_origin(field.type) is list and issubclass(get_args(field.type)[0], msgspec.Struct):
            yield f"[[{name}]]"
        else:
            yield name


@pytest.mark.parametrize(
    ("section", "kind"),
    [
        ("The platform", McpSettings),
        ("The store", StoreSettings),
        ("The processor", ProcessorSettings),
        ("The crypto server", CryptoSettings),
    ],
)
def test_every_setting_is_documented(section: str, kind: type[msgspec.Struct]) -> None:
    """docs/settings.md names every setting of a service, and none that it does not have."""
    text = (ROOT / "docs" / "settings.md").read_text(encoding="utf-8")
    table = text.partition(f"## {section}")[2].partition("\n## ")[0]
    cells = [row.split("|")[1] for row in table.splitlines() if row.startswith("| `")]
    documented = {
        name.replace('"', "") for cell in cells for name in re.findall(r"`([^`]+)`", cell)
    }
    assert documented == set(names_of(kind))


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda p: p.name)
def test_links_lead_somewhere(document: Path) -> None:
    """Every relative link in a document leads to a file."""
    text = document.read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", text):
        assert (document.parent / target).exists(), target
