"""Where jobs live: the orchestrator that the server drives, and the one that asks the analyzer of this machine."""

from focus_server.jobs.local import LocalAnalyzer
from focus_server.jobs.orchestrator import Orchestrator

__all__ = ["LocalAnalyzer", "Orchestrator"]
