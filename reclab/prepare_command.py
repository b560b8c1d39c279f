"""``reclab prepare``: make a lab's certificates, keys, accounts and settings, and start nothing.

For those who run the services themselves: in containers, or beside the real ones.
"""

from __future__ import annotations

from typing import Annotated

import typer
from rich.console import Console

from reclab.doors import USUAL_ADDRESSES, USUAL_SIP_TLS
from reclab.lab import DEFAULT_FOLDER, LAB_FILE, DataOption, write_lab
from reclab.preparation import Addresses, LabFolder, describe
from reclab.preparation import prepare as prepare_lab
from reclab.up_command import (
    ChannelsOption,
    FaultsOption,
    TlsOption,
    TypeOption,
    chosen_options,
)
from service_shell.listening import split_address

Address = Annotated[str, typer.Option(help="host:port, as the other services reach it.")]


def prepare(
    data: DataOption = DEFAULT_FOLDER,  # type: ignore[assignment]  # typer converts it
    type_: TypeOption = None,
    channels: ChannelsOption = None,
    sip: Address = USUAL_ADDRESSES.sip,
    control: Address = USUAL_ADDRESSES.control,
    store: Address = USUAL_ADDRESSES.store,
    processor: Address = USUAL_ADDRESSES.processor,
    crypto: Address = USUAL_ADDRESSES.crypto,
    tls: TlsOption = False,
    sip_tls: Annotated[
        str, typer.Option(help="host:port of SIP over TLS, with --tls.")
    ] = USUAL_SIP_TLS,
    listen_host: Annotated[
        str, typer.Option(help="Where each service listens, e.g. 0.0.0.0 in a container.")
    ] = "",
    faults: FaultsOption = False,
) -> None:
    """Write a lab's folder without starting anything.

    The settings of each service lie in DIR/etc/NAME.toml: `python -m webdav_store`,
    `recording_processor`, `crypto_server` and `mcp_sim` take them by --config.
    """
    for address in (sip, control, store, processor, crypto, sip_tls):
        split_address(address)
    addresses = Addresses(
        sip=sip,
        control=control,
        store=store,
        processor=processor,
        crypto=crypto,
        sip_tls=sip_tls if tls else "",
    )
    folder = LabFolder(data)
    options = chosen_options(type_, channels)
    plan = prepare_lab(folder, addresses, options, listen_host=listen_host, faults=faults)
    write_lab(folder.root, describe(folder, plan, faults=faults))
    console = Console(stderr=True, highlight=False, markup=False, soft_wrap=True)
    console.print(f"The lab is prepared: {data}/etc/*.toml and {data}/{LAB_FILE}")
