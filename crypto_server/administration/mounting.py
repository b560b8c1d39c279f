"""The administration put together: what it needs, its paths, and its task."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime

from aiohttp import web
from aiohttp.typedefs import Middleware

from crypto_server.administration.action import Actions
from crypto_server.administration.certificate_routes import CertificateRoutes
from crypto_server.administration.certificates import Certificates
from crypto_server.administration.deployments import Deployments
from crypto_server.administration.expiry import Expiry
from crypto_server.administration.keystore_routes import KeystoreRoutes
from crypto_server.administration.processor import AdministrationClient
from crypto_server.administration.session_routes import SessionRoutes
from crypto_server.administration.sessions import Sessions
from crypto_server.administration.sign_in import session_or_basic
from crypto_server.administration.validation import Validation
from crypto_server.audit import Audit
from crypto_server.keystore import Keystore
from crypto_server.settings import AdministrationSettings
from service_shell.openapi import openapi_route


def utc_now() -> datetime:
    """Return the time that certificates are judged at."""
    return datetime.now(UTC)


class Administration:
    """The administration of one crypto server. Its `expiry` is a metrics collector, and a task."""

    def __init__(
        self,
        settings: AdministrationSettings,
        keystore: Keystore,
        processor: AdministrationClient,
        validation: Validation,
        audit: Audit,
        *,
        now: Callable[[], datetime] = utc_now,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        idle_seconds = settings.session_minutes * 60.0
        self._sessions = Sessions(idle_seconds, clock)
        self.actions = Actions(audit, now)
        self.expiry = Expiry(keystore, processor, settings.expiring_days, now)
        self.certificates = certificates = Certificates(keystore, processor, validation, now)
        deployments = Deployments(certificates, processor)
        self._rooms = (
            SessionRoutes(self._sessions, self.actions, idle_seconds=idle_seconds),
            CertificateRoutes(certificates, deployments, self.expiry, self.actions),
            KeystoreRoutes(keystore, certificates, self.expiry, self.actions),
        )

    def sign_in(self, basic: Middleware) -> Middleware:
        """Return the middleware that takes a session's cookie, or what `basic` takes."""
        return session_or_basic(self._sessions, basic)

    def add_to(self, app: web.Application) -> None:
        """Register every path."""
        for room in self._rooms:
            room.add_to(app)
        app.add_routes([openapi_route("crypto_server")])
