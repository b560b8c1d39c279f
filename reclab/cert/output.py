"""How certificates are told: a table at a terminal, tab-separated lines in a pipe."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from reclab.cert.server import JsonDict

SHORT_ID = 12
_GAP = 2
_COLUMNS = ("Id", "Issued To", "Issued By", "Expires", "Deployed Count", "Status", "Tenant")
_LEAST_WIDTHS = {"Issued To": 12, "Issued By": 9, "Deployed Count": 8, "Tenant": 6}
_NARROW = ("Id", "Expires", "Status", "Days Left")
_STYLES = {"valid": "green", "not-yet-valid": "yellow", "expired": "red", "untrusted": "red"}
_FORM = (
    ("Subject Name", "subjectName"),
    ("Serial Number", "serialNumber"),
    ("Subject DN", "subjectDN"),
    ("Issuer DN", "issuerDN"),
    ("Key Details", "keyDetails"),
    ("Not Before", "notBefore"),
    ("Not After", "notAfter"),
    ("Tenant", "tenant"),
    ("Alias", "alias"),
    ("Id", "id"),
    ("Status", "status"),
    ("Problem", "problem"),
)


def note(text: str) -> None:
    """Tell a person something beside the result, on standard error."""
    Console(stderr=True, highlight=False, markup=False, soft_wrap=True).print(text)


def show_list(rows: Sequence[JsonDict], *, days: bool = False) -> None:
    """Print the list; with `days` the days that are left too.

    At a terminal, which is narrow, the tenant is left out where there is only one.
    """
    columns = [*_COLUMNS, "Days Left"] if days else [*_COLUMNS]
    table = [_cells(row, days=days) for row in rows]
    tenant = columns.index("Tenant")
    if Console().is_terminal and len({cells[tenant] for cells in table}) == 1:
        for cells in (columns, *table):
            del cells[tenant]
    show_table(columns, table)


def show_table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print a table at a terminal that is wide enough, else tabs between the cells."""
    console = Console(highlight=False)
    lines = [columns, *rows]
    if console.is_terminal and _least_width(lines) <= console.width:
        console.print(_table(columns, lines[1:]))
        return
    for line in lines:
        sys.stdout.write("\t".join(line) + "\n")


def _least_width(lines: Sequence[Sequence[str]]) -> int:
    """Return how wide a terminal must be so that no column is cut off."""
    least = 0
    for column, *cells in zip(*lines, strict=True):
        whole = max(map(len, (column, *cells))) if column in _NARROW else 0
        least += _GAP + max(whole, _LEAST_WIDTHS.get(column, 1))
    return least


def _table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> Table:
    table = Table(box=None, padding=(0, _GAP, 0, 0), header_style="bold underline")
    for column in columns:
        width = _LEAST_WIDTHS.get(column)
        table.add_column(column, overflow="fold", no_wrap=column in _NARROW, min_width=width)
    for row in rows:
        table.add_row(*(Text(cell, style=_STYLES.get(cell, "")) for cell in row))
    return table


def show_form(certificate: JsonDict) -> None:
    """Print the fields of the upload form, one to a line."""
    console = Console(highlight=False, soft_wrap=True)
    for label, key in _FORM:
        value = certificate.get(key)
        if value not in (None, ""):
            console.print(Text(f"{label + ':':15}", style="bold"), Text(str(value)))
    profiles = certificate.get("deployedTo")
    if profiles:
        names = ", ".join(f"{one['name']} ({one['dbid']})" for one in profiles)
        console.print(Text(f"{'Deployed To:':15}", style="bold"), Text(names))


def short(row: JsonDict) -> str:
    """Return the beginning of an id, as people type it."""
    return str(row["id"])[:SHORT_ID]


def _cells(row: JsonDict, *, days: bool) -> list[str]:
    count = row["deployedCount"]
    cells = [
        short(row),
        row["issuedTo"],
        row["issuedBy"],
        row["expires"],
        "?" if count is None else str(count),
        row["status"],
        row["tenant"],
    ]
    return [*cells, str(row["daysLeft"])] if days else cells
