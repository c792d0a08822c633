"""What components used, as the report draws it: no peak is lost, and no line where nobody looked."""

import json
import re

import numpy as np
import pytest

from fullspan.bundle import Bundle, RunRecord
from fullspan.report import write_report
from fullspan.report.axis import GUTTER, RIGHT, WIDTH, Axis
from fullspan.report.resources import read_resources, resource_lanes, resource_table
from fullspan.timeline import Event

SECOND = 1_000_000_000
HOUR = Axis(0, 3600 * SECOND, 0, 0)


def sample(second, component="web", processes=1, **values):
    used = {"cpu_percent": 10.0, "memory_mb": 100.0, "handles": 20, "threads": 4, "disk_mb": 1.0} | values
    return json.dumps({"mono_ns": round(second * SECOND), "component": component, "processes": processes} | used)


def read(folder, *lines):
    (folder / "resources.jsonl").write_text("\n".join(lines) + "\n")
    return read_resources(folder)


def places(path):
    """Return the points of a path; a point of its own begins each part of it."""
    found, y = [], ""
    for letter, x, rest in re.findall(r"([MLH])([\d.]+)(?: ([\d.]+))?", path):
        y = rest or y
        found.append((letter, float(x), float(y)))
    return found


def lane_of(axis, samples, name):
    return next(lane for lane in resource_lanes(axis, samples) if lane.name == name)


def test_the_one_peak_and_the_one_low_of_an_hour_are_drawn_where_they_were(tmp_path):
    usual = dict.fromkeys(range(3600), 100.0)
    usual |= {1234: 900.0, 1235: 0.0}  # both in one column: eight seconds share it
    samples = read(tmp_path, *(sample(second, memory_mb=value) for second, value in usual.items()))
    lane = lane_of(HOUR, samples, "memory")
    drawn = places(lane.lines[0].path)
    highest, lowest = min(drawn, key=lambda point: point[2]), max(drawn, key=lambda point: point[2])
    assert (highest[1], lowest[1]) == (HOUR.x(1234 * SECOND), HOUR.x(1235 * SECOND))
    assert lane.rules[0].label == "900 MB"
    assert lowest[2] == lane.rules[0].y
    assert len(drawn) <= WIDTH - GUTTER - RIGHT
    assert lane.lines[0].title.startswith("web, memory: 0 MB to 900 MB (00:20:34.000 UTC, +1234.000 s)")


def test_where_nobody_looked_the_line_is_broken_and_a_lone_sample_is_a_point(tmp_path):
    seconds = [*range(0, 600, 2), *range(1200, 1800, 2), 3000]
    lane = lane_of(HOUR, read(tmp_path, *(sample(second, handles=7) for second in seconds)), "handles")
    drawn = places(lane.lines[0].path)
    assert [x for letter, x, _ in drawn if letter == "M"] == [HOUR.x(at * SECOND) for at in (0, 1200, 3000)]
    # What stays the same is one stroke to the last place where it was seen.
    assert [letter for letter, _, _ in drawn] == ["M", "H", "M", "H", "M"]
    assert HOUR.x(599 * SECOND) - 2 <= drawn[1][1] <= HOUR.x(599 * SECOND)


def test_many_samples_at_the_ends_of_short_tests_break_no_line(tmp_path):
    seconds = [*(number / 100 for number in range(300)), *range(3, 103)]
    lane = lane_of(HOUR, read(tmp_path, *(sample(second) for second in seconds)), "threads")
    assert lane.lines[0].path.count("M") == 1


def test_what_was_not_measured_is_not_drawn_and_what_somebody_else_runs_is_left_out(tmp_path):
    lines = [sample(second, cpu_percent=None if second < 3 else 50.0) for second in range(5)]
    theirs = [sample(second, "theirs", processes=0, cpu_percent=None) for second in range(5)]
    samples = read(tmp_path, *lines, *theirs, '{"mono_ns": 5, "compon')
    assert [of_one.component for of_one in samples] == ["web"]
    assert np.isnan(samples[0].values["cpu_percent"]).tolist() == [True, True, True, False, False]
    cells = resource_table(samples)[0][1]
    assert cells == [("50 %", "50 %"), ("100 MB", "100 MB"), ("20", "20"), ("4", "4"), ("1 MB", "1 MB")]
    assert [len(lane.lines) for lane in resource_lanes(HOUR, samples)] == [1, 1, 1, 1, 1]


def test_without_samples_there_is_nothing_to_draw(tmp_path):
    assert read_resources(tmp_path) == []
    assert resource_lanes(HOUR, []) == []


# Each column has its two points after a quarter of an hour already; the hour shows that there are no more of them.
@pytest.mark.parametrize("seconds", [900, pytest.param(3600, marks=pytest.mark.soak)])
def test_a_long_run_of_ten_components_stays_small(tmp_path, seconds):
    bundle = Bundle.create(tmp_path, "long")
    draw = np.random.default_rng(7)
    names = [f"a-component-with-a-long-name-{number}" for number in range(10)]
    rows = draw.uniform(1, 2000, (seconds, 10, 2)).round(3).tolist()
    lines = (
        sample(second, name, cpu_percent=cpu, memory_mb=memory, handles=round(cpu), threads=round(memory), disk_mb=cpu)
        for second, of_second in enumerate(rows)
        for name, (cpu, memory) in zip(names, of_second, strict=True)
    )
    (bundle.path / "resources.jsonl").write_text("\n".join(lines) + "\n")
    events = [Event(at, at, "run", "it runs", {}).to_json() for at in (0, seconds * SECOND)]
    bundle.timeline.path.write_text("\n".join(events) + "\n")
    run = RunRecord(id=bundle.id, name="long", suite="s", seed=1, fullspan="0", began_wall_ns=0, began_mono_ns=0)
    bundle.write_run(run)
    report = write_report(bundle.path)
    text = report.read_text()
    assert text.count("a-component-w") >= 50
    assert report.stat().st_size < 3_000_000
