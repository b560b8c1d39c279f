"""Onward delivery as one thing to start: outbox, web services, failed folder, replay."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from urllib.parse import quote, urlsplit

import aiohttp
import structlog

from recording_processor.catalogue.outbox import Outbox
from recording_processor.onward.body import onward_body
from recording_processor.onward.delivery import Delivery
from recording_processor.onward.failed_folder import FailedFolder
from recording_processor.onward.patience import Backoff, Circuit
from recording_processor.onward.replay import Replay
from recording_processor.onward.web_services import WebServices
from recording_processor.settings import OnwardSettings, ProcessorSettings
from recording_processor.web.metrics import Metrics
from service_shell.settings import SettingsError
from service_shell.trust import TrustSettings, trusting

_log = structlog.get_logger()
PATH = "/internal-api/contact-centers/{ccid}/recordings"
_LONGEST_PROBE_PAUSE = 30.0


class Onward:
    """The running parts, for who asks how it goes."""

    def __init__(self, delivery: Delivery, replay: Replay, folder: FailedFolder) -> None:
        self.delivery = delivery
        self.replay = replay
        self._folder = folder

    @property
    def failed(self) -> int:
        """How many posts lie in the folder of failed ones."""
        return self._folder.count


def check_onward(settings: OnwardSettings) -> None:
    """Raise `SettingsError` when the web services cannot be asked like this."""
    try:
        parts = urlsplit(settings.url)
        usable = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:
        usable, parts = False, urlsplit("")
    if not usable or not settings.url.isprintable() or set(settings.url) & set(" ?#\\"):
        raise SettingsError("onward.url: it is not an http or https URL with a host")
    if "@" in parts.netloc:
        raise SettingsError("onward.url: it holds a name or a password; they have their own")
    if bool(settings.user) != bool(settings.password_file):
        raise SettingsError("onward: user and password_file belong together")
    if ":" in settings.user or not settings.user.isprintable():
        raise SettingsError("onward.user: it cannot be a user's name")


@asynccontextmanager
async def onward_session(trust: TrustSettings) -> AsyncIterator[aiohttp.ClientSession]:
    """The HTTP client: no proxies; with cookies, as a token may be bound to one."""
    async with (
        trusting(trust) as context,
        aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, ssl=context),
            cookie_jar=aiohttp.CookieJar(unsafe=True),
            headers={"Accept-Encoding": "identity"},
            auto_decompress=False,
            trust_env=False,
        ) as session,
    ):
        yield session


@asynccontextmanager
async def onward_of(
    settings: ProcessorSettings, outbox: Outbox, metrics: Metrics
) -> AsyncIterator[Onward | None]:
    """Deliver onward while the block lasts; None where the settings name no web services.

    Raises `SettingsError` for an address, a password file or a folder that cannot be used.
    """
    if not settings.onward.url:
        if waiting := (await outbox.counts()).waiting:
            _log.warning("Posts wait to go onward, but `onward.url` is not set", posts=waiting)
        yield None
        return
    check_onward(settings.onward)
    folder = _folder(settings)
    async with onward_session(settings.trust) as http:
        onward = _parts(settings, outbox, metrics, folder, http)
        tasks = [
            asyncio.create_task(onward.delivery.run(), name="onward delivery"),
            asyncio.create_task(onward.replay.every(settings.onward.replay_minutes * 60)),
        ]
        try:
            yield onward
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await onward.replay.close()
            await onward.delivery.close()


def failed_folder(settings: ProcessorSettings) -> Path:
    """Return where failed posts are kept: beside the catalogue, unless the settings say."""
    named = settings.onward.failed
    return Path(named) if named else Path(settings.catalogue).absolute().parent / "failed"


def _folder(settings: ProcessorSettings) -> FailedFolder:
    center = settings.contact_center
    folder = FailedFolder(failed_folder(settings), domain=center.domain, ccid=center.ccid)
    try:
        folder.make()
    except OSError as error:
        raise SettingsError(f"onward.failed: {folder.root}: {error.strerror}") from None
    return folder


def _parts(
    settings: ProcessorSettings,
    outbox: Outbox,
    metrics: Metrics,
    folder: FailedFolder,
    http: aiohttp.ClientSession,
) -> Onward:
    how, center = settings.onward, settings.contact_center
    web_services = WebServices(
        http,
        how.url.rstrip("/") + PATH.format(ccid=quote(center.ccid, safe="")),
        user=how.user,
        password=partial(_password, how.password_file),
        csrf=how.csrf,
        seconds=how.timeout,
    )
    longest_pause = min(how.longest_retry, _LONGEST_PROBE_PAUSE)
    delivery = Delivery(
        outbox,
        web_services,
        folder,
        partial(onward_body, ccid=center.ccid, region=center.region),
        backoff=Backoff(how.first_retry, how.longest_retry),
        circuit=Circuit(Backoff(how.first_retry, longest_pause)),
        concurrency=how.concurrency,
        tries=how.tries,
        clock=time.time,
        watch=lambda outcome: metrics.onward.labels(outcome).inc(),
    )
    replay = Replay(folder, outbox, web_services, lambda: metrics.onward.labels("replayed").inc())
    metrics.onward_waiting.set_function(lambda: delivery.counts.waiting)
    onward = Onward(delivery, replay, folder)
    metrics.onward_files.set_function(lambda: onward.failed)
    return onward


def _password(file: str) -> str:
    try:
        password = Path(file).read_text(encoding="utf-8").rstrip("\r\n")
    except (OSError, UnicodeDecodeError):
        raise SettingsError(f"onward.password_file: {file} cannot be read") from None
    if not password:
        raise SettingsError(f"onward.password_file: {file} is empty")
    return password
