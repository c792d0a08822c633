"""Recovery profiles from moments that are known, and limits on them."""

import pytest

from fullspan.faults import Evidence
from fullspan.ledger import Observation
from fullspan.recovery import Phase, RecoveryProfile, check, observed
from fullspan.verdict import Verdict

SECOND = 1_000_000_000
INJECTED, HEALED, UNTIL = 100 * SECOND, 105 * SECOND, 120 * SECOND
WALL = 1_780_000_000 * SECOND
FAULT = Evidence("hang", "rabbitmq", True, True, "stood", "moved", INJECTED, HEALED, 0.1)


def at(seconds):
    return round(seconds * SECOND)


def record(number, due_s, seen_s, hop="row"):
    """A record as a hop saw it; wall time is not the monotonic one."""
    return Observation(hop, f"1/0/{number}", number, WALL + at(due_s), at(seen_s), WALL + at(seen_s))


def steady(first_s, last_s, delay_s=0.12, per_s=10):
    """Records that are due `per_s` times a second and pass `delay_s` later, as long as no fault is on."""
    for number in range(round(first_s * per_s), round(last_s * per_s)):
        due = number / per_s
        seen = due + delay_s
        if INJECTED / 1e9 <= seen < HEALED / 1e9 + 0.4:
            seen = HEALED / 1e9 + 0.4 + number / 1_000_000  # what had waited comes at once, in order
        yield record(number, due, seen)


def profile(**layers):
    return RecoveryProfile.of(FAULT, layers, UNTIL)


def test_seconds_are_counted_from_injection_or_heal():
    found = profile(page={Phase.DETECTED: at(101.5), Phase.FRESH: at(107.25)}, row={Phase.FIRST_GOOD: at(105.4)})
    assert found.name == "hang of rabbitmq"
    assert found.seconds("page", Phase.DETECTED) == 1.5
    assert found.seconds("page", Phase.FRESH) == 2.25
    assert found.seconds("row", Phase.FIRST_GOOD) == pytest.approx(0.4)
    assert found.phases == (Phase.DETECTED, Phase.FIRST_GOOD, Phase.FRESH)
    with pytest.raises(KeyError):
        found.seconds("row", Phase.DETECTED)


def test_a_layer_that_found_another_way_has_negative_seconds():
    assert profile(row={Phase.FIRST_GOOD: at(102)}).seconds("row", Phase.FIRST_GOOD) == -3.0


def test_the_slowest_layer_is_one_that_never_got_there():
    found = profile(row={Phase.DRAINED: at(106)}, frame={Phase.DRAINED: at(109)}, page={Phase.FRESH: None})
    assert found.slowest(Phase.DRAINED) == ("frame", 4.0)
    assert found.slowest(Phase.FRESH) == ("page", None)
    assert found.slowest(Phase.COMPLETE) is None


def test_a_profile_needs_a_fault_that_is_over_and_watching_until_the_end():
    going_on = Evidence("hang", "rabbitmq", True, False, "stood", "", INJECTED, 0)
    with pytest.raises(ValueError, match="hang of rabbitmq is not over"):
        RecoveryProfile.of(going_on, {}, UNTIL)
    with pytest.raises(ValueError, match=r"watched until 2\.000 s before its last moment"):
        RecoveryProfile.of(FAULT, {"row": {Phase.DRAINED: at(122)}}, UNTIL)
    with pytest.raises(ValueError, match="watched until"):
        RecoveryProfile.of(FAULT, {}, HEALED - 1)


def test_observations_of_a_stall_give_all_moments_of_a_hop():
    records = list(steady(95, 115))
    moments = observed(records, FAULT, sla_s=1.0)
    # The record due at 99.9 would have been seen at 100.02 and is the first that is overdue.
    assert moments[Phase.DEGRADED] == at(99.9 + 1.0)
    first, last = 999 / 1_000_000, 1049 / 1_000_000
    assert moments[Phase.FIRST_GOOD] == at(105.4 + first)
    assert moments[Phase.DRAINED] == at(105.4 + last)
    # The one due at 104.4 came a second and a millisecond late, the next one in time.
    assert moments[Phase.WITHIN_SLA] == at(105.4 + 1045 / 1_000_000)
    assert Phase.COMPLETE not in moments


