"""A lab that is made for TLS: its settings, certificates and doors, and what commands say."""

from __future__ import annotations

import ssl
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
import pytest
from cryptography import x509

from crypto_server.settings import Settings as CryptoSettings
from mcp_sim.config import McpSettings
from mcp_sim.load.caller import Caller
from mcp_sim.load.scenario import Scenario
from reclab import target
from reclab.archive.failure import ArchiveFailed
from reclab.archive.server import Door, open_server
from reclab.doors import USUAL_ADDRESSES, USUAL_SIP_TLS, Ports, open_doors
from reclab.files import write_private
from reclab.https import not_reached, trusting
from reclab.preparation import (
    LabFolder,
    LabPlan,
    RecordingOptions,
    describe,
    load_plan,
    prepare,
    profile,
)
from reclab.running import running_lab
from reclab.service_certificates import ServiceCertificates
from reclab.target import check_listening
from recording_processor.settings import ProcessorSettings
from service_shell.settings import SettingsError, load_settings
from service_shell.tls import ServerTls, open_tls
from service_shell.trust import client_context
from tests.mcp_sim.sip.test_tls import callee
from tests.service_shell.secured import believer, ca_file, issue
from tests.service_shell.served import serving
from webdav_store.settings import StoreSettings

SECURE = msgspec.structs.replace(USUAL_ADDRESSES, sip_tls=USUAL_SIP_TLS)
SERVICES: dict[str, type[msgspec.Struct]] = {
    "store": StoreSettings,
    "processor": ProcessorSettings,
    "crypto": CryptoSettings,
    "mcp": McpSettings,
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> LabFolder:
    """A folder as `reclab prepare --tls` makes it."""
    made = LabFolder(tmp_path_factory.mktemp("prepared") / "lab")
    prepare(made, SECURE, RecordingOptions())
    return made


def settings(folder: LabFolder, name: str) -> Any:
    """The settings of a service, as it reads them itself."""
    return load_settings(SERVICES[name], folder.settings / f"{name}.toml", prefix=name, environ={})


def test_each_service_has_a_pair_of_its_own(folder: LabFolder) -> None:
    """All four services and SIP can be started with what was prepared, each with another key."""
    read = {name: settings(folder, name) for name in SERVICES}
    assert read["mcp"].sip.listen_tls == USUAL_SIP_TLS
    pairs = [read["mcp"].sip.tls, *(service.tls for service in read.values())]
    assert len({Path(pair.key).read_bytes() for pair in pairs}) == 5
    for pair in pairs:
        assert open_tls(pair) is not None
    believed = {read[name].trust.ca_file for name in ("processor", "crypto", "mcp")}
    assert believed == {str(folder.root / "services-ca.pem")}


def test_urls_say_https(folder: LabFolder) -> None:
    """What the lab tells its users, its services and the platform's profile is all of https."""
    plan = load_plan(folder)
    assert plan is not None
    lab = describe(folder, plan)
    for url in (lab.control, lab.store, lab.processor, lab.crypto):
        assert url.startswith("https://127.0.0.1:88")
    assert (lab.sip_tls, lab.services_ca) == (USUAL_SIP_TLS, str(folder.root / "services-ca.pem"))
    texts = [file.read_text() for file in folder.settings.iterdir()]
    texts.append(str(profile(folder, plan, RecordingOptions())))
    assert not any("http://" in text for text in texts)


def test_the_ca_stays_and_certificates_are_new(tmp_path: Path) -> None:
    """Clients keep believing what they were told once; each start issues certificates anew."""
    names = ("services-ca.pem", "keys/services-ca.key.pem", "tls/store.pem", "tls/store.key.pem")
    issued = []
    for _ in range(2):
        ServiceCertificates(tmp_path).issue({"store": "127.0.0.1:1"}, datetime.now(UTC))
        issued.append([(tmp_path / name).read_bytes() for name in names])
    before, after = issued
    assert before[:2] == after[:2]
    assert before[2] != after[2]
    assert before[3] != after[3]


@pytest.mark.parametrize(
    ("host", "names"),
    [
        ("127.0.0.1", ["127.0.0.1", "localhost"]),
        ("[::1]", ["::1", "localhost"]),
        ("192.0.2.7", ["192.0.2.7"]),
        ("store.example", ["store.example"]),
    ],
)
def test_whom_a_certificate_names(tmp_path: Path, host: str, names: list[str]) -> None:
    """The address that clients ask for, and on loopback its name as well."""
    certificates = ServiceCertificates(tmp_path)
    certificates.issue({"store": f"{host}:8801"}, datetime.now(UTC))
    pem = Path(certificates.settings("store")["certificate"]).read_bytes()
    found = x509.load_pem_x509_certificate(pem).extensions.get_extension_for_class(
        x509.SubjectAlternativeName
    )
    assert [str(name.value) for name in found.value] == names


@pytest.mark.parametrize("broken", ["services-ca.pem", "keys/services-ca.key.pem"])
def test_a_broken_ca(tmp_path: Path, broken: str) -> None:
    """A CA that cannot be read, or lost its key, is one sentence that says what helps."""
    certificates = ServiceCertificates(tmp_path)
    certificates.issue({}, datetime.now(UTC))
    (tmp_path / broken).write_text("junk")
    with pytest.raises(SettingsError, match=r"services-ca\.key\.pem cannot be read: remove both"):
        certificates.issue({}, datetime.now(UTC))


def test_doors_of_a_lab_with_tls() -> None:
    """Such a lab has one door more, and finds it again; one without TLS has none."""
    doors = open_doors(None, Ports.FREE, print, tls=True)
    kept = doors.addresses
    assert len(list(doors)) == 7
    assert kept.sip_tls not in ("", kept.sip)
    for door in doors:
        door.close()
    again = open_doors(kept, Ports.USUAL, lambda _: None)
    assert again.addresses == kept
    plain = open_doors(None, Ports.FREE, print)
    assert (plain.sip_tls, plain.addresses.sip_tls) == (None, "")
    for door in (*again, *plain):
        door.close()


async def test_a_folder_without_tls_does_not_get_it(tmp_path: Path) -> None:
    """Its recordings are named by http:// URLs, which nobody would answer any more."""
    folder = LabFolder(tmp_path / "lab")
    write_private(folder.plan, msgspec.json.encode(LabPlan(USUAL_ADDRESSES, {}, {}, {})))
    up = running_lab(folder.root, RecordingOptions(), ports=Ports.FREE, say=print, tls=True)
    with pytest.raises(SettingsError, match="was made without TLS, and what is stored in it"):
        await up.__aenter__()


async def test_what_commands_say(tmp_path: Path) -> None:
    """A service that is not believed is told from one that is not there."""
    issue(tmp_path / "ours")
    async with serving(tls=ServerTls(issue(tmp_path / "theirs"))) as service:
        url = f"https://{service.address}"
        async with aiohttp.ClientSession(connector=trusting(ca_file(tmp_path / "ours"))) as http:
            with pytest.raises(aiohttp.ClientConnectorError) as refused:
                await http.get(f"{url}/livez")
        assert not_reached(refused.value).startswith(f"the certificate of {service.address} was")
        door = Door(url, "x", "y", ca_file(tmp_path / "ours"))
        async with open_server(door) as server:
            with pytest.raises(ArchiveFailed, match=r"^the certificate of .* was refused: its"):
                await server.recording("x")
        connector = trusting(ca_file(tmp_path / "theirs"))
        async with (
            aiohttp.ClientSession(connector=connector) as http,
            http.get(f"{url}/livez") as answer,
        ):
            assert answer.status == 200
    async with aiohttp.ClientSession(connector=trusting("")) as http:
        with pytest.raises(aiohttp.ClientConnectorError) as refused:
            await http.get("http://127.0.0.1:1/")
    assert not_reached(refused.value) == "nothing answers at 127.0.0.1:1: is the lab up?"
    assert "for here: is" in not_reached(refused.value, "here")
    with pytest.raises(
        SettingsError, match=r"^the CA file of the lab's services: .* cannot be read"
    ):
        trusting(str(tmp_path / "gone"))


async def test_a_target_is_proven_before_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A recorder that is not believed, or not called so, stops the run before its first call."""
    issue(tmp_path / "other")
    async with callee(tmp_path) as there:
        host, port = there.address
        await check_listening((host, port), "tls", believer(tmp_path))
        await check_listening(("localhost", port), "tls", believer(tmp_path))
        for believed, said in (
            (client_context(""), "its issuer is in no CA file that is trusted here"),
            (believer(tmp_path / "other"), "its issuer is in no CA file that is trusted here"),
        ):
            with pytest.raises(SettingsError) as refused:
                await check_listening((host, port), "tls", believed)
            assert str(refused.value) == (
                f"the certificate of {host}:{port} was refused: {said} "
                "(--ca names the file of a CA that is to be believed)"
            )
        monkeypatch.setitem(target._PATIENCE, "tls", 0.2)
        with pytest.raises(SettingsError, match=r"did not agree on TLS within 0\.2 s: is it the"):
            await check_listening(there.agent.address, "tls", believer(tmp_path))


async def test_a_load_by_tls_believes_nobody_by_itself(tmp_path: Path) -> None:
    """A run without a CA places no call, and never goes on in plain."""
    scenario = Scenario(calls=1, hold=0.1, signalling="plain")
    async with callee(tmp_path) as there:
        for trust in (None, ssl.create_default_context()):
            report = await Caller(scenario, there.address, "tls", trust=trust).run()
            assert [call.reason for call in report.calls] == ["the INVITE could not be sent"]
        assert there.agent.counters.requests == 0
