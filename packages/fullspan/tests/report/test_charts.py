"""Series from ledgers, and the lanes drawn from them: what is seen in the picture is what was observed."""

import re

import numpy as np
import pytest

from fullspan.bundle import Bundle, DebtRecord, TestRecord
from fullspan.ledger import Ledger, Observation
from fullspan.report.axis import GUTTER, RIGHT, WIDTH, Axis
from fullspan.report.charts import debt_lane, gap_lane, latency_lane
from fullspan.report.series import HopSeries, read_series
from fullspan.timeline import Event
from fullspan.verdict import Verdict

SECOND = 1_000_000_000
WALL = 1_780_000_000 * SECOND
AXIS = Axis(0, 100 * SECOND, WALL, 0)
TEST = TestRecord(nodeid="a.py::b", verdict=Verdict.PASS, began_mono_ns=0, ended_mono_ns=100 * SECOND)


def seen(number, due_s, late_s, hop="row", stream="1/0"):
    wall = WALL + round((due_s + late_s) * SECOND)
    return Observation(hop, f"{stream}/{number}", number, WALL + round(due_s * SECOND), wall - WALL, wall)


def series_of(tmp_path, *observations):
    bundle = Bundle.create(tmp_path, "series")
    ledger = Ledger()
    ledger.observe_all(observations)
    ledger.dump(bundle.observations_of(TEST.nodeid))
    return read_series(bundle, TEST)


def points(path):
    """The corners of a path, in order, and where it is broken."""
    return [(command, float(x), float(y)) for command, x, y in re.findall(r"([ML])([\d.]+) ([\d.]+)", path)]


