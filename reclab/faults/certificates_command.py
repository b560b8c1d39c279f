"""``reclab faults certificates``: a running lab's certificates go wrong, and are put back."""

from __future__ import annotations

import asyncio
import enum
from typing import Annotated

import typer

from reclab.faults.certificates import CertificateFaults
from reclab.faults.profile_desk import ProfileUnchanged
from reclab.lab import DEFAULT_FOLDER, DataOption, load_lab
from reclab.preparation import LabFolder
from service_shell.faults import CertificateFault
from service_shell.settings import SettingsError


class Kind(enum.StrEnum):
    """What is wrong with a certificate."""

    EXPIRED = "expired"
    NOT_YET_VALID = "not-yet-valid"
    WRONG_CA = "wrong-ca"
    RUINED = "ruined"
    KEY_MISSING = "key-missing"


def certificates(
    kind: Annotated[Kind | None, typer.Argument(help="What shall be wrong.")] = None,
    number: Annotated[
        int, typer.Option(min=0, max=1000, help="The N of certificates-N; 0: all of them.")
    ] = 0,
    heal: Annotated[
        bool, typer.Option("--heal", help="Put certificates and keys back as they were.")
    ] = False,
    data: DataOption = DEFAULT_FOLDER,  # type: ignore[assignment]  # typer converts it
) -> None:
    """Let the certificates of the lab's IVR profile be unusable, or their keys be gone.

    In force when the command ends. What was there before is kept in the lab's folder.

    `reclab faults certificates expired --number 1`, then `reclab faults certificates --heal`
    """
    if heal == (kind is not None):
        raise SettingsError("say what shall be wrong with the certificates, or --heal")
    faults = CertificateFaults(load_lab(data), LabFolder(data))

    async def work() -> str:
        if kind is None:
            healed = await faults.heal()
            return "all is as it was" if healed else "nothing was wrong on purpose"
        await faults.cause(CertificateFault(kind=kind.value, certificate=number))
        which = f"certificates-{number}" if number else "every certificate"
        return f"{which} of the profile: {kind.value}"

    try:
        typer.echo(asyncio.run(work()))
    except ProfileUnchanged as error:
        raise SettingsError(str(error)) from None
