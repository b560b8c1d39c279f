"""The keystore that a crypto server's settings name, with the password that they lead to."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from crypto_server.keystore.keystore import Keystore
from crypto_server.settings import KEYSTORE_PASSWORD, KeystoreSettings, read_password


def open_keystore(settings: KeystoreSettings, environ: Mapping[str, str]) -> Keystore:
    """Open it. A password from the environment cannot be rewritten when it is changed.

    Raises `SettingsError` without a password, and `KeystoreError`.
    """
    password = read_password(settings.password_file, KEYSTORE_PASSWORD, "keystore", environ)
    from_file = not environ.get(KEYSTORE_PASSWORD)
    return Keystore.open(
        Path(settings.folder),
        password,
        password_file=Path(settings.password_file) if from_file else None,
    )
