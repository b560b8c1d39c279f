"""The caller places real calls over SIP and RTP, and reports what it did."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path

import numpy as np
import pytest

from mcp_sim.load.caller import Caller
from mcp_sim.load.check import check
from mcp_sim.load.finding import Expectation, ExpectedLeg, Finding, Sent
from mcp_sim.load.report import CallReport, LoadReport, read_report, write_report
from mcp_sim.load.scenario import Scenario, ScenarioError, Signalling
from mcp_sim.sip.hop import TransportName
from tests.mcp_sim.load.fake_recorder import FakeRecorder, Heard


async def place(recorder: FakeRecorder, scenario: Scenario, **more: object) -> LoadReport:
    """Run a scenario against a recorder."""
    async with asyncio.timeout(60):
        return await Caller(scenario, recorder.address, **more).run()  # type: ignore[arg-type]  # options


def judge(call: CallReport, heard: Heard) -> Finding:
    """Check what the recorder heard against what the report says was sent."""
    channels = {"left": 0, "right": 1}
    legs = tuple(
        ExpectedLeg(leg.leg, channels[leg.channel], Sent(leg.first, leg.packets))
        for leg in call.legs
    )
    return check(heard.sound(), Expectation(identity=call.identity, legs=legs))


@pytest.mark.parametrize("signalling", ["siprec", "gir", "plain"])
@pytest.mark.parametrize("transport", ["udp", "tcp"])
async def test_calls_are_heard_whole_and_in_time(
    signalling: Signalling, transport: TransportName
) -> None:
    """Each way in, each transport: every leg arrives on its channel, whole, within 20 ms."""
    scenario = Scenario(calls=3, rate=20, hold=1.5, signalling=signalling, codec="pcma", seed=7)
    async with FakeRecorder().running() as recorder:
        report = await place(recorder, scenario, transport=transport)
    assert report.totals.completed == len(recorder.recordings) == 3
    assert set(recorder.ended_by) == {"bye"}
    for call in report.calls:
        assert (call.status, call.reason) == (200, "")
        assert len(call.legs) == (1 if signalling == "plain" else 2)
        assert all(70 <= leg.packets <= 85 for leg in call.legs)
        finding = judge(call, recorder.recordings[call.identity])
        assert finding.problems == ()


async def test_the_second_leg_may_come_later() -> None:
    """A staggered second leg speaks on the first one's clock, from its own packet on."""
    scenario = Scenario(calls=1, hold=1.2, signalling="gir", stagger=0.7)
    async with FakeRecorder().running() as recorder:
        report = await place(recorder, scenario)
    (call,) = report.calls
    earlier, later = sorted(leg.first for leg in call.legs)
    assert earlier == 0
    assert 33 <= later <= 60
    assert judge(call, recorder.recordings[call.identity]).problems == ()


async def test_gir_tells_the_recordings_parameters() -> None:
    """Numbers, agent and connection id reach the recorder by MSML, the profile by its header."""
    scenario = Scenario(calls=1, hold=0.2, signalling="gir", profile_dbid=101, caller="+4930####")
    async with FakeRecorder().running() as recorder:
        report = await place(recorder, scenario)
    (call,) = report.calls
    parameters = recorder.recordings[call.identity].parameters
    assert parameters["ani"] == call.caller == "+49300000"
    assert parameters["connId"] == call.connection_id
    assert parameters["recordDN"] == call.agent


async def test_a_persons_audio_is_sent_with_the_signature(tmp_path: Path) -> None:
    """With --audio the file is heard, and the signature is still found whole."""
    path = tmp_path / "hum.wav"
    hum = (9000 * np.sin(2 * np.pi * 300 * np.arange(8000) / 8000)).astype("<i2").tobytes()
    head = b"RIFF" + (36 + len(hum)).to_bytes(4, "little") + b"WAVEfmt "
    head += bytes.fromhex("10000000010001 00401f0000803e0000 02001000".replace(" ", ""))
    path.write_bytes(head + b"data" + len(hum).to_bytes(4, "little") + hum)
    async with FakeRecorder().running() as recorder:
        report = await place(recorder, Scenario(calls=1, hold=1.2), audio=path)
    (call,) = report.calls
    heard = recorder.recordings[call.identity]
    assert judge(call, heard).problems == ()
    spectrum = np.abs(np.fft.rfft(heard.sound().samples[0, 800:8800]))
    assert np.argmax(spectrum) == 300


