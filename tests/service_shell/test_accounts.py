"""Accounts: right passwords open, nothing else does, and nothing is shown."""

from __future__ import annotations

import base64
import hashlib
import re
from pathlib import Path
from unittest.mock import patch

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


@pytest.mark.parametrize("value", ["Basic é", "Basic \udce9\udcff", "Basic YW5uYQ==\n", "Basic \0"])
def test_a_header_that_is_no_ascii_is_refused(stored: str, value: str) -> None:
    """Whatever bytes a client sends, the answer is no, not an error."""
    accounts = Accounts([Account("anna", ["listener"], password_hash=stored)])
    assert accounts.check_header(value) is None
    assert accounts.remembered(value) is None


def test_bytes_that_are_no_utf_8_are_refused(stored: str) -> None:
    """A password in another encoding than the announced UTF-8 does not fit."""
    accounts = Accounts([Account("anna", ["listener"], password_hash=stored)])
    latin = base64.b64encode("anna:pass:word é".encode("latin-1")).decode()
    assert accounts.check_header(f"Basic {latin}") is None


def test_a_long_password_works_as_far_as_a_header_can_carry_it(tmp_path: Path) -> None:
    """A thousand bytes are fine; what no header could carry is refused at the start, by name."""
    (tmp_path / "long").write_text("é" * 500)
    accounts = Accounts([Account("bo", [], password_file=str(tmp_path / "long"))])
    assert accounts.check_header(header("bo:" + "é" * 500)) is not None
    assert accounts.check_header(header("bo:" + "é" * 499)) is None
    (tmp_path / "long").write_text("é" * 600)
    with pytest.raises(SettingsError, match=r"^account 'bo': the password is too long to be sent$"):
        Accounts([Account("bo", [], password_file=str(tmp_path / "long"))])


@pytest.mark.parametrize("content", ["", "\n", "\r\n"])
def test_an_empty_password_file_opens_nothing(tmp_path: Path, content: str) -> None:
    """A file that was emptied by accident must not become a password that everybody knows."""
    (tmp_path / "secret").write_text(content)
    with pytest.raises(SettingsError, match=r"^account 'bo': the password file is empty$"):
        Accounts([Account("bo", [], password_file=str(tmp_path / "secret"))])


@pytest.mark.parametrize("name", ["", "a:b", "a\nb", "a\0"])
def test_a_name_that_nobody_could_say_is_refused(stored: str, name: str) -> None:
    """A name with a colon could never sign in, one with control characters would forge records."""
    with pytest.raises(SettingsError, match="a name has characters"):
        Accounts([Account(name, [], password_hash=stored)])


@pytest.mark.parametrize(
    "spoilt",
    [
        "hunter2",
        "scrypt$16384$8$1$salt",
        "bcrypt$16384$8$1${salt}${digest}",
        "scrypt$many$8$1${salt}${digest}",
        "scrypt$16383$8$1${salt}${digest}",
        "scrypt$1048576$8$1${salt}${digest}",
        "scrypt$65536$1$1${salt}${digest}",
        "scrypt$16384$0$1${salt}${digest}",
        "scrypt$16384$8$1000${salt}${digest}",
        "scrypt$16384$8$1${salt}$!!!",
        "scrypt$16384$8$1$${digest}",
        "scrypt$16384$8$1${salt}$c2hvcnQ=",
    ],
)
def test_a_hash_that_could_not_be_checked_is_refused_at_the_start(stored: str, spoilt: str) -> None:
    """Not at the first sign-in; the sentence names the account and shows nothing of the hash."""
    *_, salt, digest = stored.split("$")
    text = spoilt.replace("{salt}", salt).replace("{digest}", digest)
    with pytest.raises(SettingsError) as caught:
        Accounts([Account("anna", [], password_hash=text)])
    assert str(caught.value) == "account 'anna': the password_hash is not one of this program"


