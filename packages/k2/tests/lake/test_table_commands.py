"""`k2 candles`, `compact`, `expire` and `repair` as commands: what they say, what they change, how they end."""

import signal
import sqlite3
import threading
from contextlib import closing
from pathlib import Path

import pytest

from k2.lake import LakeTable
from k2.lake.compaction import Compacted, compact
from k2.lake.tables import candles_form

from ..programs import until  # noqa: TID252
from .conftest import MIDNIGHT_US, TOPIC, table_of, trade

DAY_US = 86_400_000_000


@pytest.fixture
def run(k2, settings):
    """Run a command on the lake; returns its program."""

    def start(*arguments, **environment):
        lake = {"K2_CATALOG_URI": settings.catalog_uri + "?timeout=0.3", "K2_WAREHOUSE": settings.warehouse}
        return k2(*arguments, **lake | environment)

    return start


def numbers(table):
    table.reload()
    return sorted(table.iceberg.scan().to_arrow().column("source_sequence").to_pylist())


def files(table):
    table.reload()
    return len(list(table.iceberg.scan().plan_files()))


def counted(catalog, frame):
    rows = LakeTable(catalog, candles_form(frame)).iceberg.scan().to_arrow().to_pylist()
    return sum(row["trade_count"] for row in rows)


def test_candles_are_made_once_made_anew_and_kept_up_to_date_until_it_is_ended(run, fill, catalog):
    fill(trade(number, at_us=MIDNIGHT_US + number * 20_000_000) for number in range(9))
    assert run("candles").ended() == (
        0,
        "1m: 3 candles made\n5m: 1 candles made\n30m: 1 candles made\n1h: 1 candles made\n1d: 1 candles made\n",
    )
    assert {frame: counted(catalog, frame) for frame in ("1m", "1d")} == {"1m": 9, "1d": 9}
    assert run("candles", "1m", "1d").ended() == (0, "1m: 0 candles made\n1d: 0 candles made\n")
    assert run("candles", "1m", "--whole").ended() == (0, "1m: 3 candles made\n")
    for number, code in ((signal.SIGTERM, 0), (signal.SIGINT, 130)):
        before = counted(catalog, "1m")
        program = run("candles", "1m", "--every", "0.1")
        until(lambda program=program: "1m: 0 candles made" in program.said, "the first run")
        fill([trade(before, at_us=MIDNIGHT_US + before * 20_000_000)])
        until(lambda before=before: counted(catalog, "1m") == before + 1, "the late trade's candle")
        assert program.end(number) == code


def test_files_are_joined_and_old_ones_deleted(run, fill, trades, settings):
    for number in range(4):
        fill([trade(number)])
    code, said = run("compact", "trades", "quotes").ended()
    assert code == 0
    assert said.splitlines() == [
        "trades: joining group 1 of 1",
        "trades: 4 files with 4 rows became 1",
        "quotes: 0 files with 0 rows became 0",
    ]
    assert (numbers(trades), files(trades)) == ([0, 1, 2, 3], 1)
    before = set(Path(settings.warehouse).rglob("*.*"))
    code, said = run("expire", "trades", "--keep-s", "0", "--sweep-after-s", "0").ended()
    gone = before - set(Path(settings.warehouse).rglob("*.*"))
    assert code == 0
    assert "trades: looked at 0 files" in said
    assert f"trades: 4 snapshots off the list, {len(gone)} files with " in said
    assert sum(path.suffix == ".parquet" for path in gone) == 4
    assert (numbers(trades), len(trades.iceberg.snapshots())) == ([0, 1, 2, 3], 1)


@pytest.mark.parametrize(
    "command",
    [pytest.param("candles", marks=pytest.mark.soak), "compact", pytest.param("expire", marks=pytest.mark.soak)],
)
def test_a_locked_catalogue_is_waited_for_and_a_signal_ends_that(run, fill, trades, settings, command):
    fill([trade(1)])
    fill([trade(2)])
    with closing(sqlite3.connect(settings.catalog_uri.removeprefix("sqlite:///"), timeout=60)) as database:
        database.isolation_level = None
        database.execute("BEGIN EXCLUSIVE")
        ended, patient = (run(command, *(["1m"] if command == "candles" else ["trades"])) for _ in range(2))
        for program in (ended, patient):
            until(lambda program=program: "waiting: " in program.said, "it waits")
            assert "locked" in program.said
        assert ended.end() == 130
        assert ended.said.endswith("Ended early; what was done stays, and the same command goes on from there.\n")
        database.execute("ROLLBACK")
    assert patient.ended()[0] == 0
    assert "Traceback" not in ended.said + patient.said
    assert numbers(trades) == [1, 2]


def test_a_compaction_ends_between_two_groups(fill, trades):
    for number in range(6):
        fill([trade(number, at_us=MIDNIGHT_US + number % 3 * DAY_US)])
    trades.reload()
    stop = threading.Event()
    assert compact(trades, lambda done, of: stop.set(), stop) == Compacted(2, 1, 2)
    assert (numbers(trades), files(trades)) == (list(range(6)), 5)
    stop.clear()
    assert compact(trades, None, stop) == Compacted(4, 2, 4)
    assert (numbers(trades), files(trades)) == (list(range(6)), 3)


def test_a_table_that_somebody_else_wrote_to_is_repaired_when_told_so(run, fill, trades, another):
    fill([trade(1), trade(2)])
    code, said = run("repair", "trades").ended()
    assert (code, "nothing to do" in said) == (0, True)
    trades.iceberg.append(table_of([trade(3)]))
    code, said = run("repair", "trades").ended()
    assert code == 0
    assert "trades: 1 snapshots after the last one that says how far its rows go." in said
    assert f'trades: the writer would go on from {{"{TOPIC}":{{"0":2}}}}.' in said
    assert "Nothing was changed; --yes does it." in said
    assert len(another().iceberg.snapshots()) == 2
    assert run("repair", "trades", "--offset", f"{TOPIC}:0=3", "--yes").ended()[0] == 0
    mended = another()
    assert mended.offsets().items() == {(TOPIC, 0): 3}
    assert mended.seen().ranges("BINANCE:BTCUSDT") == [(1, 3)]
    assert numbers(mended) == [1, 2, 3]


def test_what_cannot_be_meant_is_refused_with_a_sentence(run):
    for arguments, sentence in (
        (["candles", "2m"], "'2m' is not one of"),
        (["candles", "1m", "--every", "0"], "0.0 is not in the range"),
        (["expire", "--keep-s", "-1"], "-1.0 is not in the range"),
        (["repair", "trades", "--offset", "nonsense"], "--offset is 'nonsense'; write it as TOPIC:PARTITION=NEXT"),
    ):
        code, said = run(*arguments).ended()
        assert (code, sentence in said, "Traceback" in said) == (3, True, False), said
