"""The redacting processor: secrets never reach a log line."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from service_shell.log import REDACTED, redact


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


@pytest.mark.parametrize(
    "text",
    [
        "http://mcp:hunter2@store/a", "HTTPS://a:hunter2@b", "http://u:hunter2@x@host/",
        "redirected from http://:hunter2@h to http://a:hunter2@h2/x",
        "Authorization: Basic hunter2==", "{'Authorization': 'Basic hunter2=='}",
        'b"Authorization: Basic hunter2"', "authorization=hunter2", "Authorization: Bearer hunter2",
        "-----BEGIN RSA PRIVATE KEY-----\nhunter2\n-----END RSA PRIVATE KEY-----\nafter",
        "-----BEGIN PRIVATE KEY-----\nhunter2 is cut",
    ],
)  # fmt: skip
def test_secrets_inside_texts_are_redacted(text: str) -> None:
    """Wherever a text comes from (an event, a value, an error, a list), its secrets go."""
    line = redact(
        None,
        "error",
        {"event": text, "a": [text], "b": {"c": text}, "e": ValueError(text), "f": {text}},
    )
    assert "hunter2" not in str(line)
    assert REDACTED in str(line["event"])


def test_what_is_no_secret_stays() -> None:
    """Plain URLs, numbers, times and words are logged as they are."""
    event = {
        "event": "The authorization was refused", "url": "http://store:8801/a@b:c", "n": 3,
        "x": 1.5, "none": None, "ok": True, "key_alias": "rcs_a:1", "path": Path("/tmp/x"),
    }  # fmt: skip
    assert redact(None, "info", dict(event)) == event | {"path": "/tmp/x"}


def test_an_event_stays_on_its_line() -> None:
    """A stranger's text in an event cannot forge a record, nor colour the terminal."""
    line = redact(None, "info", {"event": "a\n2026-01-01 [info] forged \x1b[31m"})
    assert line["event"] == "a\\x0a2026-01-01 [info] forged \\x1b[31m"


PROGRAM = """
import logging, sys
import structlog
from service_shell.log import LogSettings, configure_logging
configure_logging("test", LogSettings(level="debug", format=sys.argv[1]))
class Odd:
    def __repr__(self): return "http://u:hunter2@odd/"
def fail(password): raise ValueError("Authorization: Basic hunter2")
try:
    fail("hunter3")
except ValueError:
    structlog.get_logger().exception("failed", odd=Odd(), password="hunter2", v="a\\n2026 forged")
    logging.getLogger("aiohttp.server").exception("std %s\\nforged", "http://u:hunter2@h/")
"""


@pytest.mark.parametrize("form", ["text", "json"])
def test_both_loggers_redact_also_in_traces(form: str) -> None:
    """Records of libraries and of ours, with their traces: no secret, no local variable's value."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, form],
        capture_output=True,
        text=True,
        check=True,
        timeout=30,
    )
    assert done.stdout == ""
    assert done.stderr.count("Traceback (most recent call last)") == 2
    assert "hunter2" not in done.stderr
    assert "\nforged" not in done.stderr
    assert "\n2026 forged" not in done.stderr
    assert "hunter3" not in done.stderr.replace('fail("hunter3")', "")
    if form == "json":
        assert all(json.loads(line)["service"] == "test" for line in done.stderr.splitlines())


def test_a_log_that_cannot_be_written_costs_nothing() -> None:
    """A full disk under the log, and a log that was closed: the work goes on."""
    program = (
        "import logging, sys, structlog\n"
        "from service_shell.log import configure_logging\n"
        "configure_logging('test')\n"
        "for _ in range(1000): structlog.get_logger().error('said', text='x' * 100)\n"
        "logging.getLogger('aiohttp.server').error('said')\n"
        "sys.stderr.close()\n"
        "structlog.get_logger().error('said')\n"
        "print('went on')\n"
    )
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-c", program], stdout=-1, stderr=full, text=True, timeout=30
        )
    assert done.stdout == "went on\n"


def test_bytes_are_counted_not_shown() -> None:
    """Raw bytes may be audio or a key: only their number is logged."""
    assert redact(None, "info", {"event": "x", "body": b"hunter2"})["body"] == "[7 bytes]"
