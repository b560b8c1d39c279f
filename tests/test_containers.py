"""The containers: what docker-compose.yml says fits what the product does.

Where a Docker engine runs, the whole composition is started and its load is verified.
"""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
import tomllib
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml

from reclab.preparation import Addresses, LabFolder, RecordingOptions, describe, prepare

ROOT = Path(__file__).parent.parent
COMPOSE = ROOT / "docker-compose.yml"
SERVICES = ("store", "processor", "crypto", "mcp")


@pytest.fixture(scope="module")
def services() -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load(COMPOSE.read_text(encoding="utf-8"))
    found: dict[str, Any] = content["services"]
    return found


def prepared_addresses(services: dict[str, Any]) -> Addresses:
    """The addresses that the one-shot `prepare` service is given."""
    options = dict(
        part.removeprefix("--").split("=", 1)
        for part in services["prepare"]["command"]
        if part.startswith("--")
    )
    return Addresses(**{n: options[n] for n in ("sip", "control", "store", "processor", "crypto")})


def test_each_service_runs_a_program_with_settings_that_are_prepared(
    services: dict[str, Any], tmp_path: Path
) -> None:
    """Every command names a module of ours, and a settings file that `reclab prepare` writes."""
    addresses = prepared_addresses(services)
    folder = LabFolder(tmp_path)
    prepare(folder, addresses, RecordingOptions(), listen_host="0.0.0.0")
    for name in SERVICES:
        _, _, module, config = services[name]["command"]
        assert importlib.util.find_spec(module) is not None
        file = folder.settings / Path(config.removeprefix("--config=")).name
        settings = tomllib.loads(file.read_text())
        address = getattr(addresses, "control" if name == "mcp" else name)
        assert address.startswith(f"{name}:")
        assert settings["listen"] == "0.0.0.0:" + address.rpartition(":")[2]


def test_health_checks_ask_the_port_that_is_served(services: dict[str, Any]) -> None:
    """Each health check asks its own service's port."""
    addresses = prepared_addresses(services)
    for name in SERVICES:
        address = getattr(addresses, "control" if name == "mcp" else name)
        script = services[name]["healthcheck"]["test"][-1]
        url = script.partition("urlopen('")[2].partition("'")[0]
        assert urlsplit(url).port == int(address.rpartition(":")[2])
        assert urlsplit(url).path.endswith("/readyz")


def test_every_service_starts_after_the_preparation(services: dict[str, Any]) -> None:
    """Nothing starts before the lab is prepared, and the load comes after the recorder."""
    for name in SERVICES:
        condition = services[name]["depends_on"]["prepare"]["condition"]
        assert condition == "service_completed_successfully"
    assert services["load"]["depends_on"]["mcp"]["condition"] == "service_healthy"


def test_load_calls_the_prepared_sip_address(services: dict[str, Any], tmp_path: Path) -> None:
    """The load service calls where the platform is."""
    lab = describe(
        LabFolder(tmp_path),
        prepare(LabFolder(tmp_path), prepared_addresses(services), RecordingOptions()),
    )
    assert f"--target {lab.sip} " in services["load"]["command"][-1]


def test_image_holds_every_package() -> None:
    """The Dockerfile copies each package that the distribution ships, and the scenarios."""
    lines = (ROOT / "Dockerfile").read_text(encoding="utf-8").splitlines()
    copied = {line.split()[1] for line in lines if line.startswith("COPY ") and "." not in line}
    shipped = {p.parent.name for p in ROOT.glob("*/py.typed")}
    assert copied == shipped | {"faults"}


@pytest.mark.slow
def test_composition_runs() -> None:
    """With a Docker engine: four services come up, and the load inside their network verifies."""
    docker = shutil.which("docker")
    if docker is None:
        pytest.skip("docker is not installed")
    asked = subprocess.run([docker, "compose", "version"], capture_output=True, check=False)
    engine = subprocess.run([docker, "info"], capture_output=True, check=False)
    if asked.returncode or engine.returncode:
        pytest.skip("no Docker engine with compose runs here")
    compose = [docker, "compose", "--project-name", "reclab-test", "--file", str(COMPOSE)]
    try:
        subprocess.run([*compose, "up", "--build", "--wait", "--detach"], check=True, timeout=280)
        subprocess.run([*compose, "run", "--rm", "load"], check=True, timeout=120)
    finally:
        subprocess.run([*compose, "down", "--volumes"], check=False, timeout=120)
