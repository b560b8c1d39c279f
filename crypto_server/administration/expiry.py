"""How long certificates are still good: metrics, and a warning in the log once a day.

The figures are of the keystore as it was last looked at (at the start, after each change, and every
hour), so that a scrape touches no disk.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from datetime import datetime, timedelta
from typing import NamedTuple

import structlog
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from crypto_server.administration.description import deployed_to
from crypto_server.administration.errors import AdministrationRefused
from crypto_server.administration.processor import AdministrationClient
from crypto_server.errors import KeystoreError
from crypto_server.keystore import Keystore
from recording_format.certificates import RecordingCertificate

_HOUR = 3600.0
_HOURS_BETWEEN_WARNINGS = 24
_log = structlog.get_logger()


class _Known(NamedTuple):
    tenant: str
    certificate: RecordingCertificate


class Expiry(Collector):
    """The ends of all certificates. `days` is how early a warning comes."""

    def __init__(
        self,
        keystore: Keystore,
        processor: AdministrationClient,
        days: int,
        now: Callable[[], datetime],
    ) -> None:
        self.days = days
        self._keystore = keystore
        self._processor = processor
        self._now = now
        self._known: list[_Known] = []

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Give Prometheus the seconds that are left, by tenant and beginning of the id."""
        now = self._now()
        left = GaugeMetricFamily(
            "reclab_crypto_certificate_expiry_seconds",
            "Until the certificate expires, negative when it has",
            labels=["tenant", "certificate"],
        )
        for tenant, certificate in self._known:
            seconds = (certificate.not_after - now).total_seconds()
            left.add_metric([tenant, certificate.fingerprint[:16]], seconds)
        yield left
        yield GaugeMetricFamily(
            "reclab_crypto_certificates_expiring",
            f"Certificates that expire within {self.days} days",
            value=sum(self._is_near(one.certificate, now) for one in self._known),
        )

    async def refresh(self) -> None:
        """Look at the keystore again."""
        try:
            self._known = await asyncio.to_thread(self._read)
        except KeystoreError as error:
            _log.error("The keystore could not be looked at", reason=str(error))

    async def watch(self, wait: Callable[[float], Awaitable[None]] = asyncio.sleep) -> None:
        """Refresh every hour, warn every day, until cancelled. `wait` takes seconds."""
        hour = 0
        while True:
            await self.refresh()
            # The first look comes an hour after the start: the processor may not be up earlier.
            if hour % _HOURS_BETWEEN_WARNINGS == 1:
                await self.warn()
            await wait(_HOUR)
            hour += 1

    async def warn(self) -> None:
        """Log each certificate that is deployed and ends soon, or has ended."""
        try:
            deployments = await self._processor.deployments()
        except AdministrationRefused as error:
            _log.warning("Where certificates are deployed is not known", reason=str(error))
            return
        now = self._now()
        for tenant, certificate in self._known:
            profiles = deployed_to(certificate, tenant, deployments)
            if profiles and certificate.not_after - now <= timedelta(days=self.days):
                _log.warning(
                    "A deployed certificate expires soon or has expired",
                    subject=certificate.subject,
                    tenant=tenant,
                    certificate=certificate.fingerprint,
                    expires=certificate.not_after.isoformat(),
                    profiles=[profile.name for profile in profiles],
                )

    def _is_near(self, certificate: RecordingCertificate, now: datetime) -> bool:
        return timedelta(0) <= certificate.not_after - now <= timedelta(days=self.days)

    def _read(self) -> list[_Known]:
        return [
            _Known(tenant, entry.certificate)
            for tenant in self._keystore.tenants()
            for entry in self._keystore.entries(tenant)
        ]
