"""The crypto server's administration as commands ask it: the lab's own, or one by its URL.

What it refuses is a `Refused` with its sentence; that it does not answer is a `SettingsError`.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Coroutine, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated, Any, NamedTuple, TypeVar
from urllib.parse import quote, urlsplit

import aiohttp
import typer

from reclab.https import trusting, unanswered
from reclab.lab import Lab, User, load_lab
from service_shell.accounts import basic_header
from service_shell.settings import SettingsError

_TIMEOUT = aiohttp.ClientTimeout(total=120, connect=10)
#: What the server's sentences call a parameter, and what it is in a command.
_OPTIONS = {"force": "--force", "acceptExpired": "--accept-expired", "tenant": "--tenant"}
#: The characters of an id that was not shortened.
WHOLE_ID = 64
T = TypeVar("T")
JsonDict = dict[str, Any]

UrlOption = Annotated[
    str, typer.Option("--url", help="Another crypto server instead of the lab's.")
]
UserOption = Annotated[str, typer.Option("--user", help="Its administrator, with --url.")]
UserPasswordOption = Annotated[
    Path | None,
    typer.Option("--user-password-file", help="The file with that administrator's password."),
]
TenantOption = Annotated[
    str, typer.Option("--tenant", help="The tenant; needed where there are several.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="JSON, for programs.")]
ID = Annotated[
    str,
    typer.Argument(metavar="ID|FILE", help="The certificate's id or its beginning, or its file."),
]


class Refused(Exception):
    """The server said no; the text is its sentence."""

    def __init__(self, sentence: str, status: int) -> None:
        super().__init__(sentence)
        self.status = status


class Address(NamedTuple):
    """Where the administration is, who asks, and the lab when it is one."""

    url: str
    user: User
    lab: Lab | None

    @property
    def services_ca(self) -> str:
        """The CA file that the lab's services are believed by."""
        return self.lab.services_ca if self.lab else ""


class Wanted(NamedTuple):
    """A certificate that a person named: the beginning of its id, and how it was said."""

    beginning: str
    described: str


class Server:
    """Asks one crypto server; made by `server`."""

    def __init__(self, address: Address, http: aiohttp.ClientSession) -> None:
        self.address = address
        self._http = http

    async def ask(
        self,
        method: str,
        path: str,
        said: Mapping[str, object] | None = None,
        *,
        query: Mapping[str, str] | None = None,
        base: str = "",
    ) -> JsonDict:
        """Return the answer of a request that was granted. Raises `Refused`."""
        url = (base or self.address.url) + path
        given = {name: text for name, text in (query or {}).items() if text}
        try:
            async with self._http.request(
                method, url, json=said, params=given, allow_redirects=False
            ) as response:
                answer = await response.json(content_type=None)
                if response.status >= 300:
                    raise Refused(_sentence(answer, url, response.status), response.status)
        except (aiohttp.ClientError, TimeoutError) as error:
            raise SettingsError(unanswered(error, url)) from None
        except ValueError:
            raise SettingsError(f"{url} does not answer as a crypto server does") from None
        if not isinstance(answer, dict):
            raise SettingsError(f"{url} does not answer as a crypto server does")
        return answer

    async def row(self, wanted: Wanted, tenant: str) -> JsonDict:
        """Return the listed certificate that is wanted. Raises `Refused`."""
        answer = await self.ask("GET", "/lab/certificates", query={"tenant": tenant})
        listed: list[JsonDict] = answer["certificates"]
        found = [row for row in listed if row["id"].startswith(wanted.beginning)]
        if not found:
            raise Refused(f"the keystore has no {wanted.described}: see `reclab cert list`", 404)
        if len(found) > 1:
            many = ", ".join(f"{row['id'][:12]} of {row['tenant']}" for row in found)
            raise Refused(
                f"several are meant by the {wanted.described}, say --tenant or more of the id:"
                f" {many}",
                400,
            )
        return found[0]

    async def profile(self, text: str) -> int:
        """Return the DBID of a profile that is named by its DBID or its name."""
        if text.isascii() and text.isdigit():
            return int(text)
        if self.address.lab is None:
            raise SettingsError("with --url a profile is named by its DBID")
        base = self.address.lab.processor
        known = (await self.ask("GET", "/lab/profiles", base=base))["profiles"]
        found = [profile["dbid"] for profile in known if profile["name"] == text]
        if len(found) == 1:
            return int(found[0])
        names = ", ".join(f"{profile['name']} ({profile['dbid']})" for profile in known)
        if found:
            raise Refused(f"several profiles are named {text}, give the DBID: {names}", 400)
        raise Refused(f"there is no profile {text!r} among {names or 'none'}", 404)

    async def change(
        self,
        method: str,
        row: JsonDict,
        further: str = "",
        said: Mapping[str, object] | None = None,
        *,
        query: Mapping[str, str] | None = None,
    ) -> JsonDict:
        """Ask for a change of one listed certificate."""
        path = f"/lab/certificates/{quote(row['id'], safe='')}{further}"
        if said is not None:
            return await self.ask(method, path, {**said, "tenant": row["tenant"]})
        return await self.ask(method, path, query={"tenant": row["tenant"], **(query or {})})


@asynccontextmanager
async def server(address: Address) -> AsyncIterator[Server]:
    """Give what asks the server at `address`."""
    headers = {"Authorization": basic_header(address.user.name, address.user.password)}
    async with aiohttp.ClientSession(
        headers=headers, timeout=_TIMEOUT, connector=trusting(address.services_ca)
    ) as http:
        yield Server(address, http)


def find_server(data: Path, url: str, user: str, password_file: Path | None) -> Address:
    """Return the address that the options say: a URL with its administrator, or the lab's."""
    if not url:
        if user or password_file:
            raise SettingsError("--user and --user-password-file belong to --url")
        lab = load_lab(data)
        return Address(lab.crypto, lab.users["admin"], lab)
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname or "@" in parts.netloc:
        raise SettingsError("--url is not of the form http://host:port (names go into --user)")
    if not user or password_file is None:
        raise SettingsError("--url needs --user and --user-password-file")
    return Address(url.rstrip("/"), User(user, read_secret(password_file)), None)


def read_secret(path: Path) -> str:
    """Return the first line of a password file. Raises `SettingsError`."""
    try:
        secret = path.read_text(encoding="utf-8").partition("\n")[0].rstrip("\r")
    except (OSError, UnicodeDecodeError):
        raise SettingsError(f"the password file {path} cannot be read") from None
    if not secret:
        raise SettingsError(f"the password file {path} is empty")
    return secret


def finish(work: Coroutine[Any, Any, T]) -> T:
    """Run a command's work; what was refused is its sentence and exit code 1."""
    try:
        return asyncio.run(work)
    except Refused as error:
        sys.stderr.write(f"reclab: {error}\n")
        raise typer.Exit(1) from None


def _sentence(answer: object, url: str, status: int) -> str:
    said = answer.get("statusMessage") if isinstance(answer, dict) else None
    if not said:
        return f"{url} answered {status}"
    for parameter, option in _OPTIONS.items():
        said = str(said).replace(f"`{parameter}`", f"`{option}`")
    return str(said)
