"""`k2 ingest` as a command: what it says, what it tells Prometheus, and how it ends."""

import signal
import time

import pytest

from k2.lake import FRAMES, LakeTable
from k2.lake.tables import candles_form

from ..programs import until  # noqa: TID252
from .conftest import MIDNIGHT_US, trade
from .lake import encoded

ROWS, DUPLICATES = 180, 27
AT_ONCE = 10


def figures(program):
    return program.figures("ingest.metrics")


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 0), (signal.SIGINT, 130)])
def test_what_it_has_read_is_stored_when_it_is_ended(k2, lake, number, code):
    environment = lake.environment(K2_FLUSH_S="3600", K2_FLUSH_ROWS="1000", K2_METRICS_PORT="0")
    program = k2("ingest", "trades", **environment)
    lake.send_trades(range(1, 101))
    until(lambda: figures(program).get('k2_writer_held_records{table="trades"}') == 100, "all are read")
    assert lake.numbers() == {}
    assert program.end(number) == code
    assert program.events("ingest.stopped")
    assert lake.numbers() == dict.fromkeys(range(1, 101), 1)
    assert sum(lake.table().offsets().items().values()) == 100


@pytest.mark.timeout(600)
def test_it_waits_for_a_locked_catalogue_and_every_figure_is_what_happened(k2, lake):
    """The catalogue is locked before it starts, for longer than the library waits by itself."""
    began_s = time.time()
    with lake.locked():
        program = k2(
            "ingest",
            "trades",
            **lake.environment(
                K2_CATALOG_URI=lake.impatient,
                K2_METRICS_PORT="0",
                K2_FLUSH_S="3600",
                K2_FLUSH_ROWS=str(AT_ONCE),
                K2_EXPIRE_COMMITS="1",
                K2_COMPACT_COMMITS="4",
                K2_SNAPSHOT_KEEP_S="3600",
                K2_SNAPSHOT_KEEP="10",
                K2_SWEEP_AFTER_S="0.001",
                K2_CANDLES_S="0.1",
            ),
        )
        assert "locked" in program.wait_for("writer.waiting")["why"]
        assert "locked" in program.wait_for("candles.waiting")["why"]
    program.wait_for("writer.reading")
    good = [encoded(trade(number)) for number in range(1, ROWS + 1)]
    bad = [b"", b"no avro", good[0][:-3]]
    lake.send([*good, *good[:DUPLICATES], *bad])
    commits = (ROWS + DUPLICATES + len(bad)) // AT_ONCE

    def told(name, **labels):
        inside = ",".join(f'{key}="{value}"' for key, value in sorted(({"table": "trades"} | labels).items()))
        return figures(program).get(f"{name}{{{inside}}}")

    def made(frame):
        return figures(program).get(f'k2_candles_made_total{{frame="{frame}"}}')

    until(lambda: told("k2_writer_commits_total", outcome="committed") == commits, "all are committed")
    until(lambda: all(made(frame) for frame in FRAMES), "candles of each length are made")
    lake.wait_for(range(1, ROWS + 1))
    assert told("k2_writer_rows_total") == ROWS
    assert told("k2_writer_duplicates_total") == DUPLICATES
    reasons = {"empty": 1, "malformed": 2}
    assert {reason: told("k2_writer_dead_letters_total", reason=reason) for reason in reasons} == reasons
    assert told("k2_writer_commits_total", outcome="conflict") == 0
    assert told("k2_writer_commit_seconds_count") == commits
    assert 0 < told("k2_writer_commit_seconds_sum") < time.time() - began_s
    assert began_s < told("k2_writer_last_commit_timestamp_seconds") < time.time()
    assert told("k2_writer_newest_event_timestamp_seconds") == pytest.approx(MIDNIGHT_US / 1e6 + ROWS / 1000)
    assert [told("k2_writer_lag_records", partition=number) for number in (0, 1)] == [0, 0]
    assert told("k2_writer_reading") == 1
    assert told("k2_writer_held_records") == 0
    table = lake.table().iceberg
    joined = told("k2_table_files_compacted_total")
    assert joined >= 16
    assert told("k2_table_files") == len(list(table.scan().plan_files()))
    assert told("k2_table_snapshots") == len(table.snapshots()) == 10
    assert told("k2_table_snapshots_expired_total") >= commits - 10
    assert told("k2_table_files_swept_total") > 0
    assert all(made(frame) >= len(candles(lake, frame)) > 0 for frame in FRAMES)
    assert figures(program)["k2_candle_failures_total"] >= 1, "of the lock"
    assert program.end() == 0


def candles(lake, frame):
    return LakeTable(lake.catalog, candles_form(frame)).iceberg.scan().to_arrow().to_pylist()


def test_what_cannot_be_meant_is_refused_with_a_sentence(k2, lake):
    for arguments, environment, said in (
        (["orders"], {}, "'orders' is not one of 'trades', 'quotes'"),
        (["--flush-s", "-1"], {}, "The setting flush_s (option) cannot be used"),
        ([], {"K2_METRICS_PORT": lake.broker.bootstrap.split(":")[1]}, "cannot be listened on: Address already in use"),
    ):
        code, text = k2("ingest", *arguments, **lake.environment(**environment)).ended()
        assert (code, said in text, "Traceback" in text) == (3, True, False), text
