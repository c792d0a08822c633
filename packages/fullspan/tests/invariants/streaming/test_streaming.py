"""What the model does not show: witnesses, remarks, bounded memory, files as a source, and what is refused."""

import json
import os
import subprocess
import sys
import tracemalloc
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from fullspan.errors import Inconclusive
from fullspan.faults import Evidence
from fullspan.invariants import Guarantee
from fullspan.invariants.streaming import (
    BoundedRecovery,
    Conservation,
    Freshness,
    GapFree,
    Integrity,
    MonotonicWatermark,
    NoDuplicate,
    NoInvention,
    NoLoss,
    Order,
    ShownStale,
    sweep,
)
from fullspan.ledger import Ledger, Observation, Outcome, sightings
from fullspan.ledger.columns import SCHEMA, to_table
from fullspan.ledger.piece import Piece, Streams
from fullspan.ledger.window import Window
from fullspan.verdict import Verdict

HOPS = ("sent", "stored")
WALL = 1_780_000_000_000_000_000
MS = 1_000_000
HANG = Evidence("hang", "kafka", True, True, "", "", 5 * MS, 6 * MS)


def seen(hop, number, at=None, stream="btc", due=None, **more):
    at = number * MS if at is None else at
    return Observation(hop, f"{stream}/{number}", number, WALL + (at if due is None else due), at, WALL + at, **more)


def ledger_of(n=10, but=(), extra=()):
    """Return n records at both hops, a millisecond apart, except for (hop, number) pairs, and with what is extra."""
    ledger = Ledger()
    for number in range(n):
        for hop in HOPS:
            if (hop, number) not in but:
                ledger.observe(seen(hop, number, digest=f"d{number}", attributes={"amount": 10}))
    ledger.observe_all(extra)
    return ledger


@pytest.fixture(params=["memory", "files"])
def sources(request, tmp_path):
    """Give a ledger as it is, or as the folder that it was written to."""

    def source(ledger):
        if request.param == "memory":
            return ledger
        ledger.dump(tmp_path)
        return tmp_path

    return source


def test_a_loss_names_the_first_bad_hop_and_shows_the_neighbours(sources):
    (finding,) = sweep([NoLoss(HOPS)], sources(ledger_of(but={("stored", 4), ("stored", 5)})))
    assert (finding.verdict, finding.first_bad_hop, finding.n) == (Verdict.FAIL, "stored", 10)
    assert finding.summary == ("2 missing of 10 at stored; first bad hop stored: btc/4 was not seen at hop stored")
    assert [(one.hop, one.key) for one in finding.witness] == [
        ("sent", "btc/4"),
        ("stored", "btc/3"),
        ("stored", "btc/6"),
    ]


def test_a_repeat_shows_both_sights_and_is_right_under_at_least_once(sources):
    source = sources(ledger_of(extra=[seen("stored", 3, at=50 * MS)]))
    strict, loose = sweep([NoDuplicate(HOPS), NoDuplicate(HOPS, Guarantee.AT_LEAST_ONCE)], source)
    assert strict.summary == "1 surplus of 10 at stored; first bad hop stored: btc/3 was seen again at hop stored"
    assert [one.seen_ns for one in strict.witness] == [3 * MS, 50 * MS]
    assert (loose.verdict, loose.guarantee) == (Verdict.PASS, "at least once")
    assert loose.summary.endswith("1 seen again at stored, as at least once allows")


def test_altered_content_shows_it_before_and_after(sources):
    changed = seen("stored", 4, digest="odd")
    (finding,) = sweep([Integrity(HOPS)], sources(ledger_of(but={("stored", 4)}, extra=[changed])))
    assert finding.summary.startswith(
        "1 altered of 10 at stored; first bad hop stored: btc/4 was altered at hop stored"
    )
    assert [one.digest for one in finding.witness] == ["d4", "odd"]


def test_what_nobody_could_tell_is_a_state_of_its_own():
    unsure = seen("sent", 20, outcome=Outcome.UNKNOWN, attributes={"amount": 10})
    arrived = seen("sent", 21, outcome=Outcome.UNKNOWN), seen("stored", 21)
    refused = seen("sent", 22, outcome=Outcome.REFUSED)
    ledger = ledger_of(extra=[unsure, *arrived, refused])
    loss, invention, sums = sweep([NoLoss(HOPS), NoInvention(HOPS), Conservation(HOPS, "amount")], ledger)
    assert (loss.verdict, loss.n) == (Verdict.PASS, 10)
    assert loss.summary == "0 missing of 10 at stored; 2 of unknown outcome or refused"
    assert invention.verdict is Verdict.PASS
    assert sums.verdict is Verdict.PASS
    ledger.observe(seen("stored", 22))
    (invention,) = sweep([NoInvention(HOPS)], ledger)
    assert "btc/22 was refused at hop sent and yet seen at hop stored" in invention.summary


