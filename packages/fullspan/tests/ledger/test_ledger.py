import json
import math
import threading

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from fullspan.bundle import Redaction
from fullspan.errors import UsageError
from fullspan.ledger import Ledger, Moment, Observation, Outcome
from fullspan.ledger.store import connect


def observation(hop, number, **more):
    return Observation(hop, f"local/3/{number}", number, 100, 200, 300, **more)


def test_hops_and_their_observations_keep_their_order():
    ledger = Ledger()
    ledger.observe_all([observation("row", 2), observation("block", 1), observation("row", 1)])
    assert ledger.hops == ("row", "block")
    assert [seen.sequence for seen in ledger.observations("row")] == [2, 1]
    assert ledger.observations("pixel") == ()
    assert len(ledger) == 3


def test_what_was_dumped_is_loaded_again(tmp_path):
    ledger = Ledger()
    ledger.observe(observation("a/b", 1, digest="d", deviation=0.25, attributes={"not_before_ns": 5, "shot": "1.png"}))
    ledger.observe(observation("row", 2, deviation=math.inf))
    files = ledger.dump(tmp_path / "observations")

    assert sorted(file.name for file in files) == ["a%2Fb.parquet", "row.parquet"]
    again = Ledger.load(tmp_path / "observations")
    assert set(again.hops) == {"a/b", "row"}
    assert again.observations("a/b") == ledger.observations("a/b")
    assert again.observations("row") == ledger.observations("row")


def test_a_deviation_that_is_no_number_survives(tmp_path):
    ledger = Ledger()
    ledger.observe(observation("row", 1, deviation=math.nan))
    ledger.dump(tmp_path)
    [seen] = Ledger.load(tmp_path).observations("row")
    assert seen.deviation is not None
    assert math.isnan(seen.deviation)


def test_a_hop_that_sees_more_than_memory_should_hold_moves_the_older_half_to_disk(tmp_path):
    ledger = Ledger(keep=10)
    ledger.spill_to(tmp_path)
    for number in range(40):
        ledger.observe(observation("a/b", number, attributes={"n": number}))
    segments = sorted(file.name for file in tmp_path.iterdir())
    assert segments == [f"a%2Fb@{number:06}.parquet" for number in range(5)]
    assert len(ledger) == 40
    assert [seen.attributes["n"] for seen in ledger.observations("a/b")] == list(range(40))
    assert Ledger.load(tmp_path).observations("a/b") == ledger.observations("a/b")[:30]

    (file,) = ledger.dump(tmp_path)
    assert [left.name for left in tmp_path.iterdir()] == [file.name]
    ledger.observe(observation("a/b", 40, attributes={"n": 40}))
    assert [seen.sequence for seen in ledger.observations("a/b")] == list(range(41))
    assert [seen.sequence for seen in Ledger.load(tmp_path).observations("a/b")] == list(range(40))
    ledger.dump(tmp_path)
    assert [seen.sequence for seen in Ledger.load(tmp_path).observations("a/b")] == list(range(41))


def test_what_is_dumped_elsewhere_leaves_the_segments_alone(tmp_path):
    ledger = Ledger(tmp_path / "spill", keep=4)
    ledger.observe_all(observation("row", number) for number in range(9))
    ledger.dump(tmp_path / "copy")
    assert Ledger.load(tmp_path / "copy").observations("row") == ledger.observations("row")
    assert len(list((tmp_path / "spill").iterdir())) == 2


@pytest.mark.parametrize("outcome", list(Outcome))
def test_every_outcome_survives(tmp_path, outcome):
    ledger = Ledger()
    ledger.observe(observation("row", 1, outcome=outcome))
    ledger.dump(tmp_path)
    [seen] = Ledger.load(tmp_path).observations("row")
    assert seen.outcome is outcome
    assert Observation.from_json(json.dumps(seen.to_json())) == seen


@pytest.mark.parametrize("key", ["a/b/7", "a/b/seven", "/7", "7", "seven", "a/", "a//7", "ä/'7"])
def test_every_key_survives(tmp_path, key):
    ledger = Ledger()
    ledger.observe(Observation("row", key, 7, 1, 2, 3))
    ledger.dump(tmp_path)
    [seen] = Ledger.load(tmp_path).observations("row")
    assert seen.key == key
    assert connect(tmp_path).execute("SELECT hop, key FROM observations").fetchall() == [("row", key)]


def test_secrets_are_taken_out_of_what_is_written(tmp_path):
    redact = Redaction(["hunter22"])
    ledger = Ledger(keep=2)
    ledger.spill_to(tmp_path / "spill", redact)
    told = {"url": "amqp://guest:hunter22@host"}
    ledger.observe_all(observation("row", n, digest="hunter22", attributes=told) for n in range(3))
    ledger.dump(tmp_path / "copy", redact)
    for folder in (tmp_path / "spill", tmp_path / "copy"):
        for seen in Ledger.load(folder).observations("row"):
            assert seen.digest == "[redacted]"
            assert seen.attributes == {"url": "amqp://guest:[redacted]@host"}


def test_what_is_no_ledger_is_refused(tmp_path):
    ledger = Ledger()
    ledger.observe(observation("row", 1))
    (file,) = ledger.dump(tmp_path)
    file.write_bytes(file.read_bytes()[:-9])
    with pytest.raises(UsageError, match=r"row\.parquet cannot be read as observations"):
        Ledger.load(tmp_path)
    pq.write_table(pa.table({"sequence": [1]}), file)
    with pytest.raises(UsageError, match="column attributes is missing"):
        Ledger.load(tmp_path)
    with pytest.raises(UsageError, match="holds no observations"):
        connect(tmp_path / "nowhere")


def test_sql_on_a_ledger_reads_its_files_and_nothing_else(tmp_path):
    ledger = Ledger()
    ledger.observe_all(observation(hop, number) for hop in ("it's", "row") for number in range(3))
    ledger.dump(tmp_path)
    other = tmp_path / "other.csv"
    other.write_text("secret\n1\n")
    with connect(tmp_path) as sql:
        counts = sql.execute("SELECT hop, count(*), max(sequence) FROM observations GROUP BY hop ORDER BY hop")
        assert counts.fetchall() == [("it's", 3, 2), ("row", 3, 2)]
        reading = f"SELECT * FROM '{other}'"  # noqa: S608 - what must be refused
        for statement in (reading, f"COPY observations TO '{other}'", "SET threads = 2"):
            with pytest.raises(duckdb.Error):
                sql.execute(statement)
    assert other.read_text() == "secret\n1\n"


def test_threads_lose_nothing():
    ledger = Ledger()
    workers = [
        threading.Thread(target=lambda: ledger.observe_all(observation("row", number) for number in range(2000)))
        for _ in range(4)
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert len(ledger) == 8000


def test_stream_is_the_key_without_its_last_part():
    assert observation("row", 5).stream == "local/3"
    assert Observation("row", "5", 5, 0, 0, 0).stream == ""


def test_a_moment_moves_both_clocks_together():
    moment = Moment(1_000, 5_000)
    assert moment.at(900) == Moment(900, 4_900)
