"""What a running lab tells its users: ``lab.json``, and where commands find it.

The file appears when everything is ready, with mode 0600: it holds passwords.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from reclab.files import write_private
from service_shell.settings import SettingsError

LAB_FILE = "lab.json"
DEFAULT_FOLDER = "reclab-data"
FAULTS_ROLE = "faults"
"""Of the account that may break the services; there only where faults on purpose are enabled."""

DataOption = Annotated[
    Path,
    typer.Option("--data", envvar="RECLAB_DATA", help="The lab's folder (that of `reclab up`)."),
]


class User(msgspec.Struct, frozen=True):
    """A name and a password for Basic authentication."""

    name: str
    password: str

    def __repr__(self) -> str:
        return f"User(name={self.name!r})"


class Lab(msgspec.Struct, frozen=True):
    """Addresses, users and keys of a lab. URLs have no trailing slash.

    `sip` is ``host:port``, `sip_tls` another for SIP over TLS where there is one; `store` is the
    collection of the recordings; `users` maps a role to its account; `keys` maps a certificate's
    alias to the path of its PEM private key; `services_ca` is the CA file of a lab that speaks TLS.
    """

    sip: str
    control: str
    store: str
    processor: str
    crypto: str
    users: dict[str, User]
    ca_file: str
    keys: dict[str, str]
    domain: str
    ccid: str
    profile_dbid: int
    sip_tls: str = ""
    services_ca: str = ""


def write_lab(folder: Path, lab: Lab) -> Path:
    """Write ``lab.json`` into `folder`, whole at once."""
    path = folder / LAB_FILE
    write_private(path, msgspec.json.format(msgspec.json.encode(lab), indent=2) + b"\n")
    return path


def load_lab(folder: Path) -> Lab:
    """Read ``lab.json`` of `folder`. Raises `SettingsError` when no lab is up there."""
    path = folder / LAB_FILE
    try:
        return msgspec.json.decode(path.read_bytes(), type=Lab)
    except FileNotFoundError:
        raise SettingsError(
            f"{path} is not there: start a lab with `reclab up --data {folder}`"
        ) from None
    except OSError as error:
        raise SettingsError(f"{path} cannot be read ({error.strerror})") from None
    except msgspec.MsgspecError:
        raise SettingsError(f"{path} is not a lab's description") from None


def default_folder(environ: Mapping[str, str] = os.environ) -> Path:
    """Return the folder of `reclab up` when none is named."""
    return Path(environ.get("RECLAB_DATA", DEFAULT_FOLDER))
