import time

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fullspan.ledger import Guarantee, Journey, Kind, Ledger, Observation, Outcome, Stage, reconcile
from packages.fullspan.tests.ledger import model

HOPS = ("block", "row", "frame", "pixel")
LIMIT = 1_000
OUTCOMES = (Outcome.SEEN,) * 7 + (Outcome.UNKNOWN, Outcome.REFUSED, Outcome.MARKED)


def seen(hop, key, at=0, **more):
    number = int(key.rpartition("/")[2])
    fields = {"event_ns": 0, "seen_ns": at, "seen_wall_ns": at} | more
    return Observation(hop, key, number, **fields)


def ledger_of(*observations):
    ledger = Ledger()
    ledger.observe_all(observations)
    return ledger


def rows(n, blocks_per_row=2, **stage):
    """Return journeys of n rows: row i is made of blocks i .. i + blocks_per_row - 1."""
    return [
        Journey(
            f"1-1/0/{i}",
            [
                Stage("block", [f"local/0/{i + j}" for j in range(blocks_per_row)]),
                *(Stage(hop, [f"1-1/0/{i}"], **stage) for hop in HOPS[1:]),
            ],
        )
        for i in range(n)
    ]


def history(n, blocks_per_row=2, but=()):
    """Return what a faultless run of `rows(n)` shows, except for the (hop, number) pairs in `but`."""
    ledger = Ledger()
    for hop in HOPS:
        for i in range(n + (blocks_per_row - 1 if hop == "block" else 0)):
            key = f"local/0/{i}" if hop == "block" else f"1-1/0/{i}"
            if (hop, i) not in but:
                ledger.observe(seen(hop, key, at=i, digest=None if hop == "block" else f"content {i}"))
    return ledger


def test_a_faultless_history_has_no_violation():
    outcome = reconcile(history(20), rows(20), LIMIT)
    assert outcome.violations == ()
    assert outcome.first_bad_hop is None
    assert outcome.hops == HOPS
    assert outcome.records == 20
    assert (outcome.totals["block"].expected, outcome.totals["block"].observed) == (21, 21)
    assert (outcome.totals["row"].expected, outcome.totals["row"].compared, outcome.totals["row"].judged) == (20, 0, 20)
    assert outcome.totals["pixel"].compared == 20


def test_a_block_missing_at_its_hop_makes_it_the_first_bad_hop_of_all_its_rows():
    gone = {("block", 5)} | {(hop, i) for hop in HOPS[1:] for i in (4, 5)}
    outcome = reconcile(history(10, but=gone), rows(10))
    assert outcome.first_bad_hops == {"1-1/0/4": "block", "1-1/0/5": "block"}
    [root] = [violation for violation in outcome.violations if violation.is_root]
    assert (root.kind, root.hop, root.key) == (Kind.MISSING, "block", "local/0/5")
    assert root.records == ("1-1/0/4", "1-1/0/5")
    assert [o.key for o in root.witness] == ["local/0/4", "local/0/6"]
    assert [outcome.totals[hop].missing for hop in HOPS] == [1, 2, 2, 2]
    assert len(list(outcome.of(Kind.MISSING))) == 7


def test_a_row_missing_although_its_blocks_were_seen_went_wrong_at_the_row():
    gone = {(hop, 4) for hop in HOPS[1:]}
    outcome = reconcile(history(10, but=gone), rows(10))
    assert outcome.first_bad_hops == {"1-1/0/4": "row"}
    assert [(v.hop, v.is_root) for v in outcome.of(Kind.MISSING)] == [("row", True), ("frame", False), ("pixel", False)]
    root = next(outcome.of(Kind.MISSING))
    assert [(o.hop, o.key) for o in root.witness] == [("row", "1-1/0/3"), ("row", "1-1/0/5")]
    assert root.detail == "1-1/0/4 was not seen at hop row"


def test_a_shared_key_is_a_root_when_one_of_its_records_was_right_until_there():
    journeys = [
        Journey("a/0", [Stage("one", ["x/0"]), Stage("two", ["m/0"])]),
        Journey("a/1", [Stage("one", ["x/1"]), Stage("two", ["m/0"])]),
    ]
    outcome = reconcile(ledger_of(seen("one", "x/1")), journeys)
    assert outcome.first_bad_hops == {"a/0": "one", "a/1": "two"}
    assert [(v.hop, v.is_root) for v in outcome.violations] == [("one", True), ("two", True)]


