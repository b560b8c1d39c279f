"""A service's life: started by a person or a parent process, ended by a signal or a closed pipe.

`run_service` runs the main coroutine on uvloop. It says on standard output, in one JSON line, when
it is ready; it asks to stop on SIGTERM, SIGINT, and when the parent's pipe (standard input, with
``RECLAB_PARENT_PIPE=stdin``) closes, so that no child outlives a killed parent. It forbids core
dumps: a service's memory holds secrets.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import stat
import sys
from collections.abc import Awaitable, Callable

import structlog
import uvloop

from service_shell.descriptors import forbid_core_dumps
from service_shell.settings import SettingsError

_log = structlog.get_logger()


class Lifetime:
    """What a running service knows of its end. `stopping` is set once and stays set."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.stopping = asyncio.Event()

    def stop(self, reason: str) -> None:
        """Ask the service to stop; only the first reason is logged."""
        if not self.stopping.is_set():
            _log.info("Stopping was asked for", reason=reason)
            self.stopping.set()

    def ready(self, **urls: str) -> None:
        """Tell whoever started the service that it is ready, and where."""
        _log.info("The service was ready", **urls)
        try:
            sys.stdout.write(json.dumps({"ready": urls}) + "\n")
            sys.stdout.flush()
        except BrokenPipeError:
            _forget_standard_output()
            self.stop("nobody reads the standard output any more")


def run_service(name: str, main: Callable[[Lifetime], Awaitable[None]]) -> int:
    """Run `main` until it returns; return the exit code: 0, or 2 with one sentence on stderr."""
    forbid_core_dumps()
    try:
        uvloop.run(_run(name, main))
    except SettingsError as error:
        return _refuse(name, error)
    except BaseExceptionGroup as group:  # a task group's way to pass it on
        return _refuse(name, _only_settings_error(group))
    return 0


def _refuse(name: str, error: SettingsError) -> int:
    sys.stderr.write(f"{name}: {error}\n")
    return 2


def _only_settings_error(group: BaseExceptionGroup[BaseException]) -> SettingsError:
    """Return the settings error that a group is about; raise the group when it has another."""
    settings, others = group.split(SettingsError)
    if settings is None or others is not None:
        raise group
    found: BaseException = settings
    while isinstance(found, BaseExceptionGroup):
        found = found.exceptions[0]
    assert isinstance(found, SettingsError)
    return found


async def _run(name: str, main: Callable[[Lifetime], Awaitable[None]]) -> None:
    lifetime = Lifetime(name)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, lifetime.stop, signal.Signals(number).name)
    if os.environ.get("RECLAB_PARENT_PIPE") == "stdin":
        _watch_parent_pipe(lifetime, loop)
    try:
        await main(lifetime)
    finally:
        loop.remove_reader(0)


def _watch_parent_pipe(lifetime: Lifetime, loop: asyncio.AbstractEventLoop) -> None:
    try:
        mode = os.fstat(0).st_mode
    except OSError:
        mode = 0
    if not (stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode)):
        raise SettingsError("RECLAB_PARENT_PIPE=stdin: the standard input is not a pipe")
    loop.add_reader(0, _drain_parent_pipe, lifetime, loop)


def _drain_parent_pipe(lifetime: Lifetime, loop: asyncio.AbstractEventLoop) -> None:
    """Read what the parent wrote (nothing is expected); an end means that the parent is gone."""
    try:
        said = os.read(0, 4096)
    except BlockingIOError:
        return
    except OSError:
        said = b""
    if not said:
        loop.remove_reader(0)
        lifetime.stop("the parent process ended")


def _forget_standard_output() -> None:
    """Let what is still in the buffer go nowhere, so that the end does not fail of it."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.close(nowhere)
