"""The monitor: what components log and use while tests run, sliced per test, with errors found and limits held."""

from fullspan.monitor.logs import LogError, LogReader
from fullspan.monitor.meter import Meter, Usage
from fullspan.monitor.monitor import Mark, Monitor, Slice
from fullspan.monitor.words import is_error

__all__ = ["LogError", "LogReader", "Mark", "Meter", "Monitor", "Slice", "Usage", "is_error"]