def test_two_rows_swapped_name_each_other():
    journeys = [Journey(f"j/0/{i}", [Stage("row", [f"j/0/{i}"], digest=f"d{i}")]) for i in range(4)]
    ledger = ledger_of(*(seen("row", f"j/0/{i}", digest=f"d{[0, 2, 1, 3][i]}") for i in range(4)))
    outcome = reconcile(ledger, journeys)
    assert [(v.kind, v.key, v.swapped_with) for v in outcome.violations] == [
        (Kind.SWAPPED, "j/0/1", "j/0/2"),
        (Kind.SWAPPED, "j/0/2", "j/0/1"),
    ]
    assert outcome.violations[0].detail == "j/0/1 carries the content of j/0/2 at hop row"
    assert (outcome.totals["row"].swapped, outcome.totals["row"].altered) == (2, 0)


def test_an_observation_may_tell_itself_whose_content_it_carries():
    journeys = [Journey(f"j/0/{i}", [Stage("pixel", [f"j/0/{i}"], tolerance=1)]) for i in range(2)]
    ledger = ledger_of(
        seen("pixel", "j/0/0", deviation=1.0, attributes={"equals": "j/0/1"}),
        seen("pixel", "j/0/1", deviation=90.0, attributes={"equals": "j/0/0"}),
    )
    [violation] = reconcile(ledger, journeys).violations
    assert (violation.kind, violation.key, violation.swapped_with) == (Kind.SWAPPED, "j/0/1", "j/0/0")


def test_content_is_compared_with_the_hop_before_when_nothing_else_is_known():
    journeys = [Journey("j/0/0", [Stage("row", ["j/0/0"]), Stage("frame", ["j/0/0"]), Stage("pixel", ["j/0/0"])])]
    ledger = ledger_of(
        seen("row", "j/0/0", digest="right"),
        seen("frame", "j/0/0", digest="wrong"),
        seen("pixel", "j/0/0", digest="wrong"),
    )
    [violation] = reconcile(ledger, journeys).violations
    assert (violation.kind, violation.hop) == (Kind.ALTERED, "frame")
    assert "its digest wrong is not the one seen at the hop before, right" in violation.detail
    assert [o.hop for o in violation.witness] == ["row", "frame"]


@pytest.mark.parametrize("deviation", [0.02, float("inf"), float("nan")])
def test_a_deviation_beyond_the_tolerance_is_an_alteration(deviation):
    journeys = [Journey(f"j/0/{i}", [Stage("row", [f"j/0/{i}"], tolerance=0.01)]) for i in range(2)]
    ledger = ledger_of(seen("row", "j/0/0", deviation=0.01), seen("row", "j/0/1", deviation=deviation))
    outcome = reconcile(ledger, journeys)
    assert [(v.kind, v.key) for v in outcome.violations] == [(Kind.ALTERED, "j/0/1")]
    assert outcome.totals["row"].compared == 2


def test_a_redelivered_record_is_a_duplicate_but_not_out_of_order():
    ledger = ledger_of(*(seen("block", f"local/0/{i}", at=at) for at, i in enumerate([0, 1, 2, 1, 3])))
    journeys = [Journey(f"local/0/{i}", [Stage("block", [f"local/0/{i}"])]) for i in range(4)]
    outcome = reconcile(ledger, journeys)
    assert [(v.kind, v.key, len(v.witness)) for v in outcome.violations] == [(Kind.DUPLICATE, "local/0/1", 2)]
    assert outcome.totals["block"].duplicate == 1


def test_order_is_judged_within_a_stream():
    ledger = ledger_of(
        seen("block", "local/0/5", at=1), seen("block", "local/1/2", at=2), seen("block", "local/0/4", at=3)
    )
    journeys = [Journey(key, [Stage("block", [key])]) for key in ("local/0/4", "local/0/5", "local/1/2")]
    [violation] = reconcile(ledger, journeys).violations
    assert (violation.kind, violation.key) == (Kind.ORDER, "local/0/4")
    assert [o.key for o in violation.witness] == ["local/0/5", "local/0/4"]


