"""``/lab/keystore`` over HTTP: backup, restore, the change of the password, import.

What concerns the whole keystore is for administrators of every tenant. A body holds passwords and
keys: none of it reaches a log, an answer or the audit.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import ParamSpec, TypeVar

import msgspec
from aiohttp import web

from crypto_server.administration.action import Act, Actions, AdministrationRecord, answer
from crypto_server.administration.body import read_form
from crypto_server.administration.certificates import Certificates
from crypto_server.administration.errors import AdministrationRefused, Conflict, NotPermitted
from crypto_server.administration.expiry import Expiry
from crypto_server.administration.turn import Turn
from crypto_server.errors import KeystoreError
from crypto_server.keystore import Keystore
from crypto_server.keystore.backup import backup, restore
from crypto_server.keystore.import_entries import import_entries, import_into
from recording_format.certificates import certificate_alias
from service_shell.accounts import Account
from service_shell.web import ACCOUNT

#: The largest backup, in base64.
_LARGEST = 96 * 1024 * 1024
_SHORTEST_PASSWORD = 8
P = ParamSpec("P")
T = TypeVar("T")


class NewPassword(msgspec.Struct, forbid_unknown_fields=True):
    """A password that is to be used from now on."""

    password: str

    def __repr__(self) -> str:
        return "NewPassword()"


class RestoreForm(msgspec.Struct, forbid_unknown_fields=True):
    """A backup, and the password that it has."""

    data: bytes
    password: str
    replace: bool = False

    def __repr__(self) -> str:
        return "RestoreForm()"


class ImportForm(msgspec.Struct, forbid_unknown_fields=True, rename="camel"):
    """A foreign keystore, and whose keys they become."""

    data: bytes
    password: str
    key_password: str = ""
    tenant: str = ""
    replace: bool = False
    only: list[str] = []

    def __repr__(self) -> str:
        return "ImportForm()"


class KeystoreRoutes:
    """The handlers about the keystore as a whole."""

    def __init__(
        self, keystore: Keystore, certificates: Certificates, expiry: Expiry, actions: Actions
    ) -> None:
        self._keystore = keystore
        self._certificates = certificates
        self._expiry = expiry
        self._actions = actions
        self._turn = Turn()

    def add_to(self, app: web.Application) -> None:
        """Register the paths."""
        change, router = self._actions.change, app.router
        router.add_post(
            "/lab/keystore/backup", change("keystore-backup", self._alone(self.back_up))
        )
        router.add_post(
            "/lab/keystore/restore", change("keystore-restore", self._alone(self.restore))
        )
        router.add_post("/lab/keystore/password", change("keystore-password", self.set_password))
        router.add_post(
            "/lab/keystore/import", change("keystore-import", self._alone(self.import_))
        )

    def _alone(self, handler: Act) -> Act:
        """Let a handler run one at a time: it takes much memory."""

        async def handle(request: web.Request, record: AdministrationRecord) -> web.Response:
            async with self._turn:
                return await handler(request, record)

        return handle

    async def back_up(self, request: web.Request, _record: AdministrationRecord) -> web.Response:
        """Answer all keys as one file under a password of its own."""
        _check_whole(request)
        form = await read_form(request, NewPassword)
        _check_password(form.password)
        data = await _in_thread(backup, self._keystore, form.password)
        return web.Response(
            body=data,
            content_type="application/octet-stream",
            headers={
                "Cache-Control": "no-store",
                "Content-Disposition": 'attachment; filename="keystore.backup"',
            },
        )

    async def restore(self, request: web.Request, record: AdministrationRecord) -> web.Response:
        """Take the keys of a backup; those that are there are kept, or with `replace` replaced."""
        _check_whole(request)
        form = await read_form(request, RestoreForm, largest=_LARGEST)
        record.detail = "replace" if form.replace else None
        async with self._certificates.changing:
            report = await _in_thread(
                restore, self._keystore, form.data, form.password, replace=form.replace
            )
        await self._expiry.refresh()
        return answer(report._asdict())

    async def set_password(
        self, request: web.Request, _record: AdministrationRecord
    ) -> web.Response:
        """Encrypt the keystore with a new password."""
        _check_whole(request)
        form = await read_form(request, NewPassword)
        _check_password(form.password)
        async with self._certificates.changing:
            count = await _in_thread(self._keystore.change_password, form.password)
        note = None
        if self._keystore.password_file is None:
            note = "give the new password to the crypto server before it starts again"
        return answer({"keys": count, "note": note})

    async def import_(self, request: web.Request, record: AdministrationRecord) -> web.Response:
        """Take the entries of a PKCS#12 file or a Java keystore for one tenant."""
        form = await read_form(request, ImportForm, largest=_LARGEST)
        account: Account = request[ACCOUNT]
        tenant, dbid = await self._certificates.tenant_dbid(account, form.tenant)
        record.tenant = tenant
        found = await _in_thread(
            import_entries,
            form.data,
            form.password,
            key_password=form.key_password,
            name="file",
            only=form.only,
        )
        async with self._certificates.changing:
            report = await _in_thread(
                import_into, self._keystore, tenant, dbid, found, replace=form.replace
            )
        await self._expiry.refresh()
        imported = [
            {
                "oldAlias": one.old_alias,
                "alias": certificate_alias(one.certificate, tenant, dbid),
                "id": one.certificate.fingerprint,
            }
            for one in found
        ]
        return answer({**report._asdict(), "entries": imported})


def _check_whole(request: web.Request) -> None:
    """Raise `NotPermitted` for an account that is limited to some tenants."""
    account: Account = request[ACCOUNT]
    if not account.every_tenant:
        raise NotPermitted(f"{account.name!r} may not reach every tenant, and so not the keystore")


def _check_password(password: str) -> None:
    if len(password) < _SHORTEST_PASSWORD:
        raise AdministrationRefused(f"the password is shorter than {_SHORTEST_PASSWORD} characters")


async def _in_thread(work: Callable[P, T], *given: P.args, **named: P.kwargs) -> T:
    """Run what blocks; what the keystore says no to is a conflict."""
    try:
        return await asyncio.to_thread(work, *given, **named)
    except KeystoreError as error:
        raise Conflict(str(error)) from None
