"""The debt between hops, from histories that are known."""

from fullspan.ledger import Journey, Ledger, Observation, Stage, reconcile
from fullspan.ledger.debt import MOST_STEPS


def seen(hop, key, at):
    return Observation(hop, key, int(key.rpartition("/")[2]), 0, at, at)


def journey(number, blocks=1):
    key = f"1-1/0/{number}"
    made_of = [f"local/0/{number + block}" for block in range(blocks)]
    return Journey(key, [Stage("block", made_of), Stage("row", [key]), Stage("frame", [key])])


def debts(journeys, *observations):
    ledger = Ledger()
    ledger.observe_all(observations)
    return {(debt.before, debt.after): debt for debt in reconcile(ledger, journeys).debts}


def test_a_record_is_owed_from_one_hop_to_the_next():
    found = debts(
        [journey(0), journey(1)],
        *(seen("block", "local/0/0", 10), seen("block", "local/0/1", 20)),
        *(seen("row", "1-1/0/0", 30), seen("row", "1-1/0/1", 50)),
        *(seen("frame", "1-1/0/0", 40), seen("frame", "1-1/0/1", 55)),
    )
    assert list(found) == [("block", "row"), ("row", "frame")]
    assert found["block", "row"].steps == [(10, 1), (20, 2), (30, 1), (50, 0)]
    assert found["row", "frame"].steps == [(30, 1), (40, 0), (50, 1), (55, 0)]
    assert found["block", "row"].largest == 2


def test_a_record_of_several_blocks_is_owed_when_the_last_of_them_was_seen():
    blocks = [seen("block", f"local/0/{number}", 10 * number) for number in range(3)]
    found = debts([journey(0, blocks=3)], *blocks, seen("row", "1-1/0/0", 45), seen("frame", "1-1/0/0", 46))
    assert found["block", "row"].steps == [(20, 1), (45, 0)]
    partly = debts([journey(0, blocks=3)], *blocks[:2], seen("row", "1-1/0/0", 45))
    assert partly["block", "row"].steps == []


def test_what_is_lost_stays_owed_and_what_a_later_hop_saw_sooner_does_not_count():
    found = debts([journey(0)], seen("block", "local/0/0", 10), seen("frame", "1-1/0/0", 30))
    assert found["block", "row"].steps == [(10, 1)]
    assert found["row", "frame"].steps == []
    sooner = debts([journey(0)], seen("block", "local/0/0", 10), seen("row", "1-1/0/0", 9))
    assert sooner["block", "row"].steps == []


def test_records_with_one_stage_owe_nothing():
    assert debts([Journey("local/0/0", [Stage("block", ["local/0/0"])])], seen("block", "local/0/0", 1)) == {}


def test_a_long_history_keeps_its_peak_its_end_and_a_bounded_number_of_steps():
    count = 2 * MOST_STEPS
    journeys = [journey(number) for number in range(count)]
    observations = [seen("block", f"local/0/{number}", 1000 * number) for number in range(count)]
    # Ten records wait for the last of them, somewhere in the middle; all others pass within half a period.
    held = range(count // 2, count // 2 + 10)
    for number in range(count):
        at = 1000 * held[-1] + 1 + number % 1000 if number in held else 1000 * number + 500
        observations.append(seen("row", f"1-1/0/{number}", at))
    steps = debts(journeys, *observations)["block", "row"].steps
    assert len(steps) <= MOST_STEPS
    assert max(steps, key=lambda step: step[1])[1] == 10
    assert steps[-1] == (1000 * (count - 1) + 500, 0)
    assert steps == sorted(steps)
