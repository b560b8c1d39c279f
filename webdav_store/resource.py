"""What stored files and folders have in common when WsgiDAV asks them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from wsgidav.dav_error import DAVError

from webdav_store.errors import Refused, refusal_of

Environ = dict[str, Any]
UPLOAD = "webdav_store.upload"
"""Where a PUT's `Upload` stands in the environment."""
OPENED = "webdav_store.opened"
"""Where a GET's `OpenedFile` stands in the environment."""


@contextmanager
def as_dav_error() -> Iterator[None]:
    """Turn the disk's errors and our refusals into WsgiDAV's."""
    try:
        yield
    except (OSError, Refused) as error:
        refused = refusal_of(error) if isinstance(error, OSError) else error
        headers = list(refused.headers.items()) or None
        raise DAVError(
            refused.status, refused.sentence, src_exception=error, add_headers=headers
        ) from error


def carry_properties(resource: Any, dest_path: str, *, is_move: bool) -> None:
    """Let the dead properties of a WsgiDAV resource follow it to `dest_path`."""
    properties = resource.provider.prop_manager
    target = resource.provider.get_resource_inst(dest_path, resource.environ)
    if target is None:
        return
    here, there = resource.get_ref_url(), target.get_ref_url()
    if is_move:
        properties.move_properties(here, there, with_children=True, environ=resource.environ)
    else:
        properties.copy_properties(here, there, resource.environ)
