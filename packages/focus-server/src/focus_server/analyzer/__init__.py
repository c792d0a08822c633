"""The analyzer: a ring of the fibre's newest samples, shared lines, jobs that own ports, rows over gRPC."""

from focus_server.analyzer.analyzer import Analyzer
from focus_server.analyzer.grid import Clock, LineGrid
from focus_server.analyzer.spectrum import Spectrum, Unit, root_mean_square

__all__ = ["Analyzer", "Clock", "LineGrid", "Spectrum", "Unit", "root_mean_square"]