def test_parameters_of_another_strength_work() -> None:
    """A hash tells how it was made; an administrator may choose a dearer one."""
    salt = b"0123456789abcdef"
    digest = hashlib.scrypt(b"pw", salt=salt, n=1024, r=4, p=2, dklen=32)
    encoded = "$".join(base64.b64encode(part).decode() for part in (salt, digest))
    accounts = Accounts([Account("anna", [], password_hash=f"scrypt$1024$4$2${encoded}")])
    assert accounts.check("anna", "pw") is not None
    assert accounts.check("anna", "pv") is None


def test_an_unknown_name_costs_what_a_known_one_does(stored: str) -> None:
    """Each refusal is one scrypt of the dearest account's strength, whoever is asked for."""
    cheap = "$".join(["scrypt", "1024", "8", "1", *stored.split("$")[4:]])
    accounts = Accounts(
        [Account("anna", [], password_hash=stored), Account("bo", [], password_hash=cheap)]
    )
    with patch("hashlib.scrypt", wraps=hashlib.scrypt) as scrypt:
        for name in ("anna", "nobody", "", "x" * 500):
            assert accounts.check(name, "wrong") is None
    costs = {(call.kwargs["n"], call.kwargs["r"], call.kwargs["p"]) for call in scrypt.mock_calls}
    assert (len(scrypt.mock_calls), costs) == (4, {(16384, 8, 1)})


def test_what_is_remembered_is_one_name_with_one_password(stored: str) -> None:
    """It lets in no other account with that password, nor that account with another password."""
    other = hash_password("another")
    accounts = Accounts(
        [Account("anna", [], password_hash=stored), Account("bo", [], password_hash=other)]
    )
    assert accounts.check("anna", "pass:word é") is not None
    assert accounts.remembered(header("bo:pass:word é")) is None
    assert accounts.remembered(header("anna:another")) is None
    assert accounts.check("bo", "pass:word é") is None


def test_a_wrong_password_is_not_remembered(stored: str) -> None:
    """It is checked anew each time, and does not push out what is remembered."""
    accounts = Accounts([Account("anna", [], password_hash=stored)])
    assert accounts.check("anna", "pass:word é") is not None
    for _ in range(3):
        assert accounts.check("anna", "wrong") is None
        assert accounts.remembered(header("anna:wrong")) is None
    assert accounts.remembered(header("anna:pass:word é")) is not None


def test_a_new_password_ends_what_was_remembered(stored: str) -> None:
    """Accounts that were read again know nothing of the ones before."""
    before = Accounts([Account("anna", [], password_hash=stored)])
    assert before.check("anna", "pass:word é") is not None
    after = Accounts([Account("anna", [], password_hash=hash_password("changed"))])
    assert after.remembered(header("anna:pass:word é")) is None
    assert after.check("anna", "pass:word é") is None


def test_tenants_of_an_account() -> None:
    """Without `tenants` an account reaches all of them, else the named ones only, exactly."""
    anybody, limited = Account("bo", []), Account("ann", [], tenants=["North", "South"])
    assert anybody.may_reach("North")
    assert anybody.every_tenant
    assert [t for t in ("North", "South", "north", "*", "") if limited.may_reach(t)] == [
        "North",
        "South",
    ]


@pytest.mark.parametrize(
    ("tenants", "apart", "fault"),
    [
        ([], True, "account 'bo': `tenants` is empty; say which, or leave it"),
        (
            ["North"],
            False,
            "account 'bo' is limited to tenants, but this service does not know them",
        ),
    ],
)
def test_tenants_that_cannot_be_kept_apart(tenants: list[str], apart: bool, fault: str) -> None:
    """A limit that nobody would keep to is refused at the start, not forgotten."""
    account = Account("bo", [], password_hash=hash_password("x"), tenants=tenants)
    with pytest.raises(SettingsError, match=re.escape(fault)):
        Accounts([account], tenants_apart=apart)
