"""Why something did not go onward, and whether trying again can help.

OnwardFailed
├── NotNow     unreachable, slow, broken off, 5xx, a refused sign-in: the same again may succeed
└── Never      the web services have looked at it and do not take it: a person must look
"""

from __future__ import annotations


class OnwardFailed(Exception):
    """The web services do not have it (or nobody knows); the text is one sentence."""


class NotNow(OnwardFailed):
    """Trying again can help; not before `retry_after` seconds, where they said so."""

    def __init__(self, sentence: str, retry_after: float | None = None) -> None:
        super().__init__(sentence)
        self.retry_after = retry_after


class Never(OnwardFailed):
    """The same again will be refused again."""
