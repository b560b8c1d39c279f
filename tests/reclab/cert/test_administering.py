"""Upload, list, show, deploy, undeploy, delete, expiring: through a running administration."""

from __future__ import annotations

import json
import shutil
import socket
from io import StringIO
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from rich.console import Console

from crypto_server.administration.description import EMAIL_NOT_SET
from reclab.cert import output
from service_shell.settings import SettingsError
from tests.crypto_server.administration.fake_catalogue import RUINED
from tests.reclab.cert.conftest import PASSWORD, Bench

HEADER = "Id\tIssued To\tIssued By\tExpires\tDeployed Count\tStatus\tTenant"


async def test_from_the_key_to_the_profile(bench: Bench) -> None:
    """Made, uploaded from its folder, listed, deployed by name, taken back and deleted."""
    ident = await bench.uploaded("recorder")
    listed = await bench.done("list")
    assert listed.splitlines()[0] == HEADER
    cells = listed.splitlines()[1].split("\t")
    assert cells[:3] == [ident[:12], f"recorder {EMAIL_NOT_SET}", "Bench CA"]
    assert cells[4:] == ["0", "valid", "Environment"]
    said = await bench.done("deploy", ident[:8], "--profile", "recording")
    assert said == f"recorder {EMAIL_NOT_SET} is certificates-1 of the profile 101\n"
    assert ident in bench.desk.catalogue.profiles[101].options.values()
    said = await bench.refused("delete", ident[:8])
    assert "it is deployed to recording (101)" in said
    result = await bench.run("undeploy", ident[:8], "--profile", "101")
    assert result.exit_code == 0
    assert "Attention: the profile has no certificate now" in result.stderr
    await bench.done("delete", ident)
    result = await bench.run("list")
    assert (result.stdout, result.stderr) == ("", "There is no such certificate.\n")


async def test_upload_tells_what_to_do_next(bench: Bench) -> None:
    """After an upload a person reads how to record for it; a program reads JSON only."""
    out = bench.folder / "x"
    ca = ("--ca", bench.folder / "ca" / "ca.pem", "--ca-key", bench.folder / "ca" / "ca.key")
    await bench.done("new", *ca, "--out", out)
    result = await bench.run("upload", out / "cert.pem", "--key", out / "private_key.pem")
    assert "reclab cert deploy" in result.stderr
    assert "--profile 101" in result.stderr
    row = json.loads(await bench.done("upload", out, "--json"))
    assert row["issuedTo"] == f"Interaction Recording {EMAIL_NOT_SET}"


async def test_encrypted_key(bench: Bench) -> None:
    """A key's password comes from a file; without it the server's sentence is told."""
    password = bench.folder / "password"
    password.write_text("between us\n")
    out = bench.folder / "locked"
    ca = ("--ca", bench.folder / "ca" / "ca.pem", "--ca-key", bench.folder / "ca" / "ca.key")
    more = ("--encrypt-key", "--password-file", password)
    await bench.done("new", *ca, "--out", out, *more)
    assert "its password is missing" in await bench.refused("upload", out)
    await bench.done("upload", out, "--password-file", password)


async def test_untrusted(bench: Bench) -> None:
    """A self-signed certificate that the CA file lacks: show foretells what upload says."""
    out = bench.folder / "alone"
    await bench.done("new", "--self-signed", "--out", out)
    result = await bench.run("show", out / "tenant.pem")
    assert result.exit_code == 1
    assert "Subject Name:   Interaction Recording" in result.stdout
    assert "An upload would refuse it." in result.stderr
    assert "is not trusted" in await bench.refused("upload", out)
    own_ca = await bench.run("show", out / "tenant.pem", "--ca", out / "tenant.pem")
    assert (own_ca.exit_code, own_ca.stderr) == (0, "An upload would take it.\n")


async def test_show(bench: Bench) -> None:
    """A certificate of the keystore by the beginning of its id; all of it in JSON."""
    ident = await bench.uploaded("recorder")
    shown = await bench.done("show", ident[:6])
    assert "Alias:          rcs_Environment:1:" in shown
    assert json.loads(await bench.done("show", ident, "--json"))["pem"].startswith("-----BEGIN")


async def test_ids(bench: Bench) -> None:
    """An id may be cut; too short, unknown and shared beginnings are told apart."""
    ident = await bench.uploaded("recorder")
    said = await bench.refused("show", "0000ffff0000")
    assert "the keystore has no certificate whose id begins with 0000ffff0000" in said
    result = await bench.run("show", ident[:3])
    assert "is too short for an id" in str(result.exception)
    bench.desk.catalogue.tenants["North"] = 2
    await bench.done("upload", bench.folder / "recorder", "--tenant", "North")
    said = await bench.refused("delete", ident)
    assert f"{ident[:12]} of Environment, {ident[:12]} of North" in said
    await bench.done("delete", ident, "--tenant", "North")


