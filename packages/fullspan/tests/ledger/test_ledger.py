import math
import threading

from fullspan.ledger import Ledger, Moment, Observation


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

    assert sorted(file.name for file in files) == ["a%2Fb.jsonl", "row.jsonl"]
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