async def test_refused_calls_fail_with_their_status() -> None:
    """A refusing recorder makes failed calls with its status and reason; nothing is sent."""
    async with FakeRecorder(refuse=488).running() as recorder:
        report = await place(recorder, Scenario(calls=2, rate=50, hold=1))
    assert report.totals.failed == 2
    assert {(call.status, call.reason) for call in report.calls} == {(488, "488 No")}
    assert all(call.legs == () for call in report.calls)


async def test_refused_calls_tell_the_recorders_reason() -> None:
    """What the recorder says in its Reason header reaches the person who placed the calls."""
    async with FakeRecorder(refuse=503, cause=r"the disk \"sda\" is full").running() as recorder:
        report = await place(recorder, Scenario(calls=1, hold=1))
    assert report.calls[0].reason == '503 No: the disk "sda" is full'


@pytest.mark.parametrize("transport", ["udp", "tcp"])
async def test_a_stop_takes_unanswered_calls_back(transport: TransportName) -> None:
    """A run that is stopped while nobody answers sends CANCEL at once; nothing has failed."""
    stopping = asyncio.Event()
    async with FakeRecorder(silent=True).running() as recorder, asyncio.timeout(20):
        scenario = Scenario(calls=1, hold=1)
        caller = Caller(scenario, recorder.address, transport, None, stopping)
        run = asyncio.create_task(caller.run())
        await recorder.rung.wait()
        stopping.set()
        (call,) = (await run).calls
        while not recorder.ended_by:
            await asyncio.sleep(0.01)
    assert (call.result, call.reason) == ("interrupted", "")
    assert recorder.ended_by == ["cancel"]


async def test_a_recorder_that_is_gone_before_the_bye() -> None:
    """A call whose BYE nobody answers has failed, however well it was sent."""
    async with FakeRecorder().running() as recorder:
        scenario = Scenario(calls=1, hold=0.6)
        caller = Caller(scenario, recorder.address, "tcp", None, asyncio.Event())
        run = asyncio.create_task(caller.run())
        while not recorder.recordings:
            await asyncio.sleep(0.01)
        await recorder.vanish()
        (call,) = (await run).calls
    assert (call.result, call.reason) == ("failed", "the recorder did not answer the BYE")


async def test_a_recorder_that_hangs_up_makes_a_failed_call() -> None:
    """A call ended from the other side before its time is a failure, with what was sent."""
    async with FakeRecorder(hang_up_after=0.5).running() as recorder:
        report = await place(recorder, Scenario(calls=1, hold=20))
    (call,) = report.calls
    assert call.result == "failed"
    assert "ended by the recorder (bye)" in call.reason
    assert 15 <= call.legs[0].packets <= 40


async def test_stopping_ends_open_calls_in_order() -> None:
    """Told to stop, the run hangs up with BYE, places no more, and still reports."""
    async with FakeRecorder().running() as recorder:
        caller = Caller(Scenario(calls=1000, rate=20, hold=60), recorder.address)
        running = asyncio.create_task(caller.run())
        async with asyncio.timeout(20):
            while caller.progress.active < 3:
                await asyncio.sleep(0.02)
            caller.stopping.set()
            report = await running
    assert 3 <= len(report.calls) < 100
    assert {call.result for call in report.calls} == {"interrupted"}
    assert set(recorder.ended_by) == {"bye"}
    assert len(recorder.ended_by) == len(report.calls)


async def test_concurrency_is_kept() -> None:
    """No more calls are open at once than asked for; the others wait, and the report says so."""
    async with FakeRecorder().running() as recorder:
        caller = Caller(Scenario(calls=6, rate=1000, hold=0.3, concurrency=2), recorder.address)
        running = asyncio.create_task(caller.run())
        most = 0
        while not running.done():
            most = max(most, caller.progress.active)
            await asyncio.sleep(0.01)
        report = await running
    assert most == 2
    assert report.totals.completed == 6
    assert report.totals.late_ms > 300


async def test_nobody_there_is_a_failed_call(tmp_path: Path) -> None:
    """Where nobody listens the call fails with a reason, and the report can be written."""
    with socket.socket(type=socket.SOCK_STREAM) as free:
        free.bind(("127.0.0.1", 0))
        caller = Caller(Scenario(calls=1, hold=1), free.getsockname(), transport="tcp")
        async with asyncio.timeout(30):
            report = await caller.run()
    assert report.totals.failed == 1
    assert report.calls[0].reason
    write_report(report, tmp_path / "report.json")
    assert read_report(tmp_path / "report.json") == report


async def test_an_unknown_host_is_said_at_once() -> None:
    """A name that cannot be resolved stops the run before anything is sent."""
    with pytest.raises(ScenarioError, match=r"the host nowhere\.invalid was not found"):
        await Caller(Scenario(), ("nowhere.invalid", 5060)).run()
