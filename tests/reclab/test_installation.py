"""What a plain installation brings is enough: no service needs a package of the tests."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from importlib.metadata import PackageNotFoundError, packages_distributions, requires
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parent.parent.parent
PACKAGES = (
    "crypto_server", "mcp_sim", "reclab", "recording_format", "recording_processor",
    "service_shell", "webdav_store",
)  # fmt: skip

_IMPORT_ALL = """
import importlib, pkgutil, sys
blocked, packages = (text.split(",") for text in sys.argv[1:])
sys.modules.update(dict.fromkeys(blocked))  # importing one of these is an ImportError
for name in packages:
    package = importlib.import_module(name)
    for module in pkgutil.walk_packages(package.__path__, name + "."):
        if not module.name.endswith(".__main__") and ".migrations" not in module.name:
            importlib.import_module(module.name)
"""


def installed_with_reclab() -> set[str]:
    """The distributions that `pip install .` brings, by following the requirements."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    waiting = [Requirement(text) for text in project["dependencies"]]
    found: set[tuple[str, str]] = set()
    while waiting:
        wanted = waiting.pop()
        name = canonicalize_name(wanted.name)
        for extra in {"", *wanted.extras}:
            if (name, extra) in found:
                continue
            found.add((name, extra))
            waiting += [
                needed
                for needed in map(Requirement, _requires(name))
                if needed.marker is None or needed.marker.evaluate({"extra": extra})
            ]
    return {name for name, _ in found}


def _requires(name: str) -> list[str]:
    try:
        return requires(name) or []
    except PackageNotFoundError:  # for another platform, or Python
        return []


def test_every_module_imports_with_the_dependencies_alone() -> None:
    """Blocking all other packages of this environment keeps no module from being imported."""
    there = installed_with_reclab() | {"reclab"}
    blocked = [
        module
        for module, owners in packages_distributions().items()
        if not there & {canonicalize_name(owner) for owner in owners}
    ]
    assert "pytest" in blocked
    command = [sys.executable, "-c", _IMPORT_ALL, ",".join(blocked), ",".join(PACKAGES)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-500:]
