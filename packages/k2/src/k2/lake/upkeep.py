"""What a writer does for its table between batches: snapshots expire, small files are joined, unneeded ones deleted."""

import time
from dataclasses import dataclass
from typing import Final

import structlog

from k2.lake.compaction import compact_some
from k2.lake.expiry import expire, sweep
from k2.lake.figures import WriterFigures
from k2.lake.files import Manifests
from k2.lake.table import LakeTable

__all__ = ["Upkeep", "UpkeepRules"]

_log = structlog.get_logger()

_SWEEP_EVERY: Final = 10
"""Expiries between two looks at the disk."""


@dataclass(frozen=True, slots=True)
class UpkeepRules:
    """How often, in commits, and how long things are kept, in seconds; `compact_commits` 0 never joins files."""

    expire_commits: int = 20
    compact_commits: int = 50
    keep_s: float = 300.0
    keep: int = 20
    sweep_after_s: float = 600.0


class Upkeep:
    """Counts the commits of a table and does what is due; NotCommitted passes through to whoever begins again."""

    def __init__(self, rules: UpkeepRules, figures: WriterFigures, name: str, time_column: str) -> None:
        self._rules: Final = rules
        self._figures: Final = figures
        self._name: Final = name
        self._manifests: Final = Manifests(time_column)
        self._commits = 0

    def look(self, table: LakeTable) -> None:
        """Note how the table is."""
        self._figures.snapshots.labels(self._name).set(len(table.iceberg.snapshots()))
        self._figures.files.labels(self._name).set(len(self._manifests.files(table.iceberg)))

    def after_commit(self, table: LakeTable) -> None:
        """Do what is due after so many commits. Raises NotCommitted."""
        self._commits += 1
        rules = self._rules
        if rules.compact_commits and self._commits % rules.compact_commits == 0:
            self._compact(table)
        if self._commits % rules.expire_commits == 0:
            expired = expire(table, rules.keep_s, rules.keep)
            self._figures.expired.labels(self._name).inc(expired)
            if self._commits % (rules.expire_commits * _SWEEP_EVERY) == 0:
                swept = sweep(table, rules.sweep_after_s)
                self._figures.swept.labels(self._name).inc(swept.files)
            self.look(table)

    def _compact(self, table: LakeTable) -> None:
        began_s = time.perf_counter()
        done = compact_some(table, self._manifests)
        self._figures.compacted.labels(self._name).inc(done.before)
        if done.before:
            took_s = round(time.perf_counter() - began_s, 3)
            _log.info("table.compacted", table=self._name, files=done.before, rows=done.rows, seconds=took_s)
