"""The figures of all services have one form, so that one dashboard reads them."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from crypto_server.keystore import Keystore
from crypto_server.metrics import PlaybackMetrics
from recording_processor.web.metrics import Metrics
from webdav_store.metrics import StoreMetrics
from webdav_store.root import StoreRoot

REGISTRIES: dict[str, Callable[[Path], CollectorRegistry]] = {
    "store": lambda folder: StoreMetrics(StoreRoot(folder)).registry,
    "processor": lambda _folder: Metrics().registry,
    "crypto": lambda folder: PlaybackMetrics(Keystore(folder, "x")).registry,
}
# Of what a histogram counts.
UNITS = ("_seconds", "_bytes", "_posts")


@pytest.mark.parametrize("service", REGISTRIES)
def test_names_and_help(service: str, tmp_path: Path) -> None:
    """``reclab_<service>_…`` in snake case, a help text without a full stop, plain unit names."""
    families = list(REGISTRIES[service](tmp_path).collect())
    own = [family for family in families if not family.name.startswith("process_")]
    assert len(own) > 4
    for family in own:
        assert re.fullmatch(rf"reclab_{service}_[a-z]+(_[a-z]+)*", family.name), family.name
        assert re.fullmatch(r"[A-Z].*[a-z]", family.documentation), family.documentation
        if family.type == "histogram":
            assert family.name.endswith(UNITS), family.name
    assert len({family.name for family in families}) == len(families)


@pytest.mark.parametrize("service", REGISTRIES)
def test_each_tells_its_process(service: str, tmp_path: Path) -> None:
    """Memory, processor time and open files are told under Prometheus' own names."""
    names = {family.name for family in REGISTRIES[service](tmp_path).collect()}
    assert {"process_resident_memory_bytes", "process_cpu_seconds", "process_open_fds"} <= names
