"""The page in Debian's Chromium: a signed-in listener hears a recording."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import sync_playwright

from tests.end_to_end.lab_under_test import LabUnderTest
from tests.peers import peer

_FLAGS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--autoplay-policy=no-user-gesture-required",
]  # fmt: skip
_PLAYED = """async audio => {
    await audio.play();
    while (audio.currentTime < 0.5 && !audio.error) await new Promise(r => setTimeout(r, 20));
    return {duration: audio.duration, error: audio.error && audio.error.message};
}"""


@pytest.mark.peer
@pytest.mark.slow
@pytest.mark.parametrize("lab_options", [["--type", "wav"], ["--type", "mp3"]], ids=["wav", "mp3"])
def test_page_plays_a_recording(lab_with: LabUnderTest, tmp_path: Path) -> None:
    """The newest recording on the page plays, and lasts as long as its call did."""
    lab = lab_with
    chromium = peer("chromium")
    lab.load("--calls", 2, "--rate", 2, "--hold", 3, "--signalling", "siprec", "--codec", "pcma")
    newest = lab.wait_for_recordings(2)[0]
    listener = lab.lab["users"]["listener"]
    credentials = {"username": listener["name"], "password": listener["password"]}
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(chromium), args=_FLAGS)
        try:
            page = browser.new_page(http_credentials=credentials)  # type: ignore[arg-type]
            page.goto(lab.lab["processor"] + "/")
            assert newest["id"] in page.content()
            played = page.locator("audio").first.evaluate(_PLAYED)
        finally:
            browser.close()
    assert played["error"] is None
    expected = float(newest["mediaFiles"][0]["duration"]) / 1000
    assert played["duration"] == pytest.approx(expected, abs=0.1)


def test_page_is_for_signed_in_people(lab: LabUnderTest) -> None:
    """Nobody sees the page, or hears anything, without a name and a password."""
    assert lab.get(lab.lab["processor"] + "/", None)[0] == 401
    assert lab.get(lab.lab["processor"] + "/", "listener")[0] == 200
