"""A fresh lab for each test, with the options that the test names."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.end_to_end.four_services import FourServices, four_services
from tests.end_to_end.lab_under_test import LabUnderTest, lab_up


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[LabUnderTest]:
    """A fresh lab with stereo WAV recordings."""
    with lab_up(tmp_path / "lab") as running:
        yield running


@pytest.fixture
def lab_options() -> list[str]:
    """Options of `reclab up`; tests parametrise it."""
    return []


@pytest.fixture
def lab_with(tmp_path: Path, lab_options: list[str]) -> Iterator[LabUnderTest]:
    """A fresh lab, started with `lab_options`."""
    with lab_up(tmp_path / "lab", *lab_options) as running:
        yield running


@pytest.fixture(scope="session")
def services(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FourServices]:
    """The four services with an account for each role, for all tests that only ask them."""
    with four_services(tmp_path_factory.mktemp("services")) as running:
        yield running