async def test_named_by_file(bench: Bench) -> None:
    """Who has the certificate's file need not look its id up."""
    await bench.uploaded("recorder")
    file = bench.folder / "recorder" / "cert.pem"
    said = await bench.done("deploy", file, "--profile", "101")
    assert said.startswith(f"recorder {EMAIL_NOT_SET} is certificates-1")
    await bench.done("undeploy", file, "--profile", "101")
    await bench.done("delete", file)
    said = await bench.refused("delete", file)
    assert f"the keystore has no certificate of {file}" in said


async def test_named_by_folder(bench: Bench) -> None:
    """The folder that `new` wrote and `upload` took is a name for the other commands too."""
    await bench.uploaded("recorder")
    folder = bench.folder / "recorder"
    assert "An upload would take it." in (await bench.run("show", folder)).stderr
    await bench.done("deploy", folder, "--profile", "101")
    await bench.done("undeploy", folder, "--profile", "101")
    await bench.done("delete", folder)
    (bench.folder / "empty").mkdir()
    result = await bench.run("delete", bench.folder / "empty")
    assert "holds no certificate: name the certificate's file" in str(result.exception)


async def test_undeploy_without_the_key(bench: Bench) -> None:
    """What was deleted by force can still be taken out of the profile, by its file."""
    ident = await bench.uploaded("recorder")
    file = bench.folder / "recorder" / "cert.pem"
    await bench.done("deploy", ident, "--profile", "101")
    assert "`--force` deletes it all the same" in await bench.refused("delete", ident)
    await bench.done("delete", ident, "--force")
    said = await bench.refused("undeploy", ident[:12], "--profile", "101")
    assert "the keystore has no certificate whose id begins with" in said
    said = await bench.done("undeploy", file, "--profile", "recording")
    assert said == f"The certificate of {file} is no longer in the profile 101\n"
    assert bench.desk.catalogue.profiles[101].options == {}
    assert "no such certificate" in await bench.refused("undeploy", ident, "--profile", "101")


async def test_keys_are_not_sent_elsewhere(bench: Bench, tmp_path: Path) -> None:
    """A server that redirects gets one question, and nobody else gets the key."""
    asked: list[str] = []

    async def away(request: web.Request) -> web.Response:
        asked.append(request.path)
        raise web.HTTPTemporaryRedirect("/elsewhere")

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", away)
    password = tmp_path / "password"
    password.write_text("x")
    out = bench.folder / "alone"
    await bench.done("new", "--self-signed", "--out", out)
    async with TestServer(app) as server:
        url = str(server.make_url("")).rstrip("/")
        foreign = ("--url", url, "--user", "a", "--user-password-file", password)
        result = await bench.run("upload", out, *foreign)
    assert result.exit_code != 0
    assert asked == ["/lab/certificates"]


async def test_beside_a_ruined_certificate(bench: Bench) -> None:
    """What else is wrong with the profile is told after a deployment."""
    ident = await bench.uploaded("recorder")
    bench.desk.catalogue.profiles[101].options["certificates-1"] = RUINED
    result = await bench.run("deploy", ident, "--profile", "101")
    assert result.exit_code == 0
    assert result.stderr == "Attention: certificates-1 of the profile: it is ruined\n"


async def test_profiles(bench: Bench) -> None:
    """A profile that is not there is told with those that are."""
    ident = await bench.uploaded("recorder")
    said = await bench.refused("deploy", ident, "--profile", "nowhere")
    assert "there is no profile 'nowhere' among recording (101)" in said


async def test_orphans(bench: Bench) -> None:
    """What recordings need is deleted by force only, and the warning tells how many."""
    ident = await bench.uploaded("recorder")
    bench.desk.catalogue.orphaned = 3
    said = await bench.refused("delete", ident)
    assert "3 recordings could never be played again" in said
    result = await bench.run("delete", ident, "--force")
    assert result.exit_code == 0
    assert "Attention: with this key gone, 3 recordings" in result.stderr


async def test_expiring(bench: Bench) -> None:
    """Exit code 0 while all is well, 1 and the list when something expires."""
    assert "No certificate expires soon" in (await bench.run("expiring")).stderr
    ident = await bench.uploaded("brief", "--days", "10")
    result = await bench.run("expiring")
    assert result.exit_code == 1
    header, line = result.stdout.splitlines()
    assert header == f"{HEADER}\tDays Left"
    assert (line.split("\t")[0], line.split("\t")[-1]) == (ident[:12], "10")
    assert (await bench.run("expiring", "--days", "9")).exit_code == 0
    assert json.loads((await bench.run("expiring", "--json")).stdout)[0]["daysLeft"] == 10


