"""The redacting processor: secrets never reach a log line."""

from __future__ import annotations

import pytest

from service_shell.log import redact


@pytest.mark.parametrize(
    "key",
    ["password", "storage_password", "Authorization", "session_key", "rp.speechminer_auth",
     "private_key", "set_cookie", "passwd", "csrf_token"],
)  # fmt: skip
def test_secret_keys_are_redacted(key: str) -> None:
    """Whatever a secret-looking key holds is replaced, at the top and nested."""
    line = redact(None, "info", {"event": "x", key: "hunter2", "inner": {key: ["hunter2"]}})
    assert "hunter2" not in str(line)


def test_url_passwords_are_redacted() -> None:
    """A password inside a URL goes, the rest of the URL stays."""
    line = redact(None, "info", {"event": "PUT http://mcp:hunter2@store:80/a failed"})
    assert line["event"] == "PUT http://mcp:[redacted]@store:80/a failed"


def test_bytes_are_counted_not_shown() -> None:
    """Raw bytes may be audio or a key: only their number is logged."""
    assert redact(None, "info", {"event": "x", "body": b"hunter2"})["body"] == "[7 bytes]"
