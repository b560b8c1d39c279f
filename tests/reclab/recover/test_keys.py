"""Whether a key of the keystore opens a recording, told without any key."""

from __future__ import annotations

from pathlib import Path

from reclab.recover.keys import HeldKeys
from recording_format.certificates import certificate_alias
from recording_format.envelope import Envelope, wrap_session_key
from recording_format.session_key import SessionKey
from tests.reclab.fake_lab import recording_pair


def envelope() -> tuple[str, str]:
    """An envelope as text, and its recipient's alias."""
    _, certificate = recording_pair()
    key = SessionKey.generate()
    made = Envelope(wrap_session_key(key, [certificate]), key.algorithm, bytes(16))
    return made.to_pem(), certificate_alias(certificate, "North", 7)


def test_a_key_is_there() -> None:
    """By the alias that the metadata name, or by issuer and serial under any alias."""
    text, alias = envelope()
    held = HeldKeys({"North": frozenset({alias})})
    assert held.fault("North", [alias], text) == ""
    assert held.fault("North", ["rcs_old:1:CN=x:1"], text) == ""
    assert held.fault("North", [], None) == ""


def test_a_key_is_gone(tmp_path: Path) -> None:
    """Another tenant's key does not count; where the lab's file still has it, that is told."""
    text, alias = envelope()
    elsewhere = HeldKeys({"South": frozenset({alias})})
    assert elsewhere.fault("North", [alias], text) == (
        f"tenant North has no key in the keystore for {alias}"
    )
    file = tmp_path / "key.pem"
    file.write_text("")
    kept = HeldKeys({}, {alias: str(file)})
    assert f"its key lies in {file}" in kept.fault("North", [alias], text)
    assert "nobody can tell whose key opens it" in kept.fault("North", [], "no envelope")