def test_a_series_holds_the_first_sight_of_each_record_by_due_time(tmp_path):
    (found,) = series_of(tmp_path, seen(2, 20, 0.3), seen(1, 10, 0.1), seen(1, 10, 5))
    assert found.hop == "row"
    assert found.due_ns.tolist() == [10 * SECOND, 20 * SECOND]
    assert (found.seen_ns - found.due_ns).tolist() == [SECOND // 10, 3 * SECOND // 10]
    assert found.lost == []


def test_hops_are_in_the_order_in_which_they_saw_something_unless_the_stages_are_known(tmp_path):
    hops = series_of(tmp_path, seen(1, 10, 0.9, "a"), seen(1, 10, 0.1, "z"))
    assert [one.hop for one in hops] == ["z", "a"]


@pytest.mark.parametrize("step", [1, 5])
def test_records_that_were_never_seen_are_holes_in_the_usual_step_of_their_stream(tmp_path, step):
    numbers = [n for n in range(0, 40 * step, step) if n not in (7 * step, 8 * step)]
    (found,) = series_of(tmp_path, *(seen(n, n / step, 0.1) for n in numbers), seen(3, 3, 0.1, stream="1/1"))
    (lost,) = found.lost
    assert (lost.stream, lost.first, lost.last) == ("1/0", 7 * step, 8 * step)
    assert (lost.began_ns, lost.ended_ns) == (6 * SECOND, 9 * SECOND)


def test_a_file_that_its_writer_could_not_finish_shows_nothing_and_the_others_do(tmp_path):
    bundle = Bundle.create(tmp_path, "cut")
    ledger = Ledger()
    ledger.observe_all(seen(n, n, 0.1, hop) for n in range(10) for hop in ("row", "frame"))
    (row, _) = ledger.dump(bundle.observations_of(TEST.nodeid))
    row.write_bytes(row.read_bytes()[:-30])
    (found,) = read_series(bundle, TEST)
    assert (found.hop, len(found.due_ns)) == ("frame", 10)
    assert read_series(bundle, TEST.model_copy(update={"nodeid": "another"})) == []


def steady(late_s=0.1, but=(), hop="row"):
    numbers = np.array([n for n in range(1000) if not (but and but[0] <= n / 10 < but[1])])
    due = numbers * SECOND // 10
    return HopSeries(hop, due, due + round(late_s * SECOND), [])


def test_a_latency_lies_at_its_due_time_and_on_a_logarithmic_scale():
    slow = steady(1.0, hop="frame")
    lane = latency_lane(AXIS, [steady(0.1), slow], ["row", "frame"])
    assert [rule.label for rule in lane.rules] == ["100 ms", "1 s"]
    top, bottom = lane.rules[1].y, lane.rules[0].y
    assert top < bottom
    row, frame = (points(line.path) for line in lane.lines)
    assert {y for _, _, y in row} == {bottom}
    assert {y for _, _, y in frame} == {top}
    assert row[0][1] == pytest.approx(GUTTER, abs=2)
    assert row[-1][1] == pytest.approx(WIDTH - RIGHT, abs=2)
    assert [key.label for key in lane.keys] == ["row", "frame"]
    assert [line.look for line in lane.lines] == ["s0", "s1"]
    assert lane.dots[0].label == "frame 1 s"


def test_the_longest_of_a_column_is_shown_and_a_hole_breaks_the_line():
    late = steady(0.1, but=(40, 60))
    late.seen_ns[200] += 4 * SECOND
    (line,) = latency_lane(AXIS, [late], ["row"]).lines
    corners = points(line.path)
    breaks = [corner for corner in corners if corner[0] == "M"]
    assert len(breaks) == 2
    assert breaks[1][1] == pytest.approx(AXIS.x(60 * SECOND), abs=2)
    peak = min(corners, key=lambda corner: corner[2])
    assert peak[1] == pytest.approx(AXIS.x(20 * SECOND), abs=2)


def test_what_was_due_before_the_picture_begins_is_shown_at_its_edge():
    due = np.arange(5, 15, dtype=np.int64) * SECOND
    late = HopSeries("row", due, due + 40 * SECOND, [])
    lane = latency_lane(Axis(40 * SECOND, 60 * SECOND, WALL, 0), [late], ["row"])
    assert [corner[1] for corner in points(lane.lines[0].path)] == [GUTTER + 1]
    assert lane.dots[0].label == "row 40 s"
    assert latency_lane(Axis(70 * SECOND, 90 * SECOND, WALL, 0), [late], ["row"]) is None


def test_records_without_a_due_time_have_no_latency_but_do_have_gaps():
    nobody_said = HopSeries("row", np.zeros(800, np.int64), steady(but=(40, 60)).seen_ns, [])
    assert latency_lane(AXIS, [nobody_said], ["row"]) is None
    lane = gap_lane(AXIS, [nobody_said], ["row"], [])
    (silent,) = (bar for bar in lane.bars if bar.look == "silent")
    assert silent.x == pytest.approx(AXIS.x(40 * SECOND), abs=2)
    assert silent.x + silent.width == pytest.approx(AXIS.x(60 * SECOND), abs=2)
    assert "silent for 20.10 s" in silent.title


def test_a_slow_but_steady_hop_is_not_called_silent():
    rare = np.arange(0, 100, 7, dtype=np.int64) * SECOND
    lane = gap_lane(AXIS, [HopSeries("row", rare, rare, [])], ["row"], [])
    assert [bar.look for bar in lane.bars] == ["track"]


def test_when_an_observer_could_not_look_is_told_also_when_it_never_looked_again():
    def event(at_s, what):
        return Event(at_s * SECOND, WALL, "hop", what, {"hop": "row"})

    events = [
        event(10, "row is interrupted: gone"),
        event(15, "row sees records again"),
        event(90, "row is interrupted"),
    ]
    lane = gap_lane(AXIS, [steady()], ["row"], events)
    first, second = (bar for bar in lane.bars if bar.look == "blind")
    assert (first.x, round(first.x + first.width, 1)) == (AXIS.x(10 * SECOND), AXIS.x(15 * SECOND))
    assert (second.x, round(second.x + second.width, 1)) == (AXIS.x(90 * SECOND), AXIS.x(100 * SECOND))


def test_debt_keeps_its_value_until_the_next_step_and_is_scaled_to_the_largest():
    debts = [
        DebtRecord(before="row", after="frame", steps=[(10 * SECOND, 4), (20 * SECOND, 0)]),
        DebtRecord(before="frame", after="pixel", steps=[(30 * SECOND, 8), (50 * SECOND, 0)]),
    ]
    lane = debt_lane(AXIS, debts, ["row", "frame", "pixel"])
    ground, top = (rule.y for rule in lane.rules)
    assert [rule.label for rule in lane.rules] == ["0", "8"]
    assert [key.label for key in lane.keys] == ["row → frame", "frame → pixel"]
    assert [line.look for line in lane.lines] == ["s1", "s2"]
    half = (ground + top) / 2
    at = [f"{AXIS.x(moment * SECOND):g}" for moment in (10, 20, 30, 50)]
    assert lane.lines[0].path == f"M{at[0]} {ground:g}H{at[0]}V{half:g}H{at[1]}V{ground:g}"
    assert lane.lines[1].path == f"M{at[2]} {ground:g}H{at[2]}V{top:g}H{at[3]}V{ground:g}"


def test_nothing_measured_draws_no_lane():
    assert latency_lane(AXIS, [], []) is None
    assert gap_lane(AXIS, [], [], []) is None
    assert debt_lane(AXIS, [DebtRecord(before="a", after="b", steps=[(SECOND, 0)])], ["a", "b"]) is None


def test_an_axis_of_ten_minutes_and_one_of_a_second_have_round_ticks():
    long = Axis(0, 600 * SECOND, WALL, 0).ticks()
    assert [tick.relative for tick in long][:3] == ["+0 s", "+120 s", "+240 s"]
    short = Axis(0, SECOND, WALL, 0).ticks()
    assert [tick.relative for tick in short][:3] == ["+0 s", "+0.2 s", "+0.4 s"]
