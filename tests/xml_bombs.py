"""XML that is made to harm its reader, around the root element of any vocabulary."""

from __future__ import annotations

_LAUGHS = "".join(
    f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' if n else '<!ENTITY l0 "lol">' for n in range(10)
)


def _with_dtd(root: str, attributes: str, inner: str, text: str) -> bytes:
    head = f'<?xml version="1.0"?><!DOCTYPE {root} {inner}>'
    return f"{head}<{root}{attributes}>{text}</{root}>".encode()


def xml_bombs(
    root: str, attributes: str = "", *, listening: str = "127.0.0.1:9"
) -> dict[str, bytes]:
    """Return hostile documents by what they try; `listening` must never be connected to.

    Each has less than 64 KiB, so that its size alone is no reason to refuse it.
    """
    url = f"http://{listening}/x"
    long = "&l;" * 2000
    return {
        "billion laughs": _with_dtd(root, attributes, f"[{_LAUGHS}]", "&l9;"),
        "quadratic": _with_dtd(root, attributes, f'[<!ENTITY l "{"a" * 50000}">]', long),
        "file entity": _with_dtd(
            root, attributes, '[<!ENTITY x SYSTEM "file:///etc/passwd">]', "&x;"
        ),
        "http entity": _with_dtd(root, attributes, f'[<!ENTITY x SYSTEM "{url}">]', "&x;"),
        "parameter entity": _with_dtd(root, attributes, f'[<!ENTITY % x SYSTEM "{url}"> %x;]', ""),
        "external subset": _with_dtd(root, attributes, f'SYSTEM "{url}"', ""),
        "empty DTD": _with_dtd(root, attributes, "[]", ""),
        "UTF-16 entity": _with_dtd(root, attributes, '[<!ENTITY x "y">]', "&x;")
        .decode()
        .encode("utf-16"),
        "undefined entity": f"<{root}{attributes}>&nothing;</{root}>".encode(),
    }


def bulky_xml(root: str, attributes: str = "") -> dict[str, bytes]:
    """Return documents without any trick that are too deep or too large somewhere."""
    begin, end = f"<{root}{attributes}", f"</{root}>"
    many = " ".join(f'a{n}="b"' for n in range(6000))
    return {
        "deep": f"{begin}>{'<a>' * 9000}{'</a>' * 9000}{end}".encode(),
        "giant attribute": f'{begin} z="{"a" * 60000}"/>'.encode(),
        "many attributes": f"{begin} {many}/>".encode(),
        "giant name": f"{begin}><{'a' * 30000}/>{end}".encode(),
    }
