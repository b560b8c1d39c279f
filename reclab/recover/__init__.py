"""Recovery: what is wrong with a lab's recordings, and bringing back what can be brought back."""

from reclab.recover.causes import Cause
from reclab.recover.report import Counts, DestinationState, Finding, Outcome, Report
from reclab.recover.run import RecoveryOptions, run_recovery

__all__ = [
    "Cause",
    "Counts",
    "DestinationState",
    "Finding",
    "Outcome",
    "RecoveryOptions",
    "Report",
    "run_recovery",
]
