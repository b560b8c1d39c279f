"""Faults on purpose: what may be broken, by which plan, and how one run of a plan decides.

A plan is data (`plan`), a run of it draws from the plan's seed (`run`). Who causes a fault is the
service that has it: this package breaks nothing by itself.
"""

from service_shell.faults.fault import (
    CertificateFault,
    Fault,
    HttpFault,
    PlatformFault,
    RtpFault,
)
from service_shell.faults.plan import FaultPlan, FaultPlanError, read_plan
from service_shell.faults.run import PlanRun

__all__ = [
    "CertificateFault",
    "Fault",
    "FaultPlan",
    "FaultPlanError",
    "HttpFault",
    "PlanRun",
    "PlatformFault",
    "RtpFault",
    "read_plan",
]