def test_a_marked_gap_is_right_under_best_effort_only():
    mark = seen("stored", 4, outcome=Outcome.MARKED, attributes={"last": 6})
    ledger = ledger_of(but={("stored", number) for number in (4, 5, 6, 8)}, extra=[mark])
    exact, best = sweep([NoLoss(HOPS), NoLoss(HOPS, Guarantee.BEST_EFFORT)], ledger)
    assert exact.summary.startswith("4 missing of 10")
    assert best.summary == (
        "1 missing of 10 at stored; first bad hop stored: btc/8 was not seen at hop stored; "
        "3 marked as left out at stored"
    )
    (gaps,) = sweep([GapFree(["stored"], Guarantee.BEST_EFFORT)], ledger)
    assert gaps.summary.endswith("btc/8 is missing between btc/7 and btc/9 at hop stored")


@pytest.mark.parametrize(
    ("checker", "extra", "told"),
    [
        (
            Order(["stored"]),
            [seen("stored", 30), seen("stored", 29, at=31 * MS)],
            "btc/29 was seen after btc/30 at hop stored",
        ),
        (
            Freshness(["stored"], 5 * MS),
            [seen("stored", 30, at=37 * MS, due=30 * MS)],
            "btc/30 was seen 7 ms after it was due at hop stored, allowed are 5",
        ),
        (
            MonotonicWatermark(["stored"], "mark"),
            [seen("stored", 30, attributes={"mark": 9}), seen("stored", 31, attributes={"mark": 8})],
            "btc/31 brought the watermark back to 8, when it stood at 9, at hop stored",
        ),
        (
            Conservation(HOPS, "amount"),
            [seen("stored", 9, attributes={"amount": 2**62}), seen("stored", 9, attributes={"amount": 2**62})],
            f"the sum of btc is {2**63 + 100:,} at hop stored and 100 at hop sent",
        ),
        (
            ShownStale(["stored"], 5 * MS),
            [seen("stored", 30, at=37 * MS, due=30 * MS)],
            "btc/30 was shown as fresh 7 ms after it was due at hop stored; stale is what is older than 5 ms",
        ),
        (
            BoundedRecovery(["stored"], [HANG], 2 * MS, 3 * MS),
            [seen("stored", 30, at=36 * MS, due=30 * MS)],
            "btc/30 was 0.01 s old at hop stored, 0.03 s after hang of kafka was healed; from 0.002 s on at "
            "most 0.003 s are right",
        ),
    ],
)  # fmt: skip
def test_a_violation_says_what_happened(checker, extra, told):
    (finding,) = sweep([checker], ledger_of(extra=extra))
    assert finding.verdict is Verdict.FAIL
    assert finding.first_bad_hop == "stored"
    assert told in finding.summary
    json.dumps(finding.to_json())


def test_too_little_is_inconclusive():
    for checker in (NoLoss(HOPS, minimum=11), Order(HOPS, minimum=11), Integrity(HOPS, minimum=11)):
        (finding,) = sweep([checker], ledger_of())
        assert (finding.verdict, finding.summary[:26]) == (Verdict.INCONCLUSIVE, "too few records to tell: 1")
    (finding,) = sweep([Order(["absent"])], ledger_of())
    assert finding.summary == "too few records to tell: 0 at absent of at least 1"


def test_a_recovery_that_nobody_could_see_is_inconclusive():
    faults = [Evidence("kill", "kafka", True, True, "", "", 5 * MS, 60 * MS)]
    (finding,) = sweep([BoundedRecovery(["stored"], faults, MS, MS, minimum=0)], ledger_of())
    assert finding.verdict is Verdict.INCONCLUSIVE
    assert "no record was seen at stored when kill of kafka should have been recovered from" in finding.summary


def test_a_record_that_left_the_window_was_not_compared():
    records = [seen("sent", n, digest="d") for n in range(16)] + [seen("stored", n, digest="odd") for n in range(16)]
    pieces = [(one.hop, to_table([one])) for one in records]
    (narrow,), (wide,) = sweep([Integrity(HOPS, slots=8)], pieces), sweep([Integrity(HOPS, slots=16)], pieces)
    assert (narrow.n, wide.n) == (8, 16)


def test_a_window_keeps_what_it_can_when_streams_are_added():
    window = Window(16)
    first = np.arange(16, dtype=np.int64)
    window.put(np.zeros(16, np.int64), first, first.astype(np.uint64))
    window.put(np.array([3]), np.array([5]), np.array([99], np.uint64))
    digest, known = window.get(np.array([0, 0, 3, 3, 9]), np.array([15, 11, 5, 6, 5]))
    assert known.tolist() == [True, False, True, False, False]
    assert digest[[0, 2]].tolist() == [15, 99]
    with pytest.raises(Inconclusive, match="cannot follow 17 streams"):
        window.put(np.array([16]), np.array([0]), np.array([0], np.uint64))


