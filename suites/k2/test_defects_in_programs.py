"""What the faults are for: with one defect in one program the very test that passes without it fails, and says why.

Each case is a fault of `test_faults.py`, or of the pipeline's own tests, run on programs of which one has a defect that
only this fault reveals. A case passes when that test fails for what docs/k2.md lists, at the hop that is listed, and
for nothing else that does not follow from it.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from fullspan.bundle import Bundle
from fullspan.faults import Faults, Hang
from fullspan.invariants import Finding
from fullspan.pytest_plugin import Evidence
from fullspan.stack import Stack
from fullspan.verdict import Verdict
from suites.k2 import defects, test_complete_pipeline, test_faults
from suites.k2.defects import Defect, planted
from suites.k2.pipeline import Pipeline

pytestmark = [pytest.mark.e2e, pytest.mark.resilience, pytest.mark.soak, pytest.mark.timeout(900)]


WRONG_SUMS = {"sums agree"}
"""What a hop that lacks trades shows as well."""
OPEN_GAPS = {"sums agree", "gaps"}
"""What a feed that lacks trades shows as well."""


@dataclass(frozen=True)
class Case:
    """A defect, the test that reveals it with its parameters, and what that test says then.

    `says` is the name of the finding that fails, `hop` where it says that it went wrong first; or else the words of
    what was waited for in vain. What follows from it may fail `also`.
    """

    defect: Defect
    test: Callable[..., None]
    says: str
    hop: str | None = None
    also: set[str] = field(default_factory=set)
    given: dict[str, Any] = field(default_factory=dict)


class Shown(Evidence):
    """What a test shows, and which of its findings failed, each with its first bad hop."""

    def __init__(self, name: str, folder: Path, evidence: Evidence) -> None:
        super().__init__(name, Bundle(folder), evidence.say)
        self.failed: dict[str, str | None] = {}

    def finding(self, finding: Finding) -> None:
        """Take in what an invariant says."""
        super().finding(finding)
        if finding.verdict is Verdict.FAIL:
            self.failed[finding.name] = finding.first_bad_hop


CASES = {
    "goes-on-from-kafka": Case(
        defects.GOES_ON_FROM_KAFKA,
        test_faults.test_the_writer_is_killed_at_a_named_point,
        "no loss",
        "iceberg",
        WRONG_SUMS,
        given={"point": "before-commit"},
    ),
    "goes-on-from-kafka-killed": Case(
        defects.GOES_ON_FROM_KAFKA,
        test_complete_pipeline.test_the_writer_is_killed_at_any_moment,
        "no loss",
        "iceberg",
        WRONG_SUMS,
    ),
    "commits-again": Case(
        defects.COMMITS_AGAIN,
        test_faults.test_a_writer_that_stood_still_does_not_write_what_its_successor_wrote,
        "no duplicate",
        "iceberg",
    ),
    "drops-failed-batches-lock": Case(
        defects.DROPS_FAILED_BATCHES,
        test_faults.test_a_catalog_that_is_locked_for_long,
        "no loss",
        "iceberg",
        WRONG_SUMS,
    ),
    "drops-failed-batches-warehouse": Case(
        defects.DROPS_FAILED_BATCHES,
        test_faults.test_a_warehouse_that_cannot_be_written_for_long,
        "no loss",
        "iceberg",
        WRONG_SUMS,
    ),
    "forgets-numbers": Case(
        defects.FORGETS_NUMBERS,
        test_faults.test_a_component_is_killed,
        "no loss",
        "kafka",
        OPEN_GAPS,
        given={"component": "binance-stream"},
    ),
    "forgets-numbers-restart": Case(
        defects.FORGETS_NUMBERS,
        test_faults.test_everything_is_restarted_in_any_order,
        "no loss",
        "kafka",
        OPEN_GAPS,
        given={"order": 0},
    ),
    "keeps-an-old-view": Case(
        defects.KEEPS_AN_OLD_VIEW,
        test_faults.test_a_component_is_killed,
        "no loss",
        "api",
        WRONG_SUMS,
        given={"component": "k2-query-api"},
    ),
    "sends-at-once-or-never-hung": Case(
        defects.SENDS_AT_ONCE_OR_NEVER,
        test_faults.test_a_broker_that_is_away_for_long,
        "no loss",
        "kafka",
        OPEN_GAPS,
        given={"kind": Hang},
    ),
    "sends-at-once-or-never-killed": Case(
        defects.SENDS_AT_ONCE_OR_NEVER,
        test_faults.test_a_component_is_killed,
        "no loss",
        "kafka",
        OPEN_GAPS,
        given={"component": "kafka"},
    ),
    "sends-at-once-or-never-link": Case(
        defects.SENDS_AT_ONCE_OR_NEVER,
        test_faults.test_a_way_to_the_broker_swallows_everything,
        "no loss",
        "kafka",
        OPEN_GAPS,
        given={"link": "feed-kafka"},
    ),
    "hides-broken-frames": Case(
        defects.HIDES_BROKEN_FRAMES,
        test_faults.test_one_frame_in_a_thousand_is_none,
        "all broken frames are in the dead letters",
    ),
    "counts-nothing": Case(
        defects.COUNTS_NOTHING, test_faults.test_doubled_frames_are_stored_once, "no duplicate", "kafka"
    ),
    "drops-late-frames": Case(
        defects.DROPS_LATE_FRAMES, test_faults.test_disordered_frames_are_all_stored, "no loss", "kafka", OPEN_GAPS
    ),
    "asks-for-nothing": Case(
        defects.ASKS_FOR_NOTHING,
        test_faults.test_dropped_frames_are_asked_for_and_nothing_is_missing,
        "no loss",
        "kafka",
        OPEN_GAPS,
    ),
    "tells-other-bounds": Case(
        defects.TELLS_OTHER_BOUNDS,
        test_faults.test_dropped_frames_are_asked_for_and_nothing_is_missing,
        "gaps",
    ),
    "waits-for-ever": Case(
        defects.WAITS_FOR_EVER,
        test_faults.test_a_silent_connection_is_given_up_and_taken_up_again,
        "the feed connects anew",
    ),
    "comes-back-at-once": Case(
        defects.COMES_BACK_AT_ONCE, test_faults.test_clean_closes_in_a_row_are_met_with_patience, "reconnect rate"
    ),
    "takes-its-own-time": Case(
        defects.TAKES_ITS_OWN_TIME,
        test_faults.test_the_exchange_has_another_clock,
        "integrity",
        "kafka",
        {"no loss", "sums agree", "order"},  # the API is asked for trades by their time
        given={"offset_s": 5.0},
    ),
    "one-day-a-commit": Case(
        defects.ONE_DAY_A_COMMIT, test_faults.test_midnight_passes, "no loss", "iceberg", WRONG_SUMS
    ),
    "reads-a-hundred": Case(
        defects.READS_A_HUNDRED, test_faults.test_a_burst_of_trades_is_stored, "no loss", "iceberg", WRONG_SUMS
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_a_defect_fails_the_test_of_its_fault(
    name: str, pipeline: Pipeline, stack: Stack, faults: Faults, evidence: Evidence, tmp_path: Path
) -> None:
    case = CASES[name]
    own = Shown(f"{name} planted", tmp_path, evidence)
    told = {"pipeline": pipeline, "stack": stack, "faults": faults, "evidence": own, **case.given}
    wanted = case.test.__code__.co_varnames[: case.test.__code__.co_argcount]
    with planted(stack, case.defect), pytest.raises(AssertionError) as failed:
        case.test(**{argument: told[argument] for argument in wanted})
    first_line = str(failed.value).splitlines()[0]
    evidence.say(f"{case.defect.what}; {case.test.__name__} says: {first_line[:400]}")
    if case.says in own.failed:
        assert own.failed[case.says] == case.hop, first_line
    else:
        assert first_line.startswith(case.says)
    assert own.failed.keys() <= {case.says} | case.also, first_line
