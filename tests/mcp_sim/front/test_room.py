"""No room: each limit refuses new calls by its own sentence and leaves those that run alone."""

from __future__ import annotations

import ast
import errno
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from mcp_sim.admission.sources import SourceLimits
from mcp_sim.profiles import ProfileEdition
from mcp_sim.recording.spool.space import SpoolSpace
from mcp_sim.refusals import CallNotTaken
from mcp_sim.sip import CallRefused
from tests.mcp_sim.front.callers import Caller, calling, hang_up
from tests.mcp_sim.front.fake_capture import Desk, front_desk
from tests.mcp_sim.front.pki import fresh_pair, profile, with_options

ROOT = Path(__file__).parent.parent.parent.parent
TIMEOUT = "recordingclient.gvp.config.mpc.lab.rtp-timeout"


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    async with front_desk(tmp_path, limit=2) as running:
        yield running


@pytest.fixture
async def caller(desk: Desk) -> AsyncIterator[Caller]:
    async with calling(desk.address) as far_end:
        yield far_end


async def refused(caller: Caller, desk: Desk) -> tuple[int, str, str, str]:
    """Place a call that is refused: its status, cause, reason and Retry-After."""
    with pytest.raises(CallRefused) as error:
        await caller.plain()
    headers = dict(error.value.headers)
    newest = desk.refusals.newest[0]
    assert error.value.cause == newest.reason
    assert desk.counted(newest.cause) >= 1
    return error.value.code, newest.cause, newest.reason, headers["Retry-After"]


@pytest.mark.parametrize("number", range(4))
async def test_overload(desk: Desk, caller: Caller, number: int) -> None:
    """Each measured figure: 503 for new calls, while a further party of a running one is let in."""
    gauge = desk.calls.gauges.all[number]
    first = await caller.gir("conf", "1")
    gauge.shut = True
    status, cause, reason, later = await refused(caller, desk)
    assert (status, cause, reason, later) == (503, gauge.name, gauge.reason, "5")
    assert desk.calls.refusing == gauge.reason
    second = await caller.gir("conf", "2")
    gauge.shut = False
    assert desk.calls.refusing == ""
    await hang_up(first, second, await caller.plain())
    await desk.idle()
    assert len(desk.captured) == 2


async def test_calls_of_one_source(desk: Desk, caller: Caller) -> None:
    """486 for the source that has what it may have; when one of its calls ends it gets another."""
    desk.calls.sources = SourceLimits(calls=1)
    first = await caller.gir("conf", "1")
    assert await refused(caller, desk) == (
        486, "source", "127.0.0.1 has 1 calls, the most that it may have", "5"
    )  # fmt: skip
    second = await caller.gir("conf", "2")
    await hang_up(first, second)
    await desk.idle()
    await hang_up(await caller.plain())


async def test_rate_of_one_source(desk: Desk, caller: Caller) -> None:
    """486 above the rate, with the seconds until the next; parties of running calls are free."""
    now = 0.0
    desk.calls.sources = SourceLimits(rate=0.1, clock=lambda: now)
    first = await caller.gir("conf", "1")
    status, cause, reason, later = await refused(caller, desk)
    assert (status, cause, later) == (486, "source", "10")
    assert reason == "127.0.0.1 places more than 0.1 calls per second"
    second = await caller.gir("conf", "2")
    now = 10.0
    await hang_up(first, second, await caller.plain())


async def test_limit_of_calls(desk: Desk, caller: Caller) -> None:
    """Above the limit of calls the platform is not ready, and says which limit it is."""
    placed = [await caller.plain(), await caller.plain()]
    assert await refused(caller, desk) == (503, "limit", "the limit of 2 calls is reached", "5")
    assert desk.calls.refusing == "the limit of 2 calls is reached"
    await hang_up(*placed)


async def test_spool_that_may_not_be_written(desk: Desk, caller: Caller) -> None:
    """Without the right to write: 503 with the folder's name, and calls again when it is back."""
    root = desk.spool.root
    desk.calls.space = SpoolSpace(root, writable=lambda folder: folder != root / "capturing")
    status, cause, reason, _ = await refused(caller, desk)
    assert (status, cause) == (503, "spool-full")
    assert reason == f"the spool {root} may not be written"
    desk.calls.space = SpoolSpace(root)
    await hang_up(await caller.plain())


async def test_no_descriptor_for_the_ca_file(
    desk: Desk, caller: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Too many open files are no fault of the profile's: 503, not 403."""

    def read(path: Path) -> None:
        raise OSError(errno.EMFILE, "Too many open files")

    monkeypatch.setattr("mcp_sim.ca_files._read", read)
    status, cause, reason, later = await refused(caller, desk)
    assert (status, cause, reason, later) == (503, "open-files", "too many files are open", "5")
    assert desk.in_spool == []


@pytest.mark.parametrize(("said", "seconds"), [("", 0.0), ("0", 0.0), ("60", 60.0)])
async def test_time_out_of_a_profile(desk: Desk, caller: Caller, said: str, seconds: float) -> None:
    """A profile's own time-out goes before the platform's (here: none)."""
    made = profile(fresh_pair().certificate_pem)
    desk.book.update(ProfileEdition(2, [with_options(made, {TIMEOUT: said})]))
    placed = await caller.plain()
    assert desk.calls.running[0].rtp_timeout == seconds
    await hang_up(placed)


@pytest.mark.parametrize("said", ["-1", "1.5", "soon", "86401", "9" * 50])
async def test_time_out_that_is_none(desk: Desk, caller: Caller, said: str) -> None:
    """What is no number of seconds refuses the recording by the option's name."""
    made = profile(fresh_pair().certificate_pem)
    desk.book.update(ProfileEdition(2, [with_options(made, {TIMEOUT: said})]))
    with pytest.raises(CallRefused) as error:
        await caller.plain()
    assert error.value.code == 403
    assert "lab.rtp-timeout is" in desk.refusals.newest[0].reason


def test_every_503_says_when_to_try_again() -> None:
    """In the code, nothing answers 486 or 503 by SIP without Retry-After."""
    found = 0
    for path in (ROOT / "mcp_sim").rglob("*.py"):
        if "load" in path.parts:
            continue
        for call in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(call, ast.Call) and any(
                isinstance(a, ast.Constant) and a.value in (486, 503) for a in call.args
            ):
                found += 1
                said = ast.unparse(call)
                assert "CallNotTaken" in said or "Retry-After" in said or "RETRY" in said, said
    assert found > 6
    for status in (486, 503):
        assert dict(CallNotTaken(status, "cause", "why").headers)["Retry-After"] == "5"
