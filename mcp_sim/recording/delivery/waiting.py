"""What waits for its next try: when it is due, where it goes, and whom it waits for.

Names, times and origins only: the recordings themselves are on disk.
"""

from __future__ import annotations

from dataclasses import dataclass

from mcp_sim.recording.delivery.errors import SignInRefusedError
from mcp_sim.recording.delivery.item import DeliveryCredentials, Tried
from mcp_sim.recording.delivery.route import Route
from mcp_sim.recording.delivery.traffic import Stage


@dataclass(slots=True)
class Waiting:
    """One item. `due` is seconds on the clock that measures.

    `tried` is the last try of this process, if there was one; `refused` says that the last one of
    an earlier process failed by the sign-in.
    """

    due: float
    route: Route
    refused: bool = False
    tried: Tried | None = None

    @property
    def blamed(self) -> str:
        """The origin that the last try failed at, empty where it is none's fault or unknown."""
        if self.tried is None or self.tried.error is None or self.tried.error.destination_works:
            return ""
        stages = {Stage.STORE: self.route.store, Stage.PROCESSOR: self.route.processor}
        return stages.get(self.tried.stage, "")

    def helped_by(self, origin: str, success: Tried | None) -> bool:
        """Return whether `origin` works again for this one too, as `success` showed it.

        Somebody else's password that is right does not help one whose own is wrong.
        """
        if self.blamed != origin or self.tried is None:
            return False
        if not isinstance(self.tried.error, SignInRefusedError) or success is None:
            return True
        return _account(success.credentials, self.tried.stage) == self.account

    def changed_by(self, credentials: DeliveryCredentials | None) -> bool:
        """Return whether these are others than the last try had, or may be."""
        if credentials is None:
            return False
        if self.tried is None:
            return self.refused  # by what, the earlier process did not write down
        if self.tried.credentials is None:
            return True
        return self.tried.stage is not Stage.NONE and (
            _account(credentials, self.tried.stage) != self.account
        )

    @property
    def account(self) -> tuple[str, str] | None:
        """The name and password that the last try failed with."""
        return _account(self.tried.credentials, self.tried.stage) if self.tried else None


def _account(credentials: DeliveryCredentials | None, stage: Stage) -> tuple[str, str] | None:
    if credentials is None:
        return None
    return credentials.storage if stage is Stage.STORE else credentials.processor
