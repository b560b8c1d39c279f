"""A whole lab, up: four services as supervised children, on loopback, ready when this says so."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from reclab.deployment import deploy_profile, last_deployed
from reclab.doors import Doors, Ports, open_doors
from reclab.files import make_private_folder
from reclab.folder_lock import lab_lock, services_lock
from reclab.lab import LAB_FILE, Lab, write_lab
from reclab.preparation import (
    LabFolder,
    RecordingOptions,
    describe,
    load_plan,
    prepare,
    profile,
)
from reclab.supervisor import Child, ChildFailed
from service_shell.settings import SettingsError

_MCP_GRACE, _SERVICE_GRACE = 40.0, 15.0
_LONG = 3.0

Say = Callable[[str], None]


@asynccontextmanager
async def running_lab(
    data: Path,
    options: RecordingOptions,
    *,
    ports: Ports,
    say: Say,
    tls: bool = False,
    hurry: asyncio.Event | None = None,
    faults: bool = False,
    environment: Mapping[str, str] | None = None,
) -> AsyncIterator[Lab]:
    """Bring the lab in folder `data` up; yield its description; end it in order.

    With `hurry` set the end is at once: what is not delivered stays for the next start. A folder
    that was made with `tls` keeps it; one that was made without does not get it. With `faults` the
    services can be broken on purpose. `environment` is added to that of the services.
    Raises `SettingsError` for a folder or port that cannot be used, or a service that cannot start.
    """
    folder = LabFolder(data)
    make_private_folder(folder.root)
    async with AsyncExitStack() as held:
        held.enter_context(lab_lock(folder.root))
        (folder.root / LAB_FILE).unlink(missing_ok=True)
        lock = await held.enter_async_context(services_lock(folder.root, say))
        kept, last = load_plan(folder), last_deployed(folder)
        if tls and kept and not kept.addresses.sip_tls:
            raise SettingsError(
                f"the lab in {data} was made without TLS, and what is stored in it is named by "
                "http:// URLs: take another folder (--data)"
            )
        doors = open_doors(kept.addresses if kept else None, ports, say, tls=tls)
        for door in doors:
            held.enter_context(door)
        say("Preparing certificates, keys and accounts …")
        plan = await asyncio.to_thread(prepare, folder, doors.addresses, options, faults=faults)
        children = _children(folder, doors, lock, environment or {})
        lab = describe(folder, plan, faults=faults)
        try:
            await _start(children, say)
            await deploy_profile(lab, last, profile(folder, plan, options), options)
            write_lab(folder.root, lab)
            async with _watched(children):
                yield lab
            say("Stopping: finishing calls, delivering recordings …")
        finally:
            (folder.root / LAB_FILE).unlink(missing_ok=True)
            await _stop(children, say, hurry or asyncio.Event())


@asynccontextmanager
async def _watched(children: list[Child]) -> AsyncIterator[None]:
    """Start each child again when it falls."""
    watches = [asyncio.create_task(child.watch()) for child in children]
    try:
        yield
    finally:
        for watch in watches:
            watch.cancel()
        await asyncio.gather(*watches, return_exceptions=True)


def _children(
    folder: LabFolder, doors: Doors, lock: int, environment: Mapping[str, str]
) -> list[Child]:
    """Return the services, the recorder last; each one holds the folder's `lock`."""

    def child(name: str, module: str, **listens: socket.socket) -> Child:
        return Child(
            name,
            module,
            folder.settings / f"{name}.toml",
            log=folder.logs / f"{name}.log",
            inherited=[lock, *(door.fileno() for door in listens.values())],
            environment={
                **environment,
                **{
                    f"RECLAB_{name.upper()}__{setting.upper()}": f"fd://{door.fileno()}"
                    for setting, door in listens.items()
                },
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
            **({"sip__listen_tls": doors.sip_tls} if doors.sip_tls else {}),
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


async def _stop(children: list[Child], say: Say, hurry: asyncio.Event) -> None:
    """End the services, the recorder first: it still delivers to the others."""
    *services, recorder = children
    hint = (
        "This can take some seconds. Ctrl-C again ends at once; the next start delivers the rest."
    )
    hinting = asyncio.get_running_loop().call_later(_LONG, say, hint)
    try:
        await recorder.stop(_MCP_GRACE, hurry)
        await asyncio.gather(*(service.stop(_SERVICE_GRACE, hurry) for service in services))
    finally:
        hinting.cancel()
