"""Historic views: recordings turned into the same lines as the live fibre, for each viewer from the start."""

from focus_server.analyzer.history.job import HistoricJob
from focus_server.analyzer.history.order import read_order
from focus_server.analyzer.history.places import Places
from focus_server.analyzer.history.plan import plan_history

__all__ = ["HistoricJob", "Places", "plan_history", "read_order"]
