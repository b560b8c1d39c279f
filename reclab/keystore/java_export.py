"""One PKCS#12 file per tenant with all its keys, as Java programs open it."""

from __future__ import annotations

import secrets
from pathlib import Path

from crypto_server.errors import KeystoreError
from crypto_server.keystore.backup import unseal
from crypto_server.keystore.pkcs12_merging import merged_pkcs12
from crypto_server.keystore.tenant_folders import folder_name
from reclab.files import make_private_folder
from reclab.keystore.new_file import check_free, write_new
from reclab.keystore.place import Place


def export_java(place: Place, out: Path, password: str, *, tenant: str, force: bool) -> list[Path]:
    """Write ``<out>/<tenant>.p12`` for each tenant, or one, under `password`; return the files.

    Keys travel in a backup whose password nobody learns. Raises as `Place.backup`,
    `KeystoreError` for a tenant without keys, and `SettingsError`.
    """
    once = secrets.token_urlsafe(32)
    entries = unseal(place.backup(once), once)
    chosen = {name: own for name, own in entries.items() if own and (not tenant or name == tenant)}
    if tenant and not chosen:
        raise KeystoreError(f"tenant {tenant} has no keys")
    files = {name: out / f"{folder_name(name)}.p12" for name in sorted(chosen)}
    for file in files.values():
        check_free(file, force=force)
    make_private_folder(out)
    for name, file in files.items():
        write_new(file, merged_pkcs12(chosen[name], password), force=force)
    return list(files.values())
