"""Small files of one partition become one sorted file: quick commits leave many, and every question opens them all."""

import math
import threading
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final

import pyarrow as pa
from pyiceberg.expressions import AlwaysTrue
from pyiceberg.io.pyarrow import ArrowScan
from pyiceberg.table import FileScanTask

from k2.lake.files import LakeFile, Manifests, reading
from k2.lake.table import LakeTable

__all__ = ["Compacted", "compact", "compact_some", "rows_of"]

FULL_ROWS: Final = 1_000_000
"""A file of so many rows is left alone; joining it takes about 300 MB of memory."""
_SOME_FILES: Final = 16
_SOME_ROWS: Final = 500_000
_TIER: Final = 8


@dataclass(frozen=True, slots=True)
class Compacted:
    """What was done: files before and after, and the rows in them."""

    before: int = 0
    after: int = 0
    rows: int = 0


def rows_of(table: LakeTable, files: Sequence[LakeFile]) -> pa.Table:
    """Read the rows of some files. Raises LakeDown when they cannot be read."""
    iceberg = table.iceberg
    scan = ArrowScan(iceberg.metadata, iceberg.io, iceberg.schema(), AlwaysTrue())
    with reading(iceberg):
        return scan.to_table([FileScanTask(file.data_file) for file in files]).cast(table.form.record.arrow())


def compact(
    table: LakeTable, progress: Callable[[int, int], None] | None = None, stop: threading.Event | None = None
) -> Compacted:
    """Join all small files of each partition; `progress` is told how many groups of how many are done.

    It ends early, between two groups, when it is told to stop. Raises NotCommitted when the table was changed
    meanwhile, LakeDown when files cannot be read; what was joined before that stays joined.
    """
    manifests = Manifests(table.form.time)
    groups = _all_groups(manifests.files(table.iceberg))
    done = Compacted()
    for number, group in enumerate(groups):
        if stop is not None and stop.is_set():
            break
        if progress is not None:
            progress(number, len(groups))
        done = _join(table, group, done)
    return done


def compact_some(table: LakeTable, manifests: Manifests) -> Compacted:
    """Join one group of files of about the same size, when there are enough; for a writer between two batches.

    A row is rewritten once per tier, not once per run. Raises NotCommitted.
    """
    tiers: dict[tuple[object, int], list[LakeFile]] = defaultdict(list)
    for file in manifests.files(table.iceberg):
        tiers[file.partition, int(math.log(max(file.rows, 1), _TIER))].append(file)
    chosen = max((group for group in tiers.values() if len(group) >= _SOME_FILES), key=len, default=None)
    if chosen is None:
        return Compacted()
    group: list[LakeFile] = []
    for file in sorted(chosen, key=lambda each: each.sequence):
        if group and sum(each.rows for each in group) + file.rows > _SOME_ROWS:
            break
        group.append(file)
    return _join(table, group, Compacted()) if len(group) > 1 else Compacted()


def _join(table: LakeTable, group: Sequence[LakeFile], done: Compacted) -> Compacted:
    rows = rows_of(table, group)
    table.replace([file.data_file for file in group], rows)
    return Compacted(done.before + len(group), done.after + 1, done.rows + rows.num_rows)


def _all_groups(files: Iterable[LakeFile]) -> list[list[LakeFile]]:
    """Split each partition's small files, by time, into groups that become one file each."""
    partitions: dict[object, list[LakeFile]] = defaultdict(list)
    for file in files:
        if file.rows < FULL_ROWS // 2:
            partitions[file.partition].append(file)
    groups: list[list[LakeFile]] = []
    for small in partitions.values():
        group: list[LakeFile] = []
        for file in sorted(small, key=lambda each: each.first_us):
            if group and sum(each.rows for each in group) + file.rows > FULL_ROWS:
                groups.append(group)
                group = []
            group.append(file)
        groups.append(group)
    return [group for group in groups if len(group) > 1]
