"""What ends soon: the list, the metrics, and the daily word in the log."""

from __future__ import annotations

import asyncio

import pytest
from structlog.testing import capture_logs

from crypto_server.administration.expiry import Expiry
from tests.crypto_server.administration.desk import Desk, own
from tests.recording_format.authority import NOW, YEAR, Issued, issue, root, rsa_key

DAY = YEAR / 365


def ending(days: float, serial: int) -> Issued:
    """A certificate that ends in so many days."""
    return issue(
        f"ends {serial}", rsa_key(3), issuer=root(), serial=serial, not_after=NOW + DAY * days
    )


async def test_soonest_first(desk: Desk) -> None:
    """Within the days asked for, soonest first, with the whole days that are left."""
    for days, serial in ((20.5, 61), (5.5, 62), (40, 63)):
        await desk.uploaded(ending(days, serial))

    async def listed(query: str = "") -> list[tuple[str, int]]:
        answer = await desk.ask("GET", f"/lab/certificates/expiring{query}")
        return [(row["serialNumber"], row["daysLeft"]) for row in answer.json["certificates"]]

    assert await listed() == [("62", 5), ("61", 20)]
    assert await listed("?days=5") == [("62", 5)]
    assert await listed("?days=4") == []
    assert await listed("?days=45") == [("62", 5), ("61", 20), ("63", 40)]
    assert await listed("?tenant=North") == []
    answer = await desk.ask("GET", "/lab/certificates/expiring?days=soon")
    assert answer.sentence == "days is a whole number from 0 to 36500"


async def test_expired_while_deployed(desk: Desk) -> None:
    """What has expired is listed while a profile records for it; old keys are not."""
    for days, serial in ((5, 62), (6, 64)):
        await desk.uploaded(ending(days, serial))
    desk.catalogue.deploy_now(101, ending(5, 62).recording())
    desk.clock.at = NOW + DAY * 10
    answer = await desk.ask("GET", "/lab/certificates/expiring")
    [row] = answer.json["certificates"]
    assert (row["serialNumber"], row["daysLeft"], row["status"]) == ("62", -5, "expired")


async def test_metrics(desk: Desk) -> None:
    """Each certificate's seconds, by tenant and id; and how many end within the days set."""
    ident = await desk.uploaded(ending(5, 62))
    await desk.uploaded(own(), tenant="North")
    seconds = 'reclab_crypto_certificate_expiry_seconds{certificate="%s",tenant="%s"} %s'
    assert seconds % (ident[:16], "Environment", "432000.0") in desk.metrics()
    other = own().recording().fingerprint[:16]
    assert seconds % (other, "North", "3.1536e+07") in desk.metrics()
    assert "reclab_crypto_certificates_expiring 1.0" in desk.metrics()
    desk.clock.at = NOW + DAY * 6
    assert seconds % (ident[:16], "Environment", "-86400.0") in desk.metrics()
    assert "reclab_crypto_certificates_expiring 0.0" in desk.metrics()
    await desk.ask("DELETE", f"/lab/certificates/{ident}")
    assert ident[:16] not in desk.metrics()


async def test_warning(desk: Desk) -> None:
    """A deployed certificate that ends soon or has ended is named with its profiles, others not."""
    for days, serial in ((5, 62), (6, 64), (400, 65)):
        await desk.uploaded(ending(days, serial))
    desk.catalogue.deploy_now(101, ending(5, 62).recording())
    desk.catalogue.deploy_now(101, ending(400, 65).recording())
    with capture_logs() as logs:
        await desk.administration.expiry.warn()
    [said] = [line for line in logs if line["log_level"] == "warning"]
    assert said["event"] == "A deployed certificate expires soon or has expired"
    assert (said["subject"], said["profiles"]) == (
        "C=US,ST=CA,L=Example,O=Example,CN=ends 62",
        ["recording"],
    )


async def test_watch(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """The watch looks every hour and warns once a day, until it is cancelled."""
    warned: list[int] = []
    waits: list[float] = []

    async def warn(_expiry: Expiry) -> None:
        warned.append(len(waits))

    async def wait(seconds: float) -> None:
        waits.append(seconds)
        if len(waits) == 60:
            await asyncio.Event().wait()

    monkeypatch.setattr(Expiry, "warn", warn)
    task = asyncio.create_task(desk.administration.expiry.watch(wait))
    async with asyncio.timeout(10):
        while len(waits) < 60:
            await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert warned == [1, 25, 49], "an hour after the start, then day by day"
    assert set(waits) == {3600.0}
