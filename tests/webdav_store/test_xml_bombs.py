"""Hostile XML in PROPFIND, PROPPATCH and LOCK: a 4xx, nothing fetched, and the store goes on."""

from __future__ import annotations

import socket

import pytest

from tests.webdav_store.store_process import StoreProcess
from tests.xml_bombs import bulky_xml, xml_bombs

ROOTS = {"PROPFIND": "propfind", "PROPPATCH": "propertyupdate", "LOCK": "lockinfo"}
SPACE = ' xmlns="DAV:"'


@pytest.mark.parametrize("method", ROOTS)
def test_entities_are_not_expanded(store: StoreProcess, method: str) -> None:
    """Entities, DTDs and what they point at: refused with 400, without a look at the network."""
    store.put("bomb.bin", b"x")
    with socket.create_server(("127.0.0.1", 0)) as trap:
        trap.setblocking(False)
        host, port = trap.getsockname()
        bombs = xml_bombs(ROOTS[method], SPACE, listening=f"{host}:{port}")
        for name, body in bombs.items():
            reply = store.request(method, "bomb.bin", body, {"Depth": "0"})
            assert reply.status == 400, name
            assert b"root:" not in reply.body, name
        with pytest.raises(BlockingIOError):
            trap.accept()


@pytest.mark.parametrize("method", ROOTS)
def test_bulky_documents_do_no_harm(store: StoreProcess, method: str) -> None:
    """Depth, giant names and attributes never make a 5xx, and leave nothing that breaks a list."""
    store.put("bulk.bin", b"x")
    for name, body in bulky_xml(ROOTS[method], SPACE).items():
        status = store.request(method, "bulk.bin", body, {"Depth": "0"}).status
        assert status == 207 or 400 <= status < 500, (name, status)
        assert store.request("PROPFIND", "", headers={"Depth": "1"}).status == 207, name
    assert "Traceback" not in store.log.read_text()


PROPERTIES = {
    "deep": "<a>" * 8000 + "</a>" * 8000,
    "giant attribute": f'<a z="{"b" * 60000}"/>',
    "giant name": f"<{'a' * 30000}/>",
}


@pytest.mark.parametrize("name", PROPERTIES)
def test_bulky_properties_do_no_harm(store: StoreProcess, name: str) -> None:
    """Inside a property too: it is kept or refused, and whoever lists the folder is answered."""
    store.put("kept.bin", b"x")
    value = PROPERTIES[name]
    inner = f'<set><prop><z xmlns="urn:x">{value}</z></prop></set>'
    body = f"<propertyupdate{SPACE}>{inner}</propertyupdate>"
    status = store.request("PROPPATCH", "kept.bin", body.encode()).status
    assert status == 207 or 400 <= status < 500, status
    assert store.request("PROPFIND", "", headers={"Depth": "1"}).status == 207
    assert "Traceback" not in store.log.read_text()
