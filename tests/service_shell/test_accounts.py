"""Accounts: right passwords open, nothing else does, and nothing is shown."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest

from service_shell.accounts import Account, Accounts, hash_password
from service_shell.settings import SettingsError


def header(text: str) -> str:
    return "Basic " + base64.b64encode(text.encode()).decode()


@pytest.fixture(scope="module")
def stored() -> str:
    return hash_password("pass:word é")


def test_right_password(stored: str) -> None:
    """Name and password that fit give the account with its roles; colons and UTF-8 are fine."""
    accounts = Accounts([Account("anna", ["listener"], password_hash=stored)])
    found = accounts.check_header(header("anna:pass:word é"))
    assert found is not None
    assert found.roles == ["listener"]


@pytest.mark.parametrize(
    "value", [None, "", "Basic", "Basic !!", "Bearer x", header("anna"), header("anna:no"),
              header("nobody:pass:word é"), "Basic " + "A" * 5000]
)  # fmt: skip
def test_anything_else_is_refused(stored: str, value: str | None) -> None:
    """Missing, malformed, over-long and wrong credentials all give nothing."""
    accounts = Accounts([Account("anna", ["listener"], password_hash=stored)])
    assert accounts.check_header(value) is None


def test_remembered_for_a_minute(stored: str) -> None:
    """A verified header is known without scrypt for a minute, and not longer."""
    now = [100.0]
    accounts = Accounts([Account("anna", [], password_hash=stored)], clock=lambda: now[0])
    value = header("anna:pass:word é")
    assert accounts.remembered(value) is None
    assert accounts.check_header(value) is not None
    assert accounts.remembered(value) is not None
    assert accounts.remembered(header("anna:other")) is None
    now[0] += 61
    assert accounts.remembered(value) is None


def test_password_file(tmp_path: Path) -> None:
    """A password may lie in a file; its line end does not belong to it."""
    (tmp_path / "secret").write_text("s3cret\n")
    accounts = Accounts([Account("bo", [], password_file=str(tmp_path / "secret"))])
    assert accounts.check("bo", "s3cret") is not None


def test_account_without_password_is_named() -> None:
    """An account that nobody could use, or that is named twice, is refused by name."""
    with pytest.raises(SettingsError, match="'bo' has neither"):
        Accounts([Account("bo", [])])


def test_repr_shows_no_hash(stored: str) -> None:
    """The hash never appears in a repr."""
    assert stored not in repr(Account("anna", [], password_hash=stored))
