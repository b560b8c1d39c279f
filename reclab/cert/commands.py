"""``reclab cert``: its commands, registered here."""

from __future__ import annotations

import typer

from reclab.cert.changing import delete, deploy, undeploy, upload
from reclab.cert.listing import expiring, list_, show
from reclab.cert.making import new, new_ca

cert = typer.Typer(
    name="cert",
    add_completion=False,
    no_args_is_help=True,
    help="Recording certificates: make, upload, deploy, list, renew, delete.",
)
for name, command in (
    ("new-ca", new_ca),
    ("new", new),
    ("upload", upload),
    ("list", list_),
    ("show", show),
    ("deploy", deploy),
    ("undeploy", undeploy),
    ("delete", delete),
    ("expiring", expiring),
):
    cert.command(name)(command)
