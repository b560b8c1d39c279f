"""Whether a key of the keystore opens a recording, as the crypto server would look for one.

By the recipients' names (issuer and serial) among the keys of the recording's tenant: no key is
needed to tell.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from reclab.cert.server import Address, Refused, server
from reclab.lab import Lab
from reclab.lab_client import LabError
from recording_format.distinguished_name import readable_name
from recording_format.envelope import Envelope
from recording_format.errors import EnvelopeError
from service_shell.settings import SettingsError


class HeldKeys:
    """The aliases that a keystore has a key for, by tenant. `files` are the lab's own key files."""

    def __init__(
        self, aliases: Mapping[str, frozenset[str]], files: Mapping[str, str] | None = None
    ) -> None:
        self._aliases = aliases
        self._files = files or {}

    def fault(self, tenant: str, named: Sequence[str], pkcs7: str | None) -> str:
        """Return why no key opens what is encrypted for `named`, or an empty text.

        `pkcs7` is the envelope, None for a recording that is not encrypted.
        """
        held = self._aliases.get(tenant, frozenset())
        if pkcs7 is None or not held.isdisjoint(named):
            return ""
        try:
            recipients = Envelope.from_pem(pkcs7).recipients
        except EnvelopeError as error:
            return f"nobody can tell whose key opens it: {error}"
        endings = tuple(f":{readable_name(one.issuer)}:{one.serial}" for one in recipients)
        if any(alias.endswith(endings) for alias in held):
            return ""
        names = ", ".join(named) or "nobody by name"
        return f"tenant {tenant} has no key in the keystore for {names}{self._hint(endings)}"

    def _hint(self, endings: tuple[str, ...]) -> str:
        for alias, file in self._files.items():
            if alias.endswith(endings) and Path(file).is_file():
                return f"; its key lies in {file}, and can be uploaded by `reclab cert upload`"
        return ""


async def held_keys(lab: Lab) -> HeldKeys:
    """Ask the crypto server's administration. Raises `LabError`."""
    try:
        async with server(Address(lab.crypto, lab.users["admin"], lab)) as asked:
            rows = (await asked.ask("GET", "/lab/certificates"))["certificates"]
        aliases: dict[str, set[str]] = {}
        for row in rows:
            aliases.setdefault(str(row["tenant"]), set()).add(str(row["alias"]))
    except (SettingsError, Refused, LookupError, TypeError) as error:
        raise LabError(str(error) or "the crypto server gave no list of keys") from None
    return HeldKeys({tenant: frozenset(names) for tenant, names in aliases.items()}, lab.keys)
