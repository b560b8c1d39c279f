"""Settings: TOML, then environment, then command line; one sentence for what is wrong."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from service_shell.settings import SettingsError, load_settings


class Sip(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    listen: str = "127.0.0.1:5060"
    calls: int = 600


class Lab(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    root: str
    sip: Sip = Sip()


def load(tmp_path: Path, toml: str, **environ: str) -> Lab:
    file = tmp_path / "lab.toml"
    file.write_text(toml)
    return load_settings(Lab, file, prefix="lab", environ=environ)


def test_environment_wins_over_file(tmp_path: Path) -> None:
    """A value in the environment replaces the file's, converted to the setting's type."""
    lab = load(tmp_path, 'root = "/a"\n[sip]\ncalls = 5\n', RECLAB_LAB__SIP__CALLS="7")
    assert lab == Lab(root="/a", sip=Sip(calls=7))


def test_command_line_wins_over_environment(tmp_path: Path) -> None:
    """An override by dotted path replaces both."""
    file = tmp_path / "lab.toml"
    file.write_text('root = "/a"\n')
    environ = {"RECLAB_LAB__SIP__CALLS": "7"}
    lab = load_settings(Lab, file, prefix="lab", environ=environ, overrides={"sip.calls": 9})
    assert lab.sip.calls == 9


@pytest.mark.parametrize(
    ("toml", "sentence"),
    [
        ('root = "/a"\n[sip]\ncals = 5\n', "`sip.cals` is an unknown setting"),
        ('root = "/a"\nroute = 1\n', "`route` is an unknown setting"),
        ("[sip]\ncalls = 5\n", "`root` is missing"),
        ('root = "/a"\n[sip]\ncalls = "many"\n', "`sip.calls`: expected `int`, got `str`"),
        ("root = \n", "is not valid TOML"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, toml: str, sentence: str) -> None:
    """The message names the file and the setting's path."""
    with pytest.raises(SettingsError) as caught:
        load(tmp_path, toml)
    assert str(caught.value).startswith(str(tmp_path / "lab.toml"))
    assert sentence in str(caught.value)


def test_missing_file_is_named(tmp_path: Path) -> None:
    """A file that is not there is named with the reason."""
    with pytest.raises(SettingsError, match=r"gone\.toml: cannot be read"):
        load_settings(Lab, tmp_path / "gone.toml", prefix="lab", environ={})


@pytest.mark.parametrize("address", ["[::1]:8801", "[", "[1, 2"])
def test_a_text_in_the_environment_may_begin_with_a_bracket(tmp_path: Path, address: str) -> None:
    """Only what is a list in JSON is one; an IPv6 address is a text."""
    lab = load(tmp_path, 'root = "/a"\n', RECLAB_LAB__SIP__LISTEN=address)
    assert lab.sip.listen == address


def test_a_list_in_the_environment_is_json(tmp_path: Path) -> None:
    """A list where a text belongs is named like any other wrong value, without repeating it."""
    with pytest.raises(
        SettingsError, match=r"`sip\.listen`: expected `str`, got `array`"
    ) as caught:
        load(tmp_path, 'root = "/a"\n', RECLAB_LAB__SIP__LISTEN='["hunter2"]')
    assert "hunter2" not in str(caught.value)


def test_a_setting_that_is_no_section(tmp_path: Path) -> None:
    """A variable that goes through a plain setting is refused by its path."""
    with pytest.raises(SettingsError, match=r"`root\.deep`: `root` is not a section"):
        load(tmp_path, 'root = "/a"\n', RECLAB_LAB__ROOT__DEEP="x")


def test_a_file_that_is_no_text(tmp_path: Path) -> None:
    """Bytes that are no UTF-8 are told in one sentence."""
    file = tmp_path / "lab.toml"
    file.write_bytes(b'root = "\xff"')
    with pytest.raises(SettingsError, match="is not valid TOML"):
        load_settings(Lab, file, prefix="lab", environ={})


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("RECLAB_LAB__SIP__CALS", "`sip.cals` is an unknown setting"),
        ("RECLAB_LAB__SIP__CALLS", "`sip.calls`: expected `int`, got `str`"),
    ],
)
def test_a_wrong_variable_is_named(tmp_path: Path, name: str, sentence: str) -> None:
    """What is wrong in the environment is told by the variable's name, not the file's."""
    with pytest.raises(SettingsError) as refused:
        load(tmp_path, 'root = "/a"\n', **{name: "many"})
    assert str(refused.value) == f"the variable {name}: {sentence}"
