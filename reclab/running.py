"""A whole lab, up: four services as supervised children, on loopback, ready when this says so."""

from __future__ import annotations

import asyncio
import fcntl
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from pathlib import Path
from typing import NamedTuple

import aiohttp

from reclab.files import make_private_folder
from reclab.lab import LAB_FILE, Lab, write_lab
from reclab.preparation import (
    PROFILE_DBID,
    Addresses,
    LabFolder,
    LabPlan,
    RecordingOptions,
    describe,
    load_plan,
    prepare,
    profile,
)
from reclab.supervisor import Child, ChildFailed
from service_shell.accounts import basic_header
from service_shell.listening import bind_pair, bind_tcp, display
from service_shell.settings import SettingsError

DEFAULT_ADDRESSES = Addresses(
    sip="127.0.0.1:5060",
    control="127.0.0.1:8800",
    store="127.0.0.1:8801",
    processor="127.0.0.1:8802",
    crypto="127.0.0.1:8803",
)
_FREE = Addresses(*(["127.0.0.1:0"] * 5))
_MCP_GRACE, _SERVICE_GRACE = 40.0, 15.0

Say = Callable[[str], None]


class Doors(NamedTuple):
    """The listening sockets, bound before any service starts."""

    sip_udp: socket.socket
    sip_tcp: socket.socket
    control: socket.socket
    store: socket.socket
    processor: socket.socket
    crypto: socket.socket

    @property
    def addresses(self) -> Addresses:
        """Where they are."""
        return Addresses(*(display(door) for door in self[1:]))


@asynccontextmanager
async def running_lab(
    data: Path, options: RecordingOptions, *, ephemeral: bool, say: Say
) -> AsyncIterator[Lab]:
    """Bring the lab in folder `data` up; yield its description; end it in order.

    Raises `SettingsError` for a folder or port that cannot be used, or a service that cannot start.
    """
    folder = LabFolder(data)
    make_private_folder(folder.root)
    with ExitStack() as held:
        held.enter_context(_locked(folder))
        (folder.root / LAB_FILE).unlink(missing_ok=True)
        doors = _bind(load_plan(folder), ephemeral=ephemeral)
        for door in doors:
            held.enter_context(door)
        say("Preparing certificates, keys and accounts …")
        plan = await asyncio.to_thread(prepare, folder, doors.addresses, options)
        children = _children(folder, doors)
        lab = describe(folder, plan)
        try:
            await _start(children, say)
            await _deploy_profile(lab, profile(folder, plan, options))
            write_lab(folder.root, lab)
            watches = [asyncio.create_task(child.watch()) for child in children]
            try:
                yield lab
            finally:
                for watch in watches:
                    watch.cancel()
                await asyncio.gather(*watches, return_exceptions=True)
                say("Stopping: finishing calls, delivering recordings …")
        finally:
            (folder.root / LAB_FILE).unlink(missing_ok=True)
            await _stop(children)


@contextmanager
def _locked(folder: LabFolder) -> Iterator[None]:
    """Hold the folder for this process: two labs in one folder would ruin each other."""
    with (folder.root / "lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise SettingsError(f"another lab is up in {folder.root}") from None
        yield


def _bind(plan: LabPlan | None, *, ephemeral: bool) -> Doors:
    """Bind every door; a folder keeps its ports, because stored metadata names them."""
    wanted = plan.addresses if plan else (_FREE if ephemeral else DEFAULT_ADDRESSES)
    try:
        return _bind_all(wanted)
    except SettingsError:
        if not ephemeral:
            raise
    return _bind_all(_FREE)


def _bind_all(at: Addresses) -> Doors:
    with ExitStack() as undo:
        udp, tcp = bind_pair(at.sip)
        undo.enter_context(udp)
        undo.enter_context(tcp)
        rest = []
        for address in (at.control, at.store, at.processor, at.crypto):
            rest.append(undo.enter_context(bind_tcp(address)))
        undo.pop_all()
        return Doors(udp, tcp, *rest)


def _children(folder: LabFolder, doors: Doors) -> list[Child]:
    """Return the services, the recorder last."""

    def child(name: str, module: str, **listens: socket.socket) -> Child:
        return Child(
            name,
            module,
            folder.settings / f"{name}.toml",
            log=folder.logs / f"{name}.log",
            sockets=[door.fileno() for door in listens.values()],
            environment={
                f"RECLAB_{name.upper()}__{setting.upper()}": f"fd://{door.fileno()}"
                for setting, door in listens.items()
            },
        )

    return [
        child("store", "webdav_store", listen=doors.store),
        child("processor", "recording_processor", listen=doors.processor),
        child("crypto", "crypto_server", listen=doors.crypto),
        child(
            "mcp",
            "mcp_sim",
            listen=doors.control,
            sip__listen=doors.sip_udp,
            sip__listen_tcp=doors.sip_tcp,
        ),
    ]


async def _start(children: list[Child], say: Say) -> None:
    """Start all services at once: their doors are open already, so the early ones just wait."""
    say("Starting the store, the processor, the crypto server and the platform …")
    starts = [asyncio.create_task(child.start()) for child in children]
    try:
        await asyncio.gather(*starts)
    except ChildFailed as error:
        raise SettingsError(str(error)) from None
    finally:
        for start in starts:
            start.cancel()
        await asyncio.gather(*starts, return_exceptions=True)


async def _stop(children: list[Child]) -> None:
    """End the services, the recorder first: it still delivers to the others."""
    *services, recorder = children
    await recorder.stop(_MCP_GRACE)
    await asyncio.gather(*(service.stop(_SERVICE_GRACE) for service in services))


async def _deploy_profile(lab: Lab, wanted: dict[str, object]) -> None:
    """Put the profile in force where the catalogue holds another (an earlier start's options)."""
    admin = lab.users["admin"]
    headers = {"Authorization": basic_header(admin.name, admin.password)}
    timeout = aiohttp.ClientTimeout(total=30)
    try:
        async with aiohttp.ClientSession(headers=headers, timeout=timeout) as http:
            url = f"{lab.processor}/lab/profiles"
            async with http.get(url) as answer:
                answer.raise_for_status()
                known = (await answer.json())["profiles"]
            if wanted in known:
                return
            async with http.put(f"{url}/{PROFILE_DBID}", json=wanted) as answer:
                answer.raise_for_status()
    except (aiohttp.ClientError, TimeoutError) as error:
        raise SettingsError(f"the profile could not be deployed: {error}") from None
