"""Faults on purpose: what may be broken, by which plan, and how one run of a plan decides.

A plan is data (`plan`), a run of it draws from the plan's seed (`run`), and a service's `switch`
has the run in force, which its `api` changes. A service causes its faults itself; those of HTTP are
the same for three of them: `http`.
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
from service_shell.faults.switch import FaultSwitch

__all__ = [
    "CertificateFault",
    "Fault",
    "FaultPlan",
    "FaultPlanError",
    "FaultSwitch",
    "HttpFault",
    "PlanRun",
    "PlatformFault",
    "RtpFault",
    "read_plan",
]