@pytest.mark.parametrize(
    ("seen_at", "not_before", "late", "undecided", "judged"),
    [
        (LIMIT, None, 0, 0, 1),
        (LIMIT + 1, None, 1, 0, 1),
        (LIMIT, 0, 0, 0, 1),
        (LIMIT + 500, LIMIT, 0, 1, 0),
        (LIMIT + 500, LIMIT + 1, 1, 0, 1),
    ],
)
def test_late_for_certain_in_time_for_certain_or_undecided(seen_at, not_before, late, undecided, judged):
    attributes = {} if not_before is None else {"not_before_ns": not_before}
    ledger = ledger_of(seen("pixel", "j/0/0", at=seen_at, attributes=attributes))
    totals = reconcile(ledger, [Journey("j/0/0", [Stage("pixel", ["j/0/0"])])], LIMIT).totals["pixel"]
    assert (totals.late, totals.undecided, totals.judged) == (late, undecided, judged)


def test_limits_by_hop_judge_only_those_hops():
    ledger = ledger_of(seen("row", "j/0/0", at=5), seen("pixel", "j/0/0", at=50))
    journeys = [Journey("j/0/0", [Stage("row", ["j/0/0"]), Stage("pixel", ["j/0/0"])])]
    outcome = reconcile(ledger, journeys, {"pixel": 10})
    assert [(v.kind, v.hop) for v in outcome.violations] == [(Kind.LATE, "pixel")]
    assert outcome.totals["row"].judged == 0


def test_what_nobody_asked_for_is_only_counted():
    outcome = reconcile(
        ledger_of(seen("row", "j/0/0"), seen("row", "j/0/9")), [Journey("j/0/0", [Stage("row", ["j/0/0"])])]
    )
    assert outcome.violations == ()
    assert outcome.totals["row"].extra == 1


def test_a_witness_has_at_most_five_observations():
    ledger = ledger_of(*(seen("row", "j/0/0", at=at) for at in range(9)))
    [violation] = reconcile(ledger, [Journey("j/0/0", [Stage("row", ["j/0/0"])])]).violations
    assert len(violation.witness) == 5
    assert violation.detail == "j/0/0 was seen 9 times at hop row"


def one_hop_after_another(n=6):
    return [Journey(f"j/0/{i}", [Stage(hop, [f"j/0/{i}"]) for hop in ("sent", "kept", "shown")]) for i in range(n)]


def passed(hop, *numbers, outcome=Outcome.SEEN, **attributes):
    return [seen(hop, f"j/0/{i}", at=i, outcome=outcome, attributes=attributes) for i in numbers]


def test_a_request_that_timed_out_is_neither_sent_nor_lost():
    ledger = ledger_of(
        *passed("sent", 0, 1, 2, 5),
        *passed("sent", 3, 4, outcome=Outcome.UNKNOWN),  # 3 was never heard of again, 4 arrived
        *passed("kept", 0, 1, 2, 4, 5),
        *passed("shown", 0, 1, 2, 5),
    )
    outcome = reconcile(ledger, one_hop_after_another())
    assert [(hop, totals.unknown, totals.missing) for hop, totals in outcome.totals.items()] == [
        ("sent", 2, 0),
        ("kept", 1, 0),
        ("shown", 1, 1),
    ]
    assert outcome.first_bad_hops == {"j/0/4": "shown"}


def test_what_was_refused_need_not_arrive():
    ledger = ledger_of(*passed("sent", 0, 1), *passed("sent", 2, outcome=Outcome.REFUSED), *passed("kept", 0))
    outcome = reconcile(
        ledger, [Journey(f"j/0/{i}", [Stage("sent", [f"j/0/{i}"]), Stage("kept", [f"j/0/{i}"])]) for i in range(3)]
    )
    assert outcome.first_bad_hops == {"j/0/1": "kept"}


def test_a_record_is_excused_only_while_all_that_it_is_made_of_is_unknown_or_seen():
    ledger = ledger_of(*passed("block", 0, 3), *passed("block", 1, outcome=Outcome.UNKNOWN))
    journeys = [
        Journey(f"r/{i}", [Stage("block", [f"j/0/{i}", f"j/0/{i + 1}"]), Stage("row", [f"r/{i}"])]) for i in range(3)
    ]
    outcome = reconcile(ledger, journeys)
    assert [(v.hop, v.key) for v in outcome.violations] == [("block", "j/0/2"), ("row", "r/2")]
    assert (outcome.totals["block"].unknown, outcome.totals["row"].unknown) == (1, 2)


