"""The page's player in Debian's Chromium: a listener jumps to the end of a long recording."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import sync_playwright

from tests.crypto_server.recordings import encrypted, wav
from tests.end_to_end.lab_under_test import wait_until
from tests.end_to_end.two_tenants_lab import TwoTenantsLab, tenant_key, two_tenants_lab
from tests.peers import peer

_FLAGS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--autoplay-policy=no-user-gesture-required",
]  # fmt: skip
_SIZE = 32_000_000
_BYTES_PER_SECOND = 32_000
_JUMPED = """async audio => {
    await audio.play();
    const jumped = new Promise(done => audio.addEventListener("seeked", done, {once: true}));
    audio.currentTime = 990;
    await jumped;
    while (audio.currentTime < 990.2 && !audio.error) await new Promise(r => setTimeout(r, 20));
    audio.pause();
    return {time: audio.currentTime, duration: audio.duration, error: audio.error?.message};
}"""


@pytest.fixture
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TwoTenantsLab]:
    """A lab with a recording of 1,000 seconds, the newest that its listener finds."""
    with two_tenants_lab(tmp_path_factory.mktemp("seeking")) as running:
        made = encrypted(wav(_SIZE), tenant_key("Red"), recording_id="Red-long", tenant="Red")
        running.recordings["Red-long"] = made
        running.file("Red-long")
        yield running


@pytest.mark.peer
@pytest.mark.slow
def test_the_player_jumps_by_range(lab: TwoTenantsLab) -> None:
    """A jump to the end plays from there at once, by a part that begins there."""
    chromium = peer("chromium")
    credentials = {"username": "rita", "password": "rita's password"}
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(chromium), args=_FLAGS)
        try:
            page = browser.new_page(http_credentials=credentials)  # type: ignore[arg-type]  # a dict
            page.goto(lab.urls["processor"] + "/")
            player = page.locator(f'audio[src*="{lab.names["Red-long"]}"]')
            player.scroll_into_view_if_needed()
            jumped = player.first.evaluate(_JUMPED)
        finally:
            browser.close()
    assert jumped["error"] is None
    assert jumped["duration"] == pytest.approx(_SIZE / _BYTES_PER_SECOND, abs=0.1)
    assert 990 <= jumped["time"] < 995

    def parts() -> list[int]:
        said = [line["part"] for line in lab.audit() if line.get("recording") == "Red-long"]
        return [int(part.removeprefix("bytes ").partition("-")[0]) for part in said if part]

    near_the_end = 980 * _BYTES_PER_SECOND
    wait_until(lambda: any(at > near_the_end for at in parts()), "a line about a late part")
    assert {line["outcome"] for line in lab.audit()} <= {"played", "cut"}
