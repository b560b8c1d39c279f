"""``reclab faults``: each fault goes to its service, and what is wrong is one sentence."""

from __future__ import annotations

import asyncio
import json
import re
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from aiohttp import web
from structlog.testing import capture_logs
from typer.testing import CliRunner, Result

from reclab.commands import app
from reclab.lab import Lab, User, write_lab
from service_shell.accounts import Account, Accounts, hash_password
from service_shell.faults import FaultSwitch
from service_shell.faults.api import FaultApi
from service_shell.listening import bind_tcp, display
from service_shell.settings import SettingsError
from service_shell.web import basic_auth, errors_as_json, serve

TARGETS = ("mcp", "store", "processor", "crypto")
PLAN = """
[[faults]]
on = "store"
kind = "full"
[[faults]]
on = "mcp"
kind = "crash"
begin = 60
[[faults]]
on = "rtp"
"""


class BreakableLab:
    """Four services that have nothing but faults, in a thread of their own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.switches = {target: FaultSwitch(target) for target in TARGETS}
        self.enabled = set(TARGETS)
        self._doors = {target: bind_tcp("127.0.0.1:0") for target in TARGETS}
        self._up, self._over = threading.Event(), asyncio.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()))

    def describe(self, *, may: bool = True) -> None:
        """Write the lab's description, with the account that may break it, or without."""
        url = {target: f"http://{display(door)}" for target, door in self._doors.items()}
        lab = Lab(
            sip="127.0.0.1:1",
            control=url["mcp"],
            store=f"{url['store']}/recordings",
            processor=url["processor"],
            crypto=url["crypto"],
            users={"faults": User("faults", "secret")} if may else {},
            ca_file="",
            keys={},
            domain="",
            ccid="",
            profile_dbid=1,
        )
        write_lab(self.folder, lab)

    def start(self) -> None:
        """Serve; the paths are those of the services that are `enabled`."""
        self._thread.start()
        assert self._up.wait(30)

    def stop(self) -> None:
        """Serve no more."""
        self._loop.call_soon_threadsafe(self._over.set)
        self._thread.join(30)
        for door in self._doors.values():
            door.close()

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        async with asyncio.TaskGroup() as tasks:
            ready = [asyncio.Event() for _ in TARGETS]
            for target, event in zip(TARGETS, ready, strict=True):
                tasks.create_task(self._serve_one(target, event))
            for event in ready:
                await event.wait()
            self._up.set()

    async def _serve_one(self, target: str, ready: asyncio.Event) -> None:
        account = Account("faults", ["faults"], hash_password("secret"))
        auth = basic_auth(Accounts([account]), realm="x", open_paths=())
        application = web.Application(middlewares=[errors_as_json, auth])
        if target in self.enabled:
            path = "/-/faults" if target == "store" else "/faults"
            FaultApi(self.switches[target]).add_to(application, path)
        async with serve(application, self._doors[target], grace=0):
            ready.set()
            await self._over.wait()


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[BreakableLab]:
    """A lab that may be broken, up."""
    breakable = BreakableLab(tmp_path)
    breakable.describe()
    with capture_logs():
        breakable.start()
        yield breakable
        breakable.stop()


def run(lab: BreakableLab, *arguments: str) -> Result:
    """Run ``reclab faults`` on the lab."""
    return CliRunner().invoke(app, ["faults", *arguments, "--data", str(lab.folder)])


def sentence(lab: BreakableLab, *arguments: str) -> str:
    """Run what has to be refused; return the one sentence."""
    refused = run(lab, *arguments)
    assert isinstance(refused.exception, SettingsError), refused.output
    assert "\n" not in str(refused.exception)
    return str(refused.exception)


def in_force(lab: BreakableLab) -> dict[str, list[str]]:
    """Return the names of the faults in force."""
    found: dict[str, list[str]] = {}
    for target, switch in lab.switches.items():
        if switch.run is not None:
            found[target] = [fault.name for fault in switch.run.plan.faults]
    return found


def test_each_fault_goes_to_its_service(lab: BreakableLab, tmp_path: Path) -> None:
    """`set` replaces everything, `add` adds, `show` tells all, `clear` ends all."""
    file = tmp_path / "plan.toml"
    file.write_text(PLAN)
    assert run(lab, "add", "crypto", "down").exit_code == 0
    was_set = run(lab, "set", str(file))
    assert was_set.exit_code == 0
    assert "no service causes these, left out: rtp-3" in was_set.stderr
    assert in_force(lab) == {"store": ["store-1"], "mcp": ["mcp-2"]}
    added = run(lab, "add", "store", "status", "status=500", "match=GET /x y", "probability=0.5")
    assert re.sub(r"\d+ s", "N s", added.output) == (
        "store store-1: full (struck 0 of 0 in N s)\n"
        "store store-2: status probability=0.5 'match=GET /x y' status=500 "
        "(struck 0 of 0 in N s)\n"
    )
    shown = run(lab, "show").output
    assert shown.startswith("mcp mcp-2: crash begin=60.0 (struck 0 of 0 in ")
    assert "\nstore store-1: " in shown
    states = json.loads(run(lab, "show", "--json").output)
    assert [states[target]["target"] for target in TARGETS] == list(TARGETS)
    assert run(lab, "clear").output == "no faults are in force\n"
    assert in_force(lab) == {}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("add", "roof", "down"), "'roof' is none of store, processor, crypto, mcp"),
        (("add", "store", "crash"), "'crash' is no fault of store: status, latency, "),
        (("add", "mcp", "down"), "'down' is no fault of mcp: crash, "),
        (("add", "store", "down", "x"), "'x' is not of the form FIELD=VALUE"),
        (("add", "store", "down", "on=mcp"), "there twice"),
        (("add", "store", "down", "colour=1"), "a fault of store has no field 'colour'"),
        (("add", "store", "status", "status=200"), "`status`: expected `int` >= 400"),
        (("add", "store", "down", "match=PUT"), "a method or *, a space, and a path"),
        (("set", "/none.toml"), "the fault plan /none.toml cannot be read: no such file"),
    ],
)
def test_bad_input_is_one_sentence(
    lab: BreakableLab, arguments: tuple[str, ...], said: str
) -> None:
    """What cannot be a fault is named, and nothing is put in force."""
    assert said in sentence(lab, *arguments)
    assert in_force(lab) == {}


def test_a_taken_name_is_told(lab: BreakableLab) -> None:
    """What the service refuses is said in its words."""
    assert run(lab, "add", "store", "down", "name=a").exit_code == 0
    said = sentence(lab, "add", "store", "full", "name=a")
    assert said.endswith("/-/faults answered 400: there is a fault named 'a' already")


def test_a_lab_without_faults_says_how(lab: BreakableLab) -> None:
    """Where no account may break anything, the sentence says how to start such a lab."""
    lab.describe(may=False)
    for command in (["show"], ["clear"], ["add", "store", "down"]):
        assert "start it with `reclab up --faults`" in sentence(lab, *command)


def test_the_others_are_healed_where_one_is_not_there(tmp_path: Path) -> None:
    """A service without faults is named, and the faults of the others are ended all the same."""
    lab = BreakableLab(tmp_path)
    lab.enabled.discard("processor")
    lab.describe()
    lab.start()
    try:
        assert run(lab, "add", "crypto", "down").exit_code == 0
        assert "/faults is not there: faults are not enabled in that service" in sentence(
            lab, "clear"
        )
        assert in_force(lab) == {}
    finally:
        lab.stop()
    assert "is the lab up?" in sentence(lab, "show")
