"""What every post of metadata goes through, whoever sends it: its rights, its count, its filing."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import structlog

from recording_format.errors import MetadataError
from recording_processor.catalogue.catalogue import Catalogue
from recording_processor.errors import BadParameter, Conflict, NotFound
from recording_processor.intake import check_own_objects
from recording_processor.recording import Filing
from recording_processor.web.metrics import Metrics
from service_shell.accounts import Account

_log = structlog.get_logger()


async def file_for(account: Account, filing: Filing, size: int, catalogue: Catalogue) -> int:
    """File a post of `size` bytes for who sent it; return how many media files were new.

    Raises `NotFound` for a tenant that the account may not reach, `MetadataError` for objects that
    are not its own, and `Conflict`.
    """
    if not account.may_reach(filing.tenant):
        raise NotFound("there is no such tenant")
    if not account.every_tenant:
        check_own_objects(filing)
    return await catalogue.file(filing, size)


@contextmanager
def refusals_counted(metrics: Metrics) -> Iterator[None]:
    """Count a post that is refused. Malformed metadata become `BadParameter`."""
    try:
        yield
    except MetadataError as error:
        metrics.filed.labels("refused").inc()
        raise BadParameter(str(error)) from None
    except Conflict as error:
        metrics.filed.labels("conflict").inc()
        _log.error("A post was in conflict", reason=str(error))
        raise


def count_filed(metrics: Metrics, new: int) -> None:
    """Count a post that was filed, with `new` media files, or none."""
    metrics.filed.labels("filed" if new else "repeated").inc()
    metrics.media_files.inc(new)
