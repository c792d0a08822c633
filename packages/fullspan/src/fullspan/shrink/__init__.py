"""The smallest part of a failing schedule that still fails in the same way."""

from fullspan.shrink.reduction import Reduction, Search, Trial
from fullspan.shrink.signature import Signature
from fullspan.shrink.trials import CommandTrials

__all__ = ["CommandTrials", "Reduction", "Search", "Signature", "Trial"]
