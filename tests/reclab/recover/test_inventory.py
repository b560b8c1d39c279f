"""Store and catalogue side by side: what one has and the other has not."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from reclab.recover.inventory import Inventory, ItemRow, MediaRow, ObjectRow, PaperRow


def media(name: str, *, path: str = "", size: int | None = 10, sha256: str = "d1") -> MediaRow:
    return MediaRow(name, f"R-{name}", path, size, sha256)


@pytest.fixture
def inventory() -> Iterator[Inventory]:
    """An empty inventory."""
    with Inventory() as made:
        yield made


def test_differences(inventory: Inventory) -> None:
    """Objects without a recording, recordings without an object, and other lengths."""
    inventory.add_objects(
        [
            ObjectRow("/r/same.bin", "same.bin", 10),
            ObjectRow("/r/longer.bin", "longer.bin", 11),
            ObjectRow("/r/orphan.wav.bin", "orphan.wav.bin", 10),
            ObjectRow("/r/plain.wav", "plain.wav", 10),
            ObjectRow("/r/copies/elsewhere.wav.bin", "elsewhere.wav.bin", 10),
        ]
    )
    inventory.add_media(
        [
            media("same", path="/r/same.bin"),
            media("longer", path="/r/longer.bin"),
            media("unknown-size", path="/r/longer.bin", size=None, sha256=""),
            media("gone", path="/r/gone.bin"),
            media("elsewhere.wav"),
        ]
    )
    assert [(one.path, one.media) for one in inventory.orphans()] == [
        ("/r/orphan.wav.bin", "orphan.wav"),
        ("/r/plain.wav", "plain.wav"),
    ]
    assert [(one.id, one.recording) for one in inventory.missing()] == [("gone", "R-gone")]
    assert [one.id for one in inventory.different()] == ["longer"]
    assert [one.id for one in inventory.stored()] == ["longer", "same"]
    assert inventory.elsewhere() == 1
    assert (inventory.count("object"), inventory.count("media")) == (5, 5)


def test_what_is_known_of_a_media_id(inventory: Inventory) -> None:
    """Every item and every paper of it, the papers newest first."""
    inventory.add_items([ItemRow("m", "R", "item", "delivered", False)])
    inventory.add_papers([PaperRow("m", "R", "a_1.json", 0), PaperRow("m", "R", "a_2.json", 3)])
    [item] = inventory.items("m")
    assert (item.name, item.state, bool(item.sound)) == ("item", "delivered", False)
    assert [(one.file, one.position) for one in inventory.papers("m")] == [
        ("a_2.json", 3), ("a_1.json", 0)
    ]  # fmt: skip
    assert (inventory.items("other"), inventory.papers("other")) == ([], [])


def test_many(inventory: Inventory) -> None:
    """Fifty thousand of each are compared, and the few that differ are found."""
    names = [f"{number:06}.wav" for number in range(50_000)]
    inventory.add_objects(ObjectRow(f"/r/{one}.bin", f"{one}.bin", 10) for one in names[1:])
    inventory.add_media(media(one, path=f"/r/{one}.bin") for one in names[:-1])
    assert [one.id for one in inventory.missing()] == [names[0]]
    assert [one.media for one in inventory.orphans()] == [names[-1]]
    assert list(inventory.different()) == []
