"""The program itself: what is set wrong is one sentence and exit code 2; SIGTERM ends in order."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from service_shell.accounts import hash_password
from tests.small_disk import read_only

GOOD = """
listen = "127.0.0.1:0"
[sip]
listen = "127.0.0.1:0"
[spool]
folder = "{folder}/spool"
keyring = "{folder}/keyring"
[processor]
url = "http://127.0.0.1:9"
password_file = "{folder}/password"
[[accounts]]
name = "operator"
roles = ["operator"]
password_hash = "{hash}"
[log]
level = "error"
"""


def written(folder: Path, change: tuple[str, str] = ("", "")) -> Path:
    """A settings file that works, but for the change."""
    (folder / "password").write_text("secret\n")
    text = GOOD.format(folder=folder, hash=hash_password("secret"))
    assert change[0] in text
    path = folder / "mcp.toml"
    path.write_text(text.replace(*change) if change[0] else text)
    return path


def started(config: Path, *wrapper: str) -> subprocess.Popen[str]:
    command = [*wrapper, sys.executable, "-m", "mcp_sim", "--config", str(config)]
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**os.environ}
    )


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (('password_file = "', 'password_file = "/nowhere'), "`processor.password_file`"),
        (('[sip]\nlisten = "127.0.0.1:0"', '[sip]\nlisten = "0.0.0.0:0"'), "`sip.contact_host`"),
        (('name = "operator"', 'name = "operator"\npassword_file = "/nowhere"'), "operator"),
        (("[sip]", "[capture]\nprocesses = 0\n[sip]"), "capture.processes"),
        (("[sip]", '[capture]\nports = "many"\n[sip]'), "capture.ports"),
        (("[sip]", "[sip]\nport = 1"), "`sip.port`"),
        (("[sip]", '[capture]\nhost = "192.0.2.1"\n[sip]'), "192.0.2.1"),
        (("[sip]", '[sip]\nlisten_tls = "127.0.0.1:0"'), "`sip.tls.certificate` is missing"),
        (("[sip]", '[sip.tls]\nkey = "k.pem"\n[sip]'), "`sip.listen_tls` is missing"),
        (("[sip]", '[trust]\nca_file = "/nowhere"\n[sip]'), "`trust.ca_file`: /nowhere"),
        (('/spool"', '/password"'), "password"),
        (('listen = "127.0.0.1:0"\n[sip]', 'node = "X"\nlisten = "127.0.0.1:0"\n[sip]'), "`node`"),
    ],
)
def test_what_is_set_wrong(tmp_path: Path, change: tuple[str, str], sentence: str) -> None:
    """Exit code 2 and one sentence that names the setting, without a traceback."""
    with started(written(tmp_path, change)) as process:
        out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (2, "")
    assert err.startswith("mcp: ")
    assert sentence in err
    assert err.count("\n") == 1


def test_spool_that_can_only_be_read(tmp_path: Path) -> None:
    """At the start too it is one sentence with the folder and the reason, and exit code 2."""
    with started(written(tmp_path), *read_only(tmp_path / "spool")) as process:
        out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (2, "")
    assert err == f"mcp: the spool {tmp_path}/spool cannot be used: read-only file system\n"


def test_start_and_end(tmp_path: Path) -> None:
    """It says where it is, ends on SIGTERM with 0, and leaves a spool that the next may lock."""
    for _ in range(2):
        with started(written(tmp_path)) as process:
            assert process.stdout is not None
            ready = json.loads(process.stdout.readline())["ready"]
            assert ready["sip"].startswith("127.0.0.1:")
            assert ready["control"].startswith("http://127.0.0.1:")
            process.send_signal(signal.SIGTERM)
            _, err = process.communicate(timeout=60)
        assert process.returncode == 0
        assert "Traceback" not in err
