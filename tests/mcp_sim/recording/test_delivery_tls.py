"""Destinations by HTTPS: one that does not prove itself is down; nothing goes there in plain."""

from __future__ import annotations

from pathlib import Path

import pytest
import structlog

from mcp_sim.recording.delivery.route import origin_of
from mcp_sim.recording.spool.spool import State
from service_shell.tls import ServerTls
from tests.service_shell.secured import LONG_AGO, believer, ca_file, issue

from .delivery_scene import Scene
from .fake_destinations import serving


async def test_a_store_that_is_not_believed(scene: Scene, tmp_path: Path) -> None:
    """Its recordings wait like those of a store that is down; with its CA trusted they arrive."""
    issue(tmp_path / "ours")
    trust = scene.trust = believer(tmp_path / "ours")
    async with serving(scene.store, ServerTls(issue(tmp_path / "theirs")).context):
        names = [scene.ready(segment) for segment in (1, 2, 3)]
        with structlog.testing.capture_logs() as lines:
            async with scene.delivery(concurrency=1, failures=2) as delivery:
                assert await delivery.drain(30)
                assert delivery.stats.destinations[origin_of(scene.store.url)]
                assert [scene.progress(name).tries for name in names] == [1, 1, 0]
                assert scene.spool.items(State.FAILED) == []
                assert scene.store.requests == []
                trust.load_verify_locations(ca_file(tmp_path / "theirs"))
                scene.time += 5
                assert await delivery.drain(30)
        assert scene.spool.items(State.DELIVERED) == names
        assert scene.store.count("PUT") == 3
    host = scene.store.url.removeprefix("https://")
    told = [line["reason"] for line in lines if "were stopped" in line["event"]]
    assert len(told) == 1
    assert f"was not reached: the certificate of {host} was refused: its issuer is in no" in told[0]


@pytest.mark.parametrize("fault", ["expired", "plain"])
async def test_other_faults_of_tls(scene: Scene, tmp_path: Path, fault: str) -> None:
    """An expired certificate, or none at all: told by its name, tried again, never in plain."""
    issue(tmp_path)
    scene.trust = believer(tmp_path)
    tls = ServerTls(issue(tmp_path, age=LONG_AGO)).context if fault == "expired" else None
    async with serving(scene.processor, tls):
        scene.processor.url = scene.processor.url.replace("http://", "https://")
        name = scene.ready()
        with structlog.testing.capture_logs() as lines:
            await scene.deliver()
        assert scene.spool.items(State.READY) == [name]
        assert scene.processor.posts == []
    reasons = " ".join(str(line.get("reason")) for line in lines)
    assert ("it has expired" if tls else "does not speak TLS") in reasons
