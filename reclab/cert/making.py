"""``reclab cert new-ca`` and ``new``: authorities, certificates, requests, in plain PEM files.

The files have the names of the vendor's documents. Nothing is overwritten without `--force`, and
private keys are for their owner only.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer
from cryptography import x509

from reclab.cert.output import note
from reclab.cert.server import read_secret
from reclab.cert.signer import lab_authority, read_authority
from reclab.cert.subject import parse_subject
from reclab.files import write_private
from reclab.lab import DEFAULT_FOLDER, DataOption
from reclab.pki import (
    CA_DAYS,
    CERTIFICATE_DAYS,
    KEY_BITS,
    Pair,
    issue,
    key_pem,
    lab_name,
    new_authority,
    new_key,
    self_signed,
    signing_request,
    utc_now,
)
from reclab.preparation import LabFolder
from service_shell.settings import SettingsError

_MOST_DAYS = 36500
OutOption = Annotated[Path, typer.Option("--out", help="The folder to write into.")]
ForceOption = Annotated[bool, typer.Option("--force", help="Overwrite what is there.")]
BitsOption = Annotated[int, typer.Option("--bits", min=1024, max=8192, help="The RSA key's size.")]
DaysOption = Annotated[
    int, typer.Option("--days", min=1, max=_MOST_DAYS, help="How long it is valid.")
]


def new_ca(
    name: Annotated[str, typer.Argument(metavar="NAME", help="The CA's common name.")],
    out: OutOption,
    days: DaysOption = CA_DAYS,
    bits: BitsOption = KEY_BITS,
    force: ForceOption = False,
) -> None:
    """Make a certificate authority: DIR/ca.pem and its key DIR/ca.key.

    Put ca.pem into the CA file of the crypto server (`validation.ca_file`, `cacertstorepath`) and
    of the platform (`mediamgr.CA_file`), then certificates that it signs are trusted.

    `reclab cert new-ca "Example CA" --out ca`
    """
    if not name.strip():
        raise SettingsError("the CA needs a name")
    files = NewFiles(out, ("ca.pem", "ca.key"), force=force)
    try:
        pair = new_authority(name, utc_now(), bits=bits, days=days)
    except ValueError as error:
        raise SettingsError(f"the name {name!r} cannot be: {error}") from None
    files.write({"ca.key": key_pem(pair.key), "ca.pem": pair.certificate_pem})


def new(
    out: OutOption,
    subject: Annotated[
        str,
        typer.Option("--subject", help='As for OpenSSL: "/CN=Name/C=US/ST=California/O=Org".'),
    ] = "",
    days: DaysOption = CERTIFICATE_DAYS,
    bits: BitsOption = KEY_BITS,
    ca: Annotated[
        Path | None, typer.Option("--ca", help="The CA that signs; else that of the lab.")
    ] = None,
    ca_key: Annotated[Path | None, typer.Option("--ca-key", help="The CA's private key.")] = None,
    ca_password_file: Annotated[
        Path | None, typer.Option("--ca-password-file", help="The file with that key's password.")
    ] = None,
    own: Annotated[
        bool, typer.Option("--self-signed", help="Its own issuer: tenant.pem and tenant.key.")
    ] = False,
    csr: Annotated[
        bool, typer.Option("--csr", help="A request for another CA: cert.req, private_key.pem.")
    ] = False,
    encrypt_key: Annotated[
        bool, typer.Option("--encrypt-key", help="Encrypt the private key with a password.")
    ] = False,
    password_file: Annotated[
        Path | None, typer.Option("--password-file", help="The file with the key's password.")
    ] = None,
    force: ForceOption = False,
    data: DataOption = DEFAULT_FOLDER,  # type: ignore[assignment]  # typer converts it
) -> None:
    """Make a private key with a recording certificate, signed by the lab's CA.

    With --ca another CA signs; --self-signed needs none, and its certificate has to go into the CA
    file itself; --csr leaves the signing to somebody else.

    `reclab cert new --out x && reclab cert upload x`
    """
    if own + csr + (ca is not None) > 1:
        raise SettingsError("choose one of --ca, --self-signed and --csr")
    if (ca is None) != (ca_key is None):
        raise SettingsError("--ca and --ca-key go together")
    if ca_password_file is not None and ca is None:
        raise SettingsError("--ca-password-file belongs to --ca and --ca-key")
    password = _new_password(encrypt_key, password_file)
    name = _subject(subject)
    if bits < KEY_BITS:
        note(f"A key of {bits} bits is refused for recordings, unless the settings allow it.")
    if own:
        files = NewFiles(out, ("tenant.pem", "tenant.key"), force=force)
        pair = self_signed(name, new_key(bits), utc_now(), days=days)
        files.write({"tenant.key": key_pem(pair.key, password), "tenant.pem": pair.certificate_pem})
    elif csr:
        files = NewFiles(out, ("cert.req", "private_key.pem"), force=force)
        key = new_key(bits)
        request = signing_request(name, key)
        files.write({"private_key.pem": key_pem(key, password), "cert.req": request})
    else:
        files = NewFiles(out, ("cert.pem", "private_key.pem"), force=force)
        ca_password = read_secret(ca_password_file) if ca_password_file else ""
        lab = LabFolder(data)
        authority = (
            read_authority(ca, ca_key, ca_password)
            if ca and ca_key
            else lab_authority(lab.ca_file, lab.ca_key)
        )
        key = new_key(bits)
        certificate = issue(name, key.public_key(), authority, utc_now(), days=days)
        pair = Pair(certificate, key)
        files.write({"private_key.pem": key_pem(key, password), "cert.pem": pair.certificate_pem})
        _warn_of_the_end(pair, authority)


class NewFiles:
    """The files that a command writes into a folder. Raises `SettingsError` where one is there."""

    def __init__(self, folder: Path, names: tuple[str, ...], *, force: bool) -> None:
        present = [name for name in names if (folder / name).exists()]
        if present and not force:
            raise SettingsError(
                f"{folder / present[0]} is there already: choose another --out, or say --force"
            )
        self._folder = folder

    def write(self, contents: Mapping[str, bytes | str]) -> None:
        """Write every file, keys (bytes) for their owner only, and say so."""
        for name, content in contents.items():
            path = self._folder / name
            write_private(path, content)
            if isinstance(content, str):
                path.chmod(0o644)
        note("Wrote " + " and ".join(str(self._folder / name) for name in contents))


def _subject(text: str) -> x509.Name:
    if not text:
        return lab_name("Interaction Recording")
    subject = parse_subject(text)
    for warning in subject.warnings:
        note(f"Attention: {warning}")
    return subject.name


def _new_password(encrypt: bool, file: Path | None) -> str:
    """Return the password for a new key; empty when it is not to be encrypted."""
    if not encrypt:
        if file is not None:
            raise SettingsError("--password-file belongs to --encrypt-key")
        return ""
    if file is not None:
        return read_secret(file)
    if not sys.stdin.isatty():
        raise SettingsError("--encrypt-key needs --password-file where nobody can type")
    typed: str = typer.prompt(
        "Private Key Password", hide_input=True, confirmation_prompt=True, err=True
    )
    return typed


def _warn_of_the_end(pair: Pair, authority: Pair) -> None:
    until = authority.certificate.not_valid_after_utc
    if pair.certificate.not_valid_after_utc > until:
        note(f"The CA expires before it, on {until.date()}: then it cannot be used any more.")
