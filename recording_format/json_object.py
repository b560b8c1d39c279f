"""Reading one JSON object key by key, with its path in every error.

Known keys are taken out by name (another letter case will do, where there is no exact one); what is
left afterwards is unknown and is kept. Errors hold paths, never values: values can be passwords.
"""

from __future__ import annotations

from .errors import MetadataError

MAX_TEXT = 8192
MAX_ITEMS = 1000
MAX_KEYS = 1000


class JsonObject:
    """The not yet taken keys of a decoded JSON object. All errors are `MetadataError`."""

    def __init__(self, value: object, path: str) -> None:
        if not isinstance(value, dict):
            raise MetadataError(path or "the metadata", "is not an object")
        if len(value) > MAX_KEYS:
            raise MetadataError(path or "the metadata", f"has more than {MAX_KEYS} keys")
        self._left: dict[str, object] = dict(value)
        self._spelling: dict[str, str] = {}
        for key in value:
            self._spelling.setdefault(key.lower(), key)
        self._path = path

    def path(self, name: str) -> str:
        """Return where the key `name` stands."""
        return f"{self._path}.{name}" if self._path else name

    def fault(self, name: str, fault: str) -> MetadataError:
        """Return the error that says `fault` of the key `name`."""
        return MetadataError(self.path(name), fault)

    def take(self, name: str) -> object:
        """Take a key's value; None when it is missing or null."""
        key = name if name in self._left else self._spelling.get(name.lower(), name)
        return self._left.pop(key, None)

    def required(self, name: str) -> object:
        """Take the value of a key that must be there."""
        value = self.take(name)
        if value is None:
            raise self.fault(name, "is missing")
        return value

    def text(self, name: str, default: str | None = None, *, limit: int = MAX_TEXT) -> str:
        """Take text; a number becomes text. Without a default the key must be there, not empty."""
        value = self.required(name) if default is None else self.take(name)
        if value is None:
            return default or ""
        text = number_as_text(value)
        if text is None:
            raise self.fault(name, "is not text")
        if not text and default is None:
            raise self.fault(name, "is empty")
        if len(text) > limit:
            raise self.fault(name, f"is longer than {limit} characters")
        return text

    def texts(self, name: str, *, limit: int = MAX_ITEMS) -> list[str]:
        """Take a list of text; missing is empty, and one text alone is a list of it."""
        value = self.take(name)
        if isinstance(value, str):
            value = [value]
        texts: list[str] = []
        for item in self._items(name, value, limit):
            if not isinstance(item, str):
                raise self.fault(f"{name}[{len(texts)}]", "is not text")
            if len(item) > MAX_TEXT:
                raise self.fault(f"{name}[{len(texts)}]", f"is longer than {MAX_TEXT} characters")
            texts.append(item)
        return texts

    def objects(self, name: str, *, limit: int = MAX_ITEMS) -> list[JsonObject]:
        """Take a list of objects; missing is empty."""
        items = self._items(name, self.take(name), limit)
        return [JsonObject(item, self.path(f"{name}[{at}]")) for at, item in enumerate(items)]

    def number(self, name: str, default: int | None = None) -> int:
        """Take a whole number of at most 18 digits, not below 0; digits in text will do."""
        value = self.required(name) if default is None else self.take(name)
        if value is None:
            return default or 0
        text = number_as_text(value)
        if text is None or not (text.isascii() and text.isdigit() and len(text) <= 18):
            raise self.fault(name, "is not a whole number")
        return int(text)

    def flag(self, name: str) -> bool:
        """Take true or false; missing is false."""
        value = self.take(name)
        if value is None:
            return False
        if not isinstance(value, bool):
            raise self.fault(name, "is not true or false")
        return value

    def rest(self) -> dict[str, object]:
        """Return the keys that nobody took."""
        return dict(self._left)

    def _items(self, name: str, value: object, limit: int) -> list[object]:
        if value is None:
            return []
        if not isinstance(value, list):
            raise self.fault(name, "is not a list")
        if len(value) > limit:
            raise self.fault(name, f"has more than {limit} entries")
        return value


def number_as_text(value: object) -> str | None:
    """Return text as it is and a number as text; None for anything else."""
    if isinstance(value, str):
        return value
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return str(value)
    return None


def with_rest(known: dict[str, object], rest: dict[str, object]) -> dict[str, object]:
    """Return the known keys, then the unknown ones that were kept."""
    return known | {key: value for key, value in rest.items() if key not in known}