def test_data_are_complete_when_the_last_expected_record_is_there_and_never_when_one_is_lost():
    records = list(steady(95, 115))
    keys = [seen.key for seen in records if at(100) <= seen.event_ns - WALL < at(105)]
    assert observed(records, FAULT, 1.0, keys)[Phase.COMPLETE] == at(105.4 + 1049 / 1_000_000)
    without = [seen for seen in records if seen.key != keys[7]]
    assert observed(without, FAULT, 1.0, keys)[Phase.COMPLETE] is None
    refilled = [*without, record(1007, 100.7, 111.0)]
    assert observed(refilled, FAULT, 1.0, keys)[Phase.COMPLETE] == at(111)


def test_a_hop_that_never_notices_is_not_degraded_and_has_nothing_to_drain():
    records = [record(number, number / 10, number / 10 + 0.05) for number in range(950, 1150)]
    moments = observed(records, FAULT, 1.0)
    assert moments[Phase.DEGRADED] is None
    assert moments[Phase.DRAINED] == HEALED
    assert moments[Phase.FIRST_GOOD] == moments[Phase.WITHIN_SLA] == at(105.05)


def test_a_hop_that_stays_late_is_never_within_its_sla_and_a_dead_one_never_good():
    late = [record(number, number / 10, number / 10 + (0.1 if number < 1000 else 7)) for number in range(950, 1150)]
    assert observed(late, FAULT, 1.0)[Phase.WITHIN_SLA] is None
    dead = [record(number, number / 10, number / 10 + 0.1) for number in range(950, 998)]
    moments = observed(dead, FAULT, 1.0)
    assert moments[Phase.FIRST_GOOD] is None
    assert moments[Phase.WITHIN_SLA] is None


def test_only_the_first_sight_of_a_record_counts():
    again = [record(999, 99.9, 100.0), record(999, 99.9, 112.0)]
    assert observed(again, FAULT, 1.0)[Phase.DEGRADED] is None


LIMITS = {"row": {Phase.FIRST_GOOD: 2.0}, "page": {Phase.DETECTED: 2.5, Phase.FRESH: 5.0}}


def test_limits_that_are_kept_pass_and_say_what_was_measured():
    found = check(
        profile(row={Phase.FIRST_GOOD: at(105.4)}, page={Phase.DETECTED: at(101), Phase.FRESH: at(110)}), LIMITS
    )
    assert found.verdict is Verdict.PASS
    assert found.n == 3
    assert found.name == "recovery from hang of rabbitmq"
    assert found.summary == (
        "row: first good 0.40 s after the heal, allowed are 2 s; "
        "page: detected 1.00 s after the injection, allowed are 2.5 s; "
        "page: screen fresh 5.00 s after the heal, allowed are 5 s"
    )


@pytest.mark.parametrize(
    ("fresh", "verdict", "words"),
    [
        ({Phase.FRESH: at(110.01)}, Verdict.FAIL, "page: screen fresh 5.01 s after the heal, allowed are 5 s"),
        ({Phase.FRESH: None}, Verdict.FAIL, "page: screen fresh never within the 15.00 s watched"),
        ({}, Verdict.INCONCLUSIVE, "page: screen fresh was not looked for"),
    ],
)
def test_limits_that_are_broken_fail_and_what_nobody_looked_for_is_inconclusive(fresh, verdict, words):
    found = check(profile(row={Phase.FIRST_GOOD: at(105.4)}, page={Phase.DETECTED: at(101)} | fresh), LIMITS)
    assert found.verdict is verdict
    assert found.summary.startswith(words)
    assert found.n == (3 if verdict is Verdict.FAIL else 2)


def test_who_stopped_watching_before_the_limit_cannot_tell():
    short = RecoveryProfile.of(FAULT, {"page": {Phase.FRESH: None}}, HEALED + 3 * SECOND)
    assert check(short, {"page": {Phase.FRESH: 5.0}}).verdict is Verdict.INCONCLUSIVE


def test_no_limit_proves_nothing_and_degradation_has_none():
    assert check(profile(), {}).verdict is Verdict.INCONCLUSIVE
    with pytest.raises(ValueError, match="need not be degraded"):
        check(profile(), {"row": {Phase.DEGRADED: 1.0}})