def test_numbers_with_too_many_holes_are_inconclusive_instead_of_filling_memory(monkeypatch):
    monkeypatch.setattr(sightings, "MOST_RUNS", 100)
    sparse = [seen("stored", 2 * number) for number in range(101)]
    findings = sweep([Order(["stored"]), GapFree(["stored"])], [("stored", to_table(sparse))])
    assert {finding.verdict for finding in findings} == {Verdict.INCONCLUSIVE}
    assert "Hop stored saw more than 100 separate runs of sequence numbers" in findings[0].summary


@pytest.mark.parametrize("rows", [10, 5_000])
@pytest.mark.parametrize(
    ("values", "read"), [([1, None, -(2**63) + 1], [1, 0, -(2**63) + 1]), ([True, False, None], [1, 0, 0])]
)
def test_an_attribute_is_read_the_same_of_few_rows_and_of_many(rows, values, read):
    told = [values[n % 3] for n in range(rows)]
    table = to_table(
        [seen("a", n, attributes={"other": "x"} | ({} if v is None else {"v": v})) for n, v in enumerate(told)]
    )
    numbers, known = Piece("a", table, Streams()).attribute("v")
    assert numbers.tolist() == [read[n % 3] for n in range(rows)]
    assert known.tolist() == [value is not None for value in told]


@pytest.mark.parametrize("rows", [10, 5_000])
@pytest.mark.parametrize("value", [0.5, "7", 2**63])
def test_an_attribute_of_another_kind_is_refused(rows, value):
    table = to_table([seen("a", n, attributes={"v": value}) for n in range(rows)])
    with pytest.raises(ValueError, match="'v' at hop a is not a whole number of 64 bits"):
        Piece("a", table, Streams()).attribute("v")


@pytest.mark.parametrize("texts", [["a", "b", "ab", "", "ba"], ["x" * 64, "x" * 63 + "y", "y" + "x" * 63], ["ä", "a"]])
def test_different_digests_have_different_bits_and_equal_ones_the_same(texts):
    def bits(of):
        return Piece("a", to_table([seen("a", n, digest=text) for n, text in enumerate(of)]), Streams()).digest.tolist()

    assert len(set(bits(texts))) == len(texts)
    assert bits(texts[::-1]) == bits(texts)[::-1]
    assert [bits([text])[0] for text in texts] == bits(texts)


@pytest.mark.parametrize(
    "make",
    [
        lambda: Order([]),
        lambda: Order("stored"),
        lambda: Order(["a", "a"]),
        lambda: NoLoss(["a"]),
        lambda: Conservation(["a"], "x"),
        lambda: Integrity(HOPS, slots=12),
        lambda: Freshness(HOPS, {"sent": 1}),
        lambda: BoundedRecovery(HOPS, [], 1, 1),
        lambda: ShownStale(HOPS, 5, 6),
    ],
)
def test_a_checker_that_means_nothing_is_refused(make):
    with pytest.raises(ValueError, match=r"hop|tolerance|window|fault|grace"):
        make()


def flow(first, rows, hop, streams=8):
    """Return rows of one hop as a table, without an observation ever being made of them."""
    number = np.arange(first, first + rows)
    names = pa.DictionaryArray.from_arrays(
        pa.array(number % streams, pa.int32()), pa.array([f"s{n}" for n in range(streams)])
    )
    empty = {name: pa.nulls(rows, SCHEMA.field(name).type) for name in ("name", "outcome", "attributes")}
    columns = empty | {
        "stream": names,
        "sequence": pa.array(number // streams),
        "event_ns": pa.array(WALL + number * 1000),
        "seen_ns": pa.array(number * 1000 + MS),
        "seen_wall_ns": pa.array(WALL + number * 1000 + MS),
        "digest": pa.array(np.char.mod("%08x", number % 2**32)),
        "deviation": pa.array(np.full(rows, 0.5)),
    }
    return hop, pa.table([columns[name] for name in SCHEMA.names], schema=SCHEMA)


def every_checker():
    return [
        NoLoss(HOPS),
        NoDuplicate(HOPS),
        NoInvention(HOPS),
        Order(HOPS),
        GapFree(HOPS),
        Integrity(HOPS, tolerance=1.0, slots=16_384),
        Freshness(HOPS, 2 * MS),
    ]


def test_memory_does_not_grow_with_the_stream():
    def peak(pieces):
        tracemalloc.start()
        findings = sweep(every_checker(), (flow(n * 4096, 4096, hop) for n in range(pieces) for hop in HOPS))
        _, highest = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert {finding.verdict for finding in findings} == {Verdict.PASS}
        assert findings[0].n == pieces * 4096
        return highest

    peak(1)  # what is loaded at first use
    assert peak(16) < 1.1 * peak(4)


@pytest.mark.soak
@pytest.mark.timeout(3600)
def test_a_hundred_million_observations_stay_below_two_gibibytes():
    root = Path(__file__).parents[5]
    script = root / "benchmarks" / "checkers.py"
    environment = os.environ | {"PYTHONPATH": str(root)}
    done = subprocess.run(
        [sys.executable, script, "--long"], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "100,000,000 observations in 2 GiB, kept" in done.stdout