@pytest.mark.parametrize(
    ("guarantee", "kinds"),
    [
        (Guarantee.EXACTLY_ONCE, [Kind.MISSING] * 4 + [Kind.DUPLICATE]),
        (Guarantee.AT_LEAST_ONCE, [Kind.MISSING] * 4),
        (Guarantee.BEST_EFFORT, [Kind.MISSING, Kind.DUPLICATE]),
    ],
)
def test_a_guarantee_says_what_is_a_violation(guarantee, kinds):
    ledger = ledger_of(
        *passed("sent", 0, 1, 2, 3, 4, 5),
        *passed("kept", 0, 5),
        *passed("kept", 1, outcome=Outcome.MARKED, last=3),
        *passed("kept", 4, 4),
        *passed("shown", 4, 5),
    )
    journeys = [Journey(f"j/0/{i}", [Stage("sent", [f"j/0/{i}"]), Stage("kept", [f"j/0/{i}"])]) for i in range(6)]
    journeys[0] = one_hop_after_another(1)[0]
    outcome = reconcile(ledger, journeys, guarantee=guarantee)
    assert sorted(v.kind for v in outcome.violations) == sorted(kinds)
    assert outcome.totals["kept"].duplicate == 1
    assert outcome.totals["kept"].omitted == (3 if guarantee is Guarantee.BEST_EFFORT else 0)


@pytest.mark.parametrize(
    ("journeys", "message"),
    [
        ([Journey("a", [Stage("row", ["k/0"])])] * 2, "more than one journey"),
        (
            [Journey("a", [Stage("row", ["k/0"], digest="x")]), Journey("b", [Stage("row", ["k/0"], digest="y")])],
            "different content of k/0 at hop row",
        ),
        (
            [
                Journey("a", [Stage("row", ["k/0"]), Stage("frame", ["k/0"])]),
                Journey("b", [Stage("frame", ["k/1"]), Stage("row", ["k/1"])]),
            ],
            "opposite orders",
        ),
    ],
)
def test_contradicting_journeys_are_refused(journeys, message):
    with pytest.raises(ValueError, match=message):
        reconcile(Ledger(), journeys)


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: Stage("row", "j/0/1"), TypeError, "sequence of keys"),
        (lambda: Stage("row", []), ValueError, "names no key"),
        (lambda: Stage("row", ["a/0", "a/1"], digest="x"), ValueError, "2 keys and one digest"),
        (lambda: Journey("a", []), ValueError, "at least one hop"),
        (lambda: Journey("a", [Stage("row", ["k"]), Stage("row", ["l"])]), ValueError, "only once"),
    ],
)
def test_a_journey_that_means_nothing_is_refused(make, error, message):
    with pytest.raises(error, match=message):
        make()


@st.composite
def observations_of(draw, hop, key, number):
    """Draw what a hop saw of one key: mostly it once and right, sometimes anything else."""
    times = draw(st.sampled_from([1, 1, 1, 1, 0, 2]))
    found = []
    for _ in range(times):
        at = draw(st.sampled_from([number * 10, number * 10, number * 10 + 15, 2 * LIMIT]))
        attributes = {}
        if draw(st.integers(0, 5)) == 0:
            attributes["not_before_ns"] = draw(st.sampled_from([0, LIMIT, 2 * LIMIT]))
        if draw(st.integers(0, 9)) == 0:
            attributes["equals"] = draw(st.sampled_from(["j/0/0", "j/0/1", key]))
        digest = draw(st.sampled_from([f"d{number}", f"d{number}", f"d{number}", None, "d0", "d1", "odd"]))
        deviation = draw(st.sampled_from([None, 0.0, 0.0, 2.0, float("nan")]))
        fields = {"event_ns": number * 10, "seen_wall_ns": at, "digest": digest, "deviation": deviation}
        outcome = draw(st.sampled_from(OUTCOMES))
        if outcome is Outcome.MARKED:
            attributes["last"] = number + draw(st.sampled_from([0, 0, 1, 2, 1_000_000]))
        found.append(Observation(hop, key, number, seen_ns=at, attributes=attributes, outcome=outcome, **fields))
    return found


