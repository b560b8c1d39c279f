"""A certificate's dates, with the time as an argument: the same moment at upload and at use.

The programs under a moved clock are in `test_time_moved`; here every edge is tried, to the second,
on what they both ask: the crypto server's validation and the platform's choice of recipients.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

import pytest

from crypto_server.administration.errors import AdministrationRefused
from crypto_server.administration.validation import Validation
from mcp_sim.ca_files import CaFiles
from mcp_sim.config import MpcSettings
from mcp_sim.recipients import RecordingRefused, choose_recipients
from recording_format.ivr_profile import IvrProfile, Tenant
from recording_format.trust import CertificatePolicy, TrustStore
from tests.recording_format.authority import Issued, issue, rsa_key

BEGIN = datetime(2026, 6, 1, tzinfo=UTC)
END = datetime(2026, 8, 31, 23, 59, 59, tzinfo=UTC)
DAY, SECOND = timedelta(days=1), timedelta(seconds=1)
LONG_AFTER = END + 9999 * DAY
EARLY, GOOD, LATE = "not-yet-valid", "valid", "expired"

MOMENTS = [
    (BEGIN - DAY, EARLY),
    (BEGIN - SECOND, EARLY),
    (BEGIN, GOOD),
    (BEGIN + DAY, GOOD),
    (END, GOOD),
    (END + SECOND, LATE),
    (END + DAY, LATE),
    (END + 3650 * DAY, LATE),
]


class Case(NamedTuple):
    """A recording certificate that may be used from BEGIN to END, and the bundle it hangs on."""

    certificate: Issued
    bundle: str


def self_signed() -> Case:
    """A certificate that is its own root."""
    made = issue("own", rsa_key(1), not_before=BEGIN, not_after=END)
    return Case(made, made.pem)


def under_a_root() -> Case:
    """A certificate of a root that lives longer."""
    root = issue("root", rsa_key(0), authority=True, not_before=BEGIN - DAY, not_after=LONG_AFTER)
    return Case(issue("leaf", rsa_key(1), issuer=root, not_before=BEGIN, not_after=END), root.pem)


def under_a_short_intermediate() -> Case:
    """A certificate that outlives the CA above it: that one's end counts."""
    root = issue("root", rsa_key(0), authority=True, not_before=BEGIN - DAY, not_after=LONG_AFTER)
    between = issue(
        "between", rsa_key(2), issuer=root, authority=True, not_before=BEGIN - DAY, not_after=END
    )
    leaf = issue("leaf", rsa_key(1), issuer=between, not_before=BEGIN, not_after=LONG_AFTER)
    return Case(leaf, between.pem + root.pem)


CASES = [self_signed, under_a_root, under_a_short_intermediate]


@pytest.mark.parametrize("make", CASES, ids=lambda make: make.__name__)
@pytest.mark.parametrize(("now", "status"), MOMENTS, ids=lambda value: str(value))
def test_upload(make: Callable[[], Case], now: datetime, status: str) -> None:
    """Shown by its dates at every moment; after them it is taken only if that is asked for."""
    case = make()
    trust = TrustStore.from_pem(case.bundle)
    validation = Validation(lambda: trust, CertificatePolicy())
    certificate = case.certificate.recording()
    judged = validation.judge(certificate, now)
    assert (str(judged.status), judged.trusted) == (status, True)
    assert validation.admit(certificate, now, accept_expired=True).status == status
    if status == LATE:
        with pytest.raises(AdministrationRefused, match="expired on 2026-08-31 23:59:59 UTC"):
            validation.admit(certificate, now, accept_expired=False)
    else:
        assert validation.admit(certificate, now, accept_expired=False).status == status


@pytest.mark.parametrize("make", CASES, ids=lambda make: make.__name__)
@pytest.mark.parametrize(("now", "status"), MOMENTS, ids=lambda value: str(value))
def test_use(make: Callable[[], Case], now: datetime, status: str, tmp_path: Path) -> None:
    """Recorded for within its dates only; before and after them the reason names the moment."""
    case = make()
    bundle = tmp_path / "ca.pem"
    bundle.write_text(case.bundle)
    certificates = {"certificates-1": case.certificate.pem}
    profile = IvrProfile(
        1, "recording", Tenant("Environment", 1), {"recording-certificates": certificates}
    )
    mpc = MpcSettings(ca_file=str(bundle))
    if status == GOOD:
        assert len(choose_recipients(profile, mpc, CaFiles(), now).certificates) == 1
        return
    told = "2026-06-01 00:00:00" if status == EARLY else "2026-08-31 23:59:59"
    with pytest.raises(RecordingRefused, match=told) as refused:
        choose_recipients(profile, mpc, CaFiles(), now)
    assert refused.value.cause == f"certificate-{status}"
