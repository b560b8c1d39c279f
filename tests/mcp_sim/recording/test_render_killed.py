"""kill -9 of a render worker at any moment loses nothing."""

from __future__ import annotations

import asyncio
import os
import random
import signal

import numpy as np
import pytest

from mcp_sim.recording.keyring import SpoolKeyring
from mcp_sim.recording.render.messages import RenderSettings, WorkerOptions
from mcp_sim.recording.render.process import RenderProcess, WorkerDiedError
from mcp_sim.recording.spool.folders import JOURNAL
from mcp_sim.recording.spool.spool import Spool, State
from recording_format.envelope import Envelope
from service_shell.log import LogSettings

from .recorded_call import course, make_plan, open_recording, record
from .synthetic_call import heard, speech, stream

ROUNDS = 12


@pytest.mark.slow
async def test_a_render_may_be_killed_at_any_moment(spool: Spool, keyring: SpoolKeyring) -> None:
    """Afterwards the item has its journal, or is ready and whole; and every IV is another one."""
    chance = random.Random(4)
    payloads = speech(1500)
    options = WorkerOptions(str(spool.root), keyring.to_text(), RenderSettings(), LogSettings())
    worker = RenderProcess(options, lock=spool.lock_descriptor)
    ivs = set()
    for segment in range(1, ROUNDS + 1):
        plan = make_plan(segment=segment)
        item = record(spool, keyring, course(30_500), stream(payloads), plan=plan)
        await worker.start()
        pid = worker.pid
        assert pid is not None
        render = asyncio.create_task(worker.render(item, within=60))
        await asyncio.sleep(chance.uniform(0.0, 0.06))
        os.kill(pid, signal.SIGKILL)
        try:
            await render
        except WorkerDiedError:
            assert spool.state_of(item) in (State.RENDERING, State.READY)
        await worker.kill()
        if spool.state_of(item) is State.RENDERING:
            assert (spool.folder(item, State.RENDERING) / JOURNAL).exists()
            await worker.render(item, within=60)
        media, data = open_recording(spool, item)
        sound = np.frombuffer(data[44:], "<i2").reshape(-1, 2).T
        assert np.array_equal(sound[0, :240_000], heard(payloads))
        assert media.pkcs7 is not None
        ivs.add(Envelope.from_pem(media.pkcs7).iv)
    await worker.stop()
    assert len(ivs) == ROUNDS
    assert spool.recover() == []
    assert len(spool.items(State.READY)) == ROUNDS
    with pytest.raises(FileNotFoundError):
        (spool.folder(item, State.READY) / JOURNAL).stat()
