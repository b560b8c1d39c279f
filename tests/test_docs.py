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
from reclab.doors import USUAL_ADDRESSES
from reclab.preparation import LabFolder, RecordingOptions, prepare
from recording_processor.settings import ProcessorSettings
from webdav_store.settings import StoreSettings

ROOT = Path(__file__).parent.parent
DOCUMENTS = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
_SHARED = ("accounts", "log")
_ROLES = {"mcp", "operator", "admin", "listener", "processor", "crypto", "faults"}
# Of a prepared lab: what is no secret.
_OPEN_FILES = {"certificates", "lock"}


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


def test_threat_model_names_every_role() -> None:
    """THREAT_MODEL.md has a row for each role that the code asks for, and no other."""
    asked: set[str] = set()
    packages = ("crypto_server", "mcp_sim", "recording_processor", "service_shell", "webdav_store")
    for package in packages:
        for source in (ROOT / package).rglob("*.py"):
            text = source.read_text(encoding="utf-8")
            for call in re.findall(r"(?:require_role\(request, |_[A-Z]+ = \()([^)]*)\)", text):
                asked |= set(re.findall(r'"([a-z]+)"', call)) & _ROLES
    text = (ROOT / "THREAT_MODEL.md").read_text(encoding="utf-8")
    table = text.partition("## Passwords and roles")[2].partition("\n## ")[0]
    assert asked <= set(re.findall(r"^\| `([a-z]+)` \|", table, re.MULTILINE)) == _ROLES


def test_threat_model_names_every_secret_file(tmp_path: Path) -> None:
    """Each private file that a lab is prepared with stands in THREAT_MODEL.md."""
    prepare(LabFolder(tmp_path / "lab"), USUAL_ADDRESSES, RecordingOptions())
    text = (ROOT / "THREAT_MODEL.md").read_text(encoding="utf-8")
    told = {name for names in re.findall(r"`([^`]+)`", text) for name in names.split()}
    folder = tmp_path / "lab"
    for file in folder.rglob("*"):
        if file.is_file() and file.suffix not in (".lock", ".pem"):
            name = file.relative_to(folder)
            known = (str(name), f"{name.parts[0]}/", f"{name.parts[0]}/*{name.suffix}")
            assert told & set(known) or name.parts[0] in _OPEN_FILES, name
