"""A table's commits: rows and offsets together, against the snapshot that was looked at, or not at all."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from k2.errors import LakeError, NotCommitted, SettingsError
from k2.lake import TRADES
from k2.lake.crash import CRASH_POINTS, Crashes
from k2.lake.expiry import expire, sweep
from k2.lake.figures import WriterFigures
from k2.lake.offsets import OFFSETS_PROPERTY, SEEN_PROPERTY, Offsets
from k2.lake.repair import find, mend
from k2.lake.upkeep import Upkeep, UpkeepRules
from k2.settings import IngestSettings

from .conftest import TOPIC, table_of, trade

KILLED = -signal.SIGKILL


def numbers(table):
    table.reload()
    return sorted(table.iceberg.scan().to_arrow().column("source_sequence").to_pylist())


def files_below(settings):
    return set(Path(settings.warehouse).rglob("*.parquet"))


def test_rows_come_with_the_offsets_that_they_end_at(trades, fill, another):
    fill([trade(1), trade(2)])
    fill([trade(3)])
    fresh = another()
    assert fresh.offsets() == Offsets({(TOPIC, 0): 3})
    assert fresh.seen().ranges("BINANCE:BTCUSDT") == [(1, 3)]
    assert (
        fresh.iceberg.scan().to_arrow().sort_by("source_sequence").to_pylist()
        == table_of([trade(1), trade(2), trade(3)]).to_pylist()
    )


def test_a_stale_writer_commits_nothing_and_leaves_no_file(trades, fill, another, settings):
    fill([trade(1)])
    stale = another()
    fill([trade(2)])
    before = files_below(settings)
    start = stale.offsets()
    with pytest.raises(NotCommitted) as raised:
        stale.append(table_of([trade(2)]), start, start.after({(TOPIC, 0): 2}), stale.seen())
    assert raised.value.outcome == "conflict"
    assert files_below(settings) == before
    assert numbers(trades) == [1, 2]


def test_the_librarys_own_retry_would_have_doubled_it(trades, fill, another):
    """The defect that `commit.retry.num-retries` = 0 is there for: without it the stale batch is appended."""
    fill([trade(1)])
    stale = another()
    with stale.iceberg.transaction() as transaction:
        transaction.set_properties({"commit.retry.num-retries": "4"})
    stale.reload()
    fill.table.reload()
    fill([trade(2)])
    start = stale.offsets()
    stale.append(table_of([trade(2)]), start, start.after({(TOPIC, 0): 2}), stale.seen())
    assert numbers(trades) == [1, 2, 2]


def test_a_batch_that_begins_elsewhere_is_refused(trades, fill):
    fill([trade(1)])
    wrong = Offsets({(TOPIC, 0): 7})
    with pytest.raises(NotCommitted, match="has gone on"):
        trades.append(table_of([trade(2)]), wrong, wrong.after({(TOPIC, 0): 8}), trades.seen())
    assert numbers(trades) == [1]


def test_a_snapshot_without_offsets_is_refused_and_repaired(trades, fill, another):
    fill([trade(1), trade(2)])
    trades.iceberg.append(table_of([trade(3)]))
    foreign = another()
    with pytest.raises(LakeError, match="k2 repair trades"):
        foreign.offsets()
    with pytest.raises(LakeError, match="k2 repair trades"):
        foreign.replace([], table_of([]))
    found = find(foreign)
    assert (found.offsets, found.later) == (Offsets({(TOPIC, 0): 2}), 1)
    mend(foreign, found.offsets)
    mended = another()
    assert find(mended).whole
    assert mended.offsets() == found.offsets
    assert mended.seen().ranges("BINANCE:BTCUSDT") == [(1, 3)]
    kept, _ = mended.seen().add(table_of([trade(3), trade(4)]))
    assert kept.column("source_sequence").to_pylist() == [4]
    assert numbers(mended) == [1, 2, 3]


def test_every_operation_carries_the_offsets(trades, fill, another):
    from k2.lake.compaction import compact

    for number in range(4):
        fill([trade(number)])
    before = trades.carried()
    done = compact(trades)
    assert (done.before, done.after, done.rows) == (4, 1, 4)
    newest = another()
    assert newest.carried() == before
    assert newest.iceberg.current_snapshot().summary.additional_properties.keys() >= {OFFSETS_PROPERTY, SEEN_PROPERTY}
    assert numbers(newest) == [0, 1, 2, 3]
    assert [file.file.record_count for file in newest.iceberg.scan().plan_files()] == [4]


def test_a_compaction_that_lost_the_race_changes_nothing(fill, another):
    from k2.lake.compaction import compact

    fill([trade(1)])
    fill([trade(2)])
    late = another()
    fill([trade(3)])
    with pytest.raises(NotCommitted):
        compact(late)
    assert numbers(late) == [1, 2, 3]


def test_old_snapshots_leave_the_list_and_their_files_later_the_disk(trades, fill, settings):
    from k2.lake.compaction import compact

    for number in range(14):
        fill([trade(number)])
    compact(trades)
    assert expire(trades, keep_s=300, keep=10) == 5
    assert expire(trades, keep_s=300, keep=10) == 0
    assert len(trades.iceberg.snapshots()) == 10
    assert sweep(trades, older_s=600).files == 0, "a reader may still need them"
    assert expire(trades, keep_s=0, keep=10) == 9
    loose = Path(settings.warehouse, "market_data", "trades", "data", "left-by-a-crash.parquet")
    loose.write_bytes(b"x" * 7)
    os.utime(loose, (0, 0))
    swept = sweep(trades, older_s=0)
    assert swept.files >= 14 + 14 + 1
    assert len(files_below(settings)) == 1
    assert numbers(trades) == list(range(14))
    fill([trade(14)])
    assert numbers(trades) == list(range(15))


def test_a_table_is_kept_by_the_rules_that_the_settings_say():
    rules, settings = UpkeepRules(), IngestSettings()
    assert (rules.expire_commits, rules.compact_commits) == (settings.expire_commits, settings.compact_commits)
    assert (rules.keep, rules.keep_s) == (settings.snapshot_keep, settings.snapshot_keep_s)
    assert rules.sweep_after_s == settings.sweep_after_s


def test_the_list_of_snapshots_stays_short_while_commits_go_on(trades, fill):
    upkeep = Upkeep(UpkeepRules(expire_commits=3, compact_commits=0, keep=10), WriterFigures(), "trades", TRADES.time)
    lengths = []
    for number in range(18):
        fill([trade(number)])
        lengths.append(len(trades.iceberg.snapshots()))
        upkeep.after_commit(trades)
    assert lengths[:12] == list(range(1, 13))
    assert lengths[12:] == [11, 12, 13, 11, 12, 13]


def test_files_for_a_commit_to_come_are_not_swept(trades, fill, settings):
    fill([trade(1)])
    coming = Path(settings.warehouse, "market_data", "trades", "data", "coming.parquet")
    coming.write_bytes(b"")
    assert sweep(trades, older_s=0).files == 0
    assert coming.exists()


@pytest.mark.parametrize("text", ["nowhere", "before-write:0", "before-write:x", "before-write:stop:1:2"])
def test_a_crash_point_that_is_none_is_refused(text):
    with pytest.raises(SettingsError, match="POINT"):
        Crashes.read(text)


def test_crash_points_are_for_the_local_profile_only():
    with pytest.raises(SettingsError, match="refused outside the local profile"):
        IngestSettings.load(crash_at="before-write", profile="production")


APPEND = """
import sys
from k2.lake import TRADES, LakeTable
from k2.lake.catalog import open_catalog
from k2.lake.crash import Crashes
from k2.lake.expiry import expire
from k2.settings import LakeSettings
sys.path.insert(0, sys.argv[4])
from conftest import Filler, trade
settings = LakeSettings(catalog_uri=sys.argv[1], warehouse=sys.argv[2])
table = LakeTable(open_catalog(settings), TRADES, Crashes.read(sys.argv[3]))
Filler(table)([trade(2)])
expire(table, 0, 10)
"""


@pytest.mark.soak
@pytest.mark.parametrize("point", CRASH_POINTS)
def test_killed_at_each_point_the_rows_are_there_with_their_offsets_or_not_at_all(point, fill, another, settings):
    fill([trade(1)])
    here = str(Path(__file__).parent)
    child = subprocess.run(
        [sys.executable, "-c", APPEND, settings.catalog_uri, settings.warehouse, f"{point}:1", here], check=False
    )
    assert child.returncode == KILLED
    committed = point in {"after-commit", "during-expiry"}
    table = another()
    assert numbers(table) == ([1, 2] if committed else [1])
    assert table.offsets() == Offsets({(TOPIC, 0): 2 if committed else 1})
    if not committed:
        fill([trade(2)])
        assert numbers(table) == [1, 2]
