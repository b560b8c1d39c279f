"""The keystore of a running crypto server, through its administration."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Mapping
from typing import Any

import aiohttp
import msgspec

from reclab.cert.server import Address, JsonDict, Refused, server
from reclab.https import trusting, unanswered
from reclab.keystore.place import Changed, Counts, ForeignFile, Row
from service_shell.accounts import basic_header
from service_shell.settings import SettingsError

_TIMEOUT = aiohttp.ClientTimeout(total=300, connect=10)


class ServerPlace:
    """Asks the server at `address` as its administrator."""

    def __init__(self, address: Address) -> None:
        self._address = address

    def rows(self) -> list[Row]:
        """Return all keys, by tenant and alias."""
        found = self._ask("GET", "/lab/certificates")["certificates"]
        rows = msgspec.convert(found, list[Row])
        return sorted(rows, key=lambda row: (row.tenant, row.alias))

    def backup(self, password: str) -> bytes:
        """Return everything as one encrypted file."""
        return asyncio.run(self._download("/lab/keystore/backup", {"password": password}))

    def restore(self, data: bytes, password: str, *, replace: bool) -> Counts:
        """Take what a backup has."""
        said = {"data": _text(data), "password": password, "replace": replace}
        return _counts(self._ask("POST", "/lab/keystore/restore", said))

    def change_password(self, new: str) -> Changed:
        """Encrypt everything with `new`; the server goes on with it."""
        answer = self._ask("POST", "/lab/keystore/password", {"password": new})
        note = answer.get("note")
        return Changed(int(answer["keys"]), note and f"{note[:1].upper()}{note[1:]}.")

    def import_file(self, file: ForeignFile, tenant: str, dbid: int | None) -> Counts:
        """Take the keys of another keystore's file for one tenant."""
        if dbid is not None:
            raise SettingsError("--dbid belongs to --folder: a crypto server knows its tenants")
        said = {
            "tenant": tenant,
            "data": _text(file.data),
            "password": file.password,
            "keyPassword": file.key_password,
            "only": list(file.only),
            "replace": file.replace,
        }
        return _counts(self._ask("POST", "/lab/keystore/import", said))

    def _ask(self, method: str, path: str, said: Mapping[str, object] | None = None) -> JsonDict:
        async def ask() -> JsonDict:
            async with server(self._address) as asked:
                return await asked.ask(method, path, said)

        return asyncio.run(ask())

    async def _download(self, path: str, said: Mapping[str, object]) -> bytes:
        url, user = self._address.url + path, self._address.user
        headers = {"Authorization": basic_header(user.name, user.password)}
        try:
            async with (
                aiohttp.ClientSession(
                    headers=headers,
                    timeout=_TIMEOUT,
                    connector=trusting(self._address.services_ca),
                ) as http,
                http.post(url, json=said, allow_redirects=False) as response,
            ):
                data = await response.read()
                if response.status != 200:
                    raise Refused(_sentence(data, url, response.status), response.status)
                return data
        except (aiohttp.ClientError, TimeoutError) as error:
            raise SettingsError(unanswered(error, url)) from None


def _counts(answer: JsonDict) -> Counts:
    return Counts(int(answer["added"]), int(answer["kept"]), int(answer["replaced"]))


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _sentence(data: bytes, url: str, status: int) -> str:
    try:
        answer: Any = msgspec.json.decode(data)
    except msgspec.MsgspecError:
        answer = None
    said = answer.get("statusMessage") if isinstance(answer, dict) else None
    return str(said) if said else f"{url} answered {status}"
