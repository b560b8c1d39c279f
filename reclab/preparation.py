"""Everything that a lab needs before its services start: certificates, keys, accounts, settings.

`prepare` makes what is missing in the lab's folder and keeps what is there, so that a second start
finds the same authority, keys, passwords and ports. All secrets lie in files of mode 0600.
"""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import Any, Literal

import msgspec
import tomli_w

from crypto_server.errors import KeystoreError
from crypto_server.keystore import Keystore
from reclab.files import make_private_folder, write_private
from reclab.lab import FAULTS_ROLE, Lab, User
from reclab.pki import Pair, new_authority, new_recording_certificate, utc_now, write_pair
from reclab.service_certificates import ServiceCertificates
from recording_format.certificates import RecordingCertificate, certificate_alias
from service_shell.accounts import hash_password
from service_shell.settings import SettingsError

TENANT, TENANT_DBID = "Environment", 1
PROFILE, PROFILE_DBID = "recording", 101
DOMAIN, CCID, REGION = "lab.example", "5a1f0c3e-0000-4000-8000-00000000c0de", "lab"
SERVICE_PARAMETERS = "gvp.service-parameters"
TYPE = "recordingclient.type"
CHANNELS = "recordingclient.gvp.config.mpc.record.channels"
PUBLIC_ROLES = ("mcp", "operator", "listener", "admin")
INTERNAL_ROLES = ("processor", "crypto")
_PLAN = "lab-plan.json"
_KEYSTORE = "keystore"


class Addresses(msgspec.Struct, frozen=True):
    """``host:port`` of each door of the lab, as the others reach it.

    With `sip_tls` every service speaks TLS, and SIP does there.
    """

    sip: str
    control: str
    store: str
    processor: str
    crypto: str
    sip_tls: str = ""

    @property
    def scheme(self) -> str:
        """That of the services' URLs."""
        return "https" if self.sip_tls else "http"


class RecordingOptions(msgspec.Struct, frozen=True):
    """What `reclab up` lets a person choose about the recordings. None: as it was before."""

    type: Literal["wav", "mp3"] | None = None
    channels: Literal["stereo", "mono"] | None = None

    @property
    def parameters(self) -> dict[str, str]:
        """The service parameters that a person chose."""
        chosen = {TYPE: self.type and f"audio/{self.type}", CHANNELS: self.channels}
        return {name: f"fixed,{value}" for name, value in chosen.items() if value}


FIRST_OPTIONS = RecordingOptions(type="wav", channels="stereo")


class LabPlan(msgspec.Struct, frozen=True):
    """What was made once for this folder and stays. `keys` maps aliases to files in the folder."""

    addresses: Addresses
    passwords: dict[str, str]
    keys: dict[str, str]
    certificates: dict[str, str]

    def user(self, role: str) -> User:
        """Return the account of `role`; its name is the role's."""
        return User(role, self.passwords[role])


class LabFolder:
    """Names of the files in a lab's folder."""

    def __init__(self, root: Path) -> None:
        self.root = root.absolute()
        self.ca_file = self.root / "ca.pem"
        self.ca_key = self.root / "keys" / "ca.key.pem"
        self.netrc = self.root / "netrc"
        self.keyring = self.root / "spool.keyring"
        self.keystore = self.root / "keystore"
        self.store = self.root / "store"
        self.catalogue = self.root / "catalogue"
        self.settings = self.root / "etc"
        self.secrets = self.root / "secrets"
        self.logs = self.root / "log"
        self.plan = self.root / _PLAN
        self.service_certificates = ServiceCertificates(self.root)

    def password_file(self, name: str) -> Path:
        """The file that holds the password of `name`."""
        return self.secrets / f"{name}.password"


def catalogue_file(folder: LabFolder) -> Path:
    """The processor's catalogue in a lab's folder."""
    return folder.catalogue / "recordings.sqlite"


def load_plan(folder: LabFolder) -> LabPlan | None:
    """Return what an earlier start made in this folder, or None. Raises `SettingsError`."""
    try:
        return msgspec.json.decode(folder.plan.read_bytes(), type=LabPlan)
    except FileNotFoundError:
        return None
    except OSError as error:
        reason = (error.strerror or "").lower()
        raise SettingsError(f"{folder.plan} cannot be read: {reason}") from None
    except msgspec.MsgspecError:
        raise SettingsError(
            f"{folder.plan} is damaged: bring back a copy of it, or remove the folder"
        ) from None


