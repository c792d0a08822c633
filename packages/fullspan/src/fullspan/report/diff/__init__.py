"""Two runs side by side: what became of each test, and which times differ by more than the runs themselves vary."""

from fullspan.report.diff.comparison import Comparison, Moved, compare
from fullspan.report.diff.shift import Shift, shift_of

__all__ = ["Comparison", "Moved", "Shift", "compare", "shift_of"]
