"""The aiohttp application: routes put together with what they need, and the middlewares' order."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

import aiohttp
from aiohttp import web

from recording_processor.catalogue.catalogue import Catalogue
from recording_processor.dates import utc_now
from recording_processor.onward.onward import Onward
from recording_processor.profile_feed import ProfileFeed
from recording_processor.settings import ProcessorSettings
from recording_processor.storages import Storages
from recording_processor.web.answering import add_headers, own_errors
from recording_processor.web.archive import ArchiveRoutes
from recording_processor.web.conflict_page import ConflictPageRoutes
from recording_processor.web.conflicts import ConflictRoutes
from recording_processor.web.console import ASSET_PATHS, ConsoleRoutes
from recording_processor.web.deployments import DeploymentRoutes
from recording_processor.web.envelopes import EnvelopeRoutes
from recording_processor.web.health import OPEN_PATHS, HealthRoutes
from recording_processor.web.internal_api import InternalApiRoutes
from recording_processor.web.metrics import Metrics
from recording_processor.web.onward import OnwardRoutes
from recording_processor.web.own_pages import own_pages
from recording_processor.web.playback import PlaybackRoutes
from recording_processor.web.profile_list import ProfileListRoutes
from recording_processor.web.profiles import ProfileRoutes
from recording_processor.web.recordings import RecordingRoutes
from recording_processor.web.screen_certificates import ScreenCertificateRoutes
from recording_processor.web.settings_groups import SettingsGroupRoutes
from recording_processor.web.slots import Slots
from service_shell.accounts import Accounts
from service_shell.faults.mounting import mount_faults
from service_shell.openapi import OPENAPI_PATH, openapi_route
from service_shell.sign_in import sign_ins_refused
from service_shell.web import basic_auth, errors_as_json

_REALM = "recording processor"


def make_application(
    settings: ProcessorSettings,
    catalogue: Catalogue,
    feed: ProfileFeed,
    http: aiohttp.ClientSession,
    *,
    accounts: Accounts,
    storages: Storages,
    now: Callable[[], datetime] = utc_now,
    metrics: Metrics | None = None,
    onward: Onward | None = None,
) -> web.Application:
    """Return the application. `now` is the time by which certificates are looked at; `onward` is
    None where nothing goes on to web services.
    """
    metrics = metrics or Metrics()
    # Two kinds of places: a console's sound comes through crypto_server back to the stored bytes.
    plays = Slots(settings.limits.plays, "streams open")
    sounds = Slots(settings.limits.plays, "sounds playing")
    polls = Slots(settings.limits.long_polls, "readers waiting")
    metrics.streams.labels("store").set_function(lambda: plays.taken)
    metrics.streams.labels("crypto_server").set_function(lambda: sounds.taken)
    metrics.long_polls.set_function(lambda: polls.taken)
    metrics.writes_waiting.set_function(lambda: catalogue.database.waiting)
    metrics.posts_waiting.set_function(lambda: catalogue.posts.waiting)
    metrics.conflicts.set_function(lambda: catalogue.conflicts.count)
    catalogue.posts.watch = metrics.count_posts
    groups = (
        RecordingRoutes(catalogue, settings, metrics),
        PlaybackRoutes(catalogue, settings, storages, http, plays, metrics),
        EnvelopeRoutes(catalogue),
        ProfileListRoutes(catalogue, feed, polls, metrics),
        ProfileRoutes(
            catalogue.profiles, feed, metrics, now, longest_body=settings.limits.profile_bytes
        ),
        DeploymentRoutes(catalogue.profiles, feed, metrics, now),
        SettingsGroupRoutes(catalogue.groups, settings),
        ScreenCertificateRoutes(catalogue, settings, now),
        InternalApiRoutes(catalogue, settings, metrics),
        OnwardRoutes(settings, onward),
        ConflictRoutes(catalogue.conflicts, settings),
        ConflictPageRoutes(catalogue.conflicts, settings),
        ConsoleRoutes(catalogue, settings, http, sounds, metrics, onward),
        ArchiveRoutes(catalogue, settings, storages, http, metrics, now),
        HealthRoutes(catalogue, feed, metrics),
    )
    sign_in = basic_auth(
        accounts,
        realm=_REALM,
        open_paths={*OPEN_PATHS, *ASSET_PATHS, OPENAPI_PATH},
        sign_in=settings.sign_in,
        refused=sign_ins_refused(metrics.registry, "processor"),
    )
    own = own_pages(settings.public_url)
    app = web.Application(
        middlewares=[metrics.middleware(), errors_as_json, own_errors, own, sign_in]
    )
    app.on_response_prepare.append(add_headers)
    for group in groups:
        app.add_routes(group.routes())
    app.add_routes([openapi_route("recording_processor")])
    mount_faults(
        app,
        settings.faults,
        "processor",
        path="/faults",
        realm=_REALM,
        exempt=OPEN_PATHS,
        registry=metrics.registry,
    )
    return app