def prepare(
    folder: LabFolder,
    addresses: Addresses,
    options: RecordingOptions,
    *,
    listen_host: str = "",
    faults: bool = False,
) -> LabPlan:
    """Make or complete the lab in `folder`; return its plan.

    With `listen_host` (for containers) each service listens there, on its address's port. With
    `faults` the services can be broken on purpose, by an account for it.
    """
    for needed in (folder.root, folder.catalogue, folder.store):
        make_private_folder(needed)
    plan = load_plan(folder) or _make_identity(folder, addresses)
    passwords = _with_faults(plan.passwords) if faults else plan.passwords
    plan = msgspec.structs.replace(plan, addresses=addresses, passwords=passwords)
    write_private(folder.plan, msgspec.json.encode(plan))
    for name, password in plan.passwords.items():
        file = folder.password_file(name)
        # The keystore's is changed while the lab runs: what the file says is what opens it.
        if name != _KEYSTORE or not file.exists():
            write_private(file, password + "\n")
    if addresses.sip_tls:
        at = {name: getattr(addresses, name) for name in ("store", "processor", "crypto")}
        at |= {"control": addresses.control, "sip": addresses.sip_tls}
        folder.service_certificates.issue(at, utc_now())
    host = addresses.processor.rpartition(":")[0].strip("[]")
    operator = plan.user("operator")
    netrc = f"machine {host} login {operator.name} password {operator.password}\n"
    write_private(folder.netrc, netrc)
    settings = _all_settings(folder, plan, options, listen_host)
    for name, content in (_breakable(settings, plan) if faults else settings).items():
        write_private(folder.settings / f"{name}.toml", tomli_w.dumps(content))
    return plan


def describe(folder: LabFolder, plan: LabPlan, *, faults: bool = False) -> Lab:
    """Return what ``lab.json`` says; `faults` as the lab was prepared."""
    at = plan.addresses
    roles = (*PUBLIC_ROLES, FAULTS_ROLE) if faults else PUBLIC_ROLES
    return Lab(
        sip=at.sip,
        control=f"{at.scheme}://{at.control}",
        store=_store_url(at),
        processor=f"{at.scheme}://{at.processor}",
        crypto=f"{at.scheme}://{at.crypto}",
        users={role: plan.user(role) for role in roles},
        ca_file=str(folder.ca_file),
        keys={alias: str(folder.root / file) for alias, file in plan.keys.items()},
        domain=DOMAIN,
        ccid=CCID,
        profile_dbid=PROFILE_DBID,
        sip_tls=at.sip_tls,
        services_ca=str(folder.service_certificates.ca_file) if at.sip_tls else "",
    )


def profile(folder: LabFolder, plan: LabPlan, options: RecordingOptions) -> dict[str, object]:
    """Return the lab's IVR profile in its JSON shape: two certificates, two destinations."""
    mcp = plan.user("mcp")
    login = f"fixed,{mcp.name}:{mcp.password}"
    certificates = {f"certificates-{n}": pem for n, pem in enumerate(plan.certificates.values(), 1)}
    return {
        "dbid": PROFILE_DBID,
        "name": PROFILE,
        "tenant": {"name": TENANT, "dbid": TENANT_DBID},
        "sections": {
            "gvp.general": {"service-type": "record"},
            SERVICE_PARAMETERS: {
                "recordingclient.recdest": f"fixed,{_store_url(plan.addresses)}",
                "recordingclient.httpauthorization": login,
                "recordingclient.callrec_dest": f"fixed,{_metadata_url(plan.addresses)}",
                "recordingclient.callrec_authorization": login,
                "recordingclient.gvp.config.mpc.mediamgr.CA_file": f"fixed,{folder.ca_file}",
                **FIRST_OPTIONS.parameters,
                **options.parameters,
            },
            "recording-certificates": certificates,
        },
    }


def _store_url(addresses: Addresses) -> str:
    return f"{addresses.scheme}://{addresses.store}/recordings"


def _metadata_url(addresses: Addresses) -> str:
    return f"{addresses.scheme}://{addresses.processor}/api/contact-centers/{DOMAIN}/recordings"


def _make_identity(folder: LabFolder, addresses: Addresses) -> LabPlan:
    """Make the authority, two recording certificates, the keystore and the passwords."""
    now = utc_now()
    names = (*PUBLIC_ROLES, *INTERNAL_ROLES, _KEYSTORE)
    passwords = {name: secrets.token_urlsafe(18) for name in names}
    try:
        keystore = Keystore.open(folder.keystore, passwords[_KEYSTORE])
    except KeystoreError as error:
        raise SettingsError(f"{folder.plan} is missing, and {error}: remove the folder") from None
    authority = new_authority("Recording Lab CA", now)
    write_private(folder.ca_file, authority.certificate_pem)
    write_private(folder.ca_key, authority.key_pem)  # `reclab cert new` signs with it
    keys: dict[str, str] = {}
    certificates: dict[str, str] = {}
    for number in (1, 2):
        pair = new_recording_certificate(f"Interaction Recording {number}", authority, now)
        alias, key_file = _deploy(folder, keystore, pair, number)
        keys[alias] = str(key_file.relative_to(folder.root))  # the folder may be moved
        certificates[alias] = pair.certificate_pem
    keystore.close()
    return LabPlan(addresses, passwords, keys, certificates)


