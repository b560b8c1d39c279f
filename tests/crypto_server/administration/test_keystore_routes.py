"""The keystore over HTTP: backup and restore, another password, import; nothing secret is told."""

from __future__ import annotations

import base64

import aiohttp
import pytest

from crypto_server.keystore import Keystore
from tests.crypto_server.administration.desk import TENANT, Desk, own

BACKUP_PASSWORD = "the backup's own password"


async def test_backup_and_restore(desk: Desk) -> None:
    """All keys in one file that opens with its own password only, and puts back what is gone."""
    ident = await desk.uploaded(own())
    await desk.uploaded(own(2), tenant="North")
    saved = await desk.ask("POST", "/lab/keystore/backup", {"password": BACKUP_PASSWORD})
    assert saved.headers["Content-Type"] == "application/octet-stream"
    await desk.ask("DELETE", f"/lab/certificates/{ident}?force=true")
    data = base64.b64encode(saved.body).decode()
    wrong = {"data": data, "password": "another password"}
    answer = await desk.ask("POST", "/lab/keystore/restore", wrong)
    assert (answer.status, answer.json["statusCode"]) == (409, 2)
    right = {"data": data, "password": BACKUP_PASSWORD}
    answer = await desk.ask("POST", "/lab/keystore/restore", right)
    assert (answer.json["added"], answer.json["kept"]) == (1, 1), answer.body
    assert {row["tenant"] for row in await desk.rows()} == {TENANT, "North"}
    form = aiohttp.FormData()
    form.add_field("data", saved.body, filename="keystore.backup")
    form.add_field("password", BACKUP_PASSWORD)
    answer = await desk.ask("POST", "/lab/keystore/restore", data=form)
    assert (answer.json["added"], answer.json["kept"]) == (0, 2)


async def test_password(desk: Desk) -> None:
    """After the change the keystore opens with the new password, here and elsewhere."""
    await desk.uploaded(own())
    answer = await desk.ask("POST", "/lab/keystore/password", {"password": "short"})
    assert (answer.status, answer.sentence) == (400, "the password is shorter than 8 characters")
    answer = await desk.ask("POST", "/lab/keystore/password", {"password": "the new password"})
    assert answer.json["keys"] == 1
    assert "before it starts again" in answer.json["note"], "it did not come from a file"
    assert len(await desk.rows()) == 1
    desk.keystore.close()
    assert Keystore.open(desk.keystore.folder, "the new password").count().keys == 1


async def test_import(desk: Desk) -> None:
    """The entries of a PKCS#12 file come under the alias that recordings have."""
    await desk.uploaded(own())
    [file] = (desk.keystore.folder / TENANT).glob("*.p12")
    said = {
        "tenant": "North",
        "data": base64.b64encode(file.read_bytes()).decode(),
        "password": "the keystore's password",
    }
    answer = await desk.ask("POST", "/lab/keystore/import", said)
    [entry] = answer.json["entries"]
    assert entry["oldAlias"].startswith("rcs_Environment:1:")
    assert entry["alias"].startswith("rcs_North:2:C=US")
    assert entry["id"] == own().recording().fingerprint
    assert (answer.json["added"], answer.json["kept"]) == (1, 0)
    answer = await desk.ask("POST", "/lab/keystore/import", said)
    assert (answer.json["added"], answer.json["kept"]) == (0, 1)
    answer = await desk.ask("POST", "/lab/keystore/import", {**said, "password": "wrong"})
    assert answer.status == 409
    assert len(desk.keystore.entries("North")) == 1


async def test_secrets(desk: Desk, capfd: pytest.CaptureFixture[str]) -> None:
    """No password of these requests is in an answer, an audit line or the log."""
    await desk.uploaded(own())
    secret = "do not tell this to anybody"
    answers = [
        await desk.ask("POST", "/lab/keystore/backup", {"password": secret}),
        await desk.ask("POST", "/lab/keystore/restore", {"password": secret, "data": "eA=="}),
        await desk.ask("POST", "/lab/keystore/import", {"password": secret, "data": "eA=="}),
        await desk.ask("POST", "/lab/keystore/password", {"password": secret}),
    ]
    assert [answer.status for answer in answers] == [200, 409, 400, 200]
    written = capfd.readouterr()
    texts = [answer.body.decode("latin-1") for answer in answers]
    texts += [written.out, written.err, desk.audit_file.read_text()]
    assert not any(secret in text for text in texts)
    assert [line["action"] for line in desk.lines()][1:] == [
        "keystore-backup",
        "keystore-restore",
        "keystore-import",
        "keystore-password",
    ]