@st.composite
def histories(draw):
    """Draw journeys of a few rows on shared blocks, and a ledger of what was seen of them."""
    n = draw(st.integers(1, 5))
    hops = [hop for hop in HOPS[1:] if hop == "row" or draw(st.booleans())]
    stages = [(hop, draw(st.booleans()), draw(st.sampled_from([None, 1.0]))) for hop in hops]
    per_row = draw(st.integers(1, 3))
    with_blocks = draw(st.booleans())
    known = draw(st.booleans())
    journeys = []
    for i in range(n):
        keys = [f"local/{(i + j) % 2}/{i + j}" for j in range(per_row)]
        digests = {key: f"d{key.rpartition('/')[2]}" for key in keys} if known else None
        first = [Stage("block", keys, digest=digests)] if with_blocks else []
        rest = [Stage(hop, [f"j/0/{i}"], f"d{i}" if told else None, limit) for hop, told, limit in stages]
        journeys.append(Journey(f"j/0/{i}", first + rest))
    found = [
        observation
        for hop in dict.fromkeys(stage.hop for journey in journeys for stage in journey.stages)
        for key in model.keys_of(journeys, hop)
        for observation in draw(observations_of(hop, key, int(key.rpartition("/")[2])))
    ]
    return ledger_of(*draw(st.permutations(found))), journeys


drawn = given(histories(), st.sampled_from([None, LIMIT]), st.sampled_from(list(Guarantee)))


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@drawn
def test_agrees_with_the_plain_model(history, limit, guarantee):
    check_against_the_plain_model(*history, limit, guarantee)


@pytest.mark.soak
@pytest.mark.timeout(1800)
@settings(max_examples=5_000, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@drawn
def test_agrees_with_the_plain_model_in_thousands_of_histories(history, limit, guarantee):
    check_against_the_plain_model(*history, limit, guarantee)


def check_against_the_plain_model(ledger, journeys, limit, guarantee):
    outcome = reconcile(ledger, journeys, limit, guarantee)

    for journey in journeys:
        assert outcome.first_bad_hops.get(journey.key) == model.first_bad_hop(
            ledger, journeys, journey, limit, guarantee
        )
    for hop in outcome.hops:
        keys = model.keys_of(journeys, hop)
        by_key = {key: model.kinds_at(ledger, journeys, hop, key, limit, guarantee) for key in keys}
        found = {key: {v.kind.value for v in outcome.violations if v.hop == hop and v.key == key} for key in keys}
        assert found == by_key
        totals = outcome.totals[hop]
        counted = {kind: sum(kind in kinds for kinds in by_key.values()) for kind in (*Kind,)}
        for kind in (Kind.MISSING, Kind.ALTERED, Kind.SWAPPED, Kind.ORDER, Kind.LATE):
            assert totals.count(kind) == counted[kind]
        assert totals.duplicate == sum(max(0, len(model.seen_at(ledger, hop, key)) - 1) for key in keys)
        unknown = [key for key in keys if model.is_unknown(ledger, journeys, hop, key)]
        omitted = [key for key in keys if model.is_omitted(ledger, journeys, hop, key, guarantee)]
        assert (totals.unknown, totals.omitted) == (len(unknown), len(set(omitted) - set(unknown)))
        assert totals.undecided == sum(model.lateness(ledger, hop, key, limit) == "undecided" for key in keys)
    for violation in outcome.violations:
        assert len(violation.witness) <= 5
        if violation.kind is Kind.SWAPPED:
            assert violation.swapped_with == model.wrong_content(ledger, journeys, violation.hop, violation.key)


@pytest.mark.timed
def test_a_hundred_thousand_observations_take_about_a_second():
    n = 25_000
    ledger, journeys = history(n), rows(n)
    began = time.process_time()
    outcome = reconcile(ledger, journeys, LIMIT * n)
    took = time.process_time() - began
    assert outcome.first_bad_hop is None
    assert len(ledger) > 100_000
    assert took < 4  # about 1 s; the margin is for slow machines, quadratic work would take minutes
