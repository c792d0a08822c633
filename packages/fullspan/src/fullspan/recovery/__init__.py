"""Recovery: how long each layer of a system took to notice a fault, to suffer from it, and to come back from it."""

from fullspan.recovery.limits import check
from fullspan.recovery.observed import Moments, observed
from fullspan.recovery.phase import Phase
from fullspan.recovery.profile import RecoveryProfile

__all__ = ["Moments", "Phase", "RecoveryProfile", "check", "observed"]
