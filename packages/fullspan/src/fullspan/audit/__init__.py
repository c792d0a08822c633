"""The audit of a pytest suite: what in it cannot fail, and so proves nothing."""

from fullspan.audit.examine import Audit, examine
from fullspan.audit.null_run import NullRun, run_against_null
from fullspan.audit.suspicion import Suspicion

__all__ = ["Audit", "NullRun", "Suspicion", "examine", "run_against_null"]