async def test_another_server(bench: Bench) -> None:
    """With a URL, a name and a password's file no lab is needed."""
    ident = await bench.uploaded("recorder")
    (bench.folder / "lab.json").unlink()
    password = bench.folder / "password"
    password.write_text(f"{PASSWORD}\n")
    foreign = ("--url", bench.desk.url, "--user", "ada", "--user-password-file", password)
    assert ident[:12] in await bench.done("list", *foreign)
    result = await bench.run("deploy", ident, "--profile", "recording", *foreign)
    assert "named by its DBID" in str(result.exception)
    await bench.done("deploy", ident, "--profile", "101", *foreign)
    password.write_text("wrong\n")
    assert "a valid name and password are needed" in await bench.refused("list", *foreign)


async def test_bad_input(bench: Bench, tmp_path: Path) -> None:
    """Each fault of the input or the surroundings is one sentence (exit code 2 by the program)."""
    (tmp_path / "lonely").mkdir()
    shutil.copy(tmp_path / "ca" / "ca.pem", tmp_path / "lonely")
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        nobody = f"http://127.0.0.1:{closed.getsockname()[1]}"
        password = tmp_path / "password"
        password.write_text("x")
        foreign = ("--user", "a", "--user-password-file", str(password))
        for arguments, sentence in (
            (("list", "--url", nobody, *foreign), "nothing answers at 127.0.0.1"),
            (("list", "--url", "ftp://x", *foreign), "--url is not of the form"),
            (("list", "--url", "http://a:b@x", *foreign), "--url is not of the form"),
            (("list", "--url", nobody), "--url needs --user"),
            (("list", *foreign), "belong to --url"),
            (("upload", tmp_path / "lonely"), "no key of"),
            (("upload", "/no/such.pem"), "/no/such.pem cannot be read"),
            (("upload", tmp_path / "lab.json"), "holds no certificate"),
            (("show", "no.pem"), "no.pem cannot be read"),
            (("show", ""), "'' is too short for an id"),
            (("upload", "x.pem", "--key", tmp_path / "ca" / "ca.pem"), "holds no private key in"),
            (("new", "--out", "x", "--ca-password-file", password), "--ca-password-file belongs"),
        ):
            result = await bench.run(*arguments)
            assert isinstance(result.exception, SettingsError), (arguments, result.output)
            assert sentence in str(result.exception)


async def test_request_instead_of_a_certificate(bench: Bench) -> None:
    """Who uploads the request is told that a CA has to sign it first."""
    out = bench.folder / "r"
    await bench.done("new", "--csr", "--out", out)
    result = await bench.run("upload", out / "cert.req", "--key", out / "private_key.pem")
    assert "is a signing request: a CA makes a certificate of it" in str(result.exception)


@pytest.mark.parametrize("command", ["new-ca", "new", "upload", "list", "show", "deploy"])
async def test_help_has_an_example(bench: Bench, command: str) -> None:
    """The help of a command shows how it is used."""
    assert f"reclab cert {command}" in await bench.done(command, "--help")


def test_table_at_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """At a terminal the list is a table; what is too long for it is folded, not lost."""
    screen = StringIO()

    def terminal(**_options: object) -> Console:
        return Console(file=screen, force_terminal=True, color_system=None, width=72)

    monkeypatch.setattr(output, "Console", terminal)
    output.show_table(("Id", "Issued To"), [("0123456789ab", "[bold]Recording[/] " + "x" * 90)])
    shown = screen.getvalue()
    assert shown.startswith("Id            Issued To ")
    assert "[bold]Recording[/]" in shown, "a name is no markup"
    assert shown.count("x") == 90


@pytest.mark.parametrize("width", [20, 40, 60, 80, 200])
def test_narrow_terminal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], width: int
) -> None:
    """However narrow the terminal is, no column of the list is cut off."""
    screen = StringIO()

    def terminal(**_options: object) -> Console:
        return Console(file=screen, force_terminal=True, color_system=None, width=width)

    monkeypatch.setattr(output, "Console", terminal)
    row = {
        "id": "0123456789ab" + "0" * 52, "issuedTo": "Recording (Email not set)", "issuedBy": "CA",
        "expires": "2027-12-24", "deployedCount": 1, "status": "not-yet-valid", "tenant": "North",
    }  # fmt: skip
    output.show_list([row, {**row, "tenant": "South"}])
    shown = screen.getvalue() + capsys.readouterr().out
    for text in ("0123456789ab", "2027-12-24", "not-yet-valid", "North", "South"):
        assert text in shown