def _deploy(folder: LabFolder, keystore: Keystore, pair: Pair, number: int) -> tuple[str, Path]:
    key_file = folder.root / "keys" / f"recording-{number}.key.pem"
    write_pair(pair, folder.root / "certificates" / f"recording-{number}.pem", key_file)
    certificate = RecordingCertificate.load(pair.certificate_pem, name=f"certificate {number}")
    alias = certificate_alias(certificate, TENANT, TENANT_DBID)
    keystore.add(TENANT, alias, certificate, pair.key)
    return alias, key_file


def _with_faults(passwords: dict[str, str]) -> dict[str, str]:
    return {FAULTS_ROLE: secrets.token_urlsafe(18)} | passwords


def _account(role: str, plan: LabPlan) -> dict[str, object]:
    return {"name": role, "roles": [role], "password_hash": hash_password(plan.passwords[role])}


def _breakable(settings: dict[str, dict[str, Any]], plan: LabPlan) -> dict[str, dict[str, Any]]:
    """Return the settings with faults enabled in each service, and an account that may use them."""
    account = _account(FAULTS_ROLE, plan)
    return {
        name: {**each, "accounts": [*each["accounts"], account], "faults": {"enabled": True}}
        if "accounts" in each
        else each
        for name, each in settings.items()
    }


def _all_settings(
    folder: LabFolder, plan: LabPlan, options: RecordingOptions, listen_host: str
) -> dict[str, dict[str, Any]]:
    """Return the four services' settings, as their TOML files hold them."""
    at = plan.addresses

    def listen(address: str) -> str:
        return f"{listen_host}:{address.rpartition(':')[2]}" if listen_host else address

    def accounts(*roles: str) -> list[dict[str, object]]:
        return [_account(role, plan) for role in roles]

    settings: dict[str, dict[str, object]] = {
        "store": {
            "listen": listen(at.store),
            "root": str(folder.store),
            "accounts": accounts("mcp", "operator", "admin", "processor"),
        },
        "processor": {
            "listen": listen(at.processor),
            "catalogue": str(catalogue_file(folder)),
            "crypto_url": f"{at.scheme}://{at.crypto}",
            "contact_center": {"domain": DOMAIN, "ccid": CCID, "region": REGION},
            "accounts": accounts("mcp", "operator", "listener", "admin", "crypto"),
            "storages": [
                {
                    "url": _store_url(at),
                    "name": "processor",
                    "password_file": str(folder.password_file("processor")),
                }
            ],
            "provision": [str(folder.settings / "profiles.toml")],
        },
        "profiles": {
            "tenants": [{"name": TENANT, "dbid": TENANT_DBID}],
            "profiles": [{**profile(folder, plan, options), "tenant": TENANT}],
        },
        "crypto": {
            "listen": listen(at.crypto),
            "accounts": accounts("listener", "operator", "admin"),
            "keystore": {
                "folder": str(folder.keystore),
                "password_file": str(folder.password_file(_KEYSTORE)),
            },
            "processor": {
                "url": f"{at.scheme}://{at.processor}",
                "user": "crypto",
                "password_file": str(folder.password_file("crypto")),
            },
            "audit": {"file": str(folder.root / "audit.jsonl")},
            "validation": {"ca_file": str(folder.ca_file)},
        },
        "mcp": {
            "listen": listen(at.control),
            "sip": {
                "listen": listen(at.sip),
                "contact_host": at.sip.rpartition(":")[0],
                **({"listen_tls": listen(at.sip_tls)} if at.sip_tls else {}),
            },
            "spool": {"folder": str(folder.root / "spool"), "keyring": str(folder.keyring)},
            "processor": {
                "url": f"{at.scheme}://{at.processor}",
                "user": "mcp",
                "password_file": str(folder.password_file("mcp")),
            },
            "mpc": {"mediamgr.CA_file": str(folder.ca_file)},
            "accounts": accounts("operator", "admin"),
        },
    }
    if at.sip_tls:
        _add_tls(settings, folder.service_certificates)
    return settings


def _add_tls(settings: dict[str, dict[str, object]], certificates: ServiceCertificates) -> None:
    """Give each service its certificate, and each client of others the CA of all."""
    trust: dict[str, object] = {"trust": {"ca_file": str(certificates.ca_file)}}
    settings["store"] |= {"tls": certificates.settings("store")}
    settings["processor"] |= {"tls": certificates.settings("processor"), **trust}
    settings["crypto"] |= {"tls": certificates.settings("crypto"), **trust}
    settings["mcp"] |= {"tls": certificates.settings("control"), **trust}
    sip = settings["mcp"]["sip"]
    assert isinstance(sip, dict)
    sip["tls"] = certificates.settings("sip")
