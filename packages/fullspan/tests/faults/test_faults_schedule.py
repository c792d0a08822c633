"""Schedules are the same for the same seed, are played in time, and are written down as they really went."""

import itertools
import json
import threading
import time

import pytest

from fullspan.errors import UsageError
from fullspan.faults import Faults, LeasedStack, May, Planned, Schedule
from fullspan.stack.processes import wait_until
from fullspan.timeline import read_timeline
from fullspan.verdict import Verdict

LINK = "page-web"
MAY = [
    May("latency", LINK, ms=(5, 40)),
    May("jitter", LINK, ms=(5.0, 20.0)),
    May("hang", "quiet"),
    May("partition", LINK, direction="both"),
    May("little-cpu", "quiet", share=(0.1, 0.5)),
]


def drawn(seed=7, count=12, within_s=60.0, **more):
    return Schedule.draw(seed, MAY, count, within_s=within_s, **more)


def by_number(schedule):
    return {planned.number: planned for planned in schedule.faults}


def test_the_same_seed_gives_the_same_faults_and_another_one_others():
    assert drawn() == drawn()
    assert drawn(seed=8) != drawn()
    few, many = by_number(drawn(count=4)), by_number(drawn(count=12))
    assert few == {number: many[number] for number in few}


def test_what_is_drawn_is_what_may_be():
    schedule = drawn(count=40, within_s=300)
    kinds = {planned.kind for planned in schedule.faults}
    assert kinds == {one.kind for one in MAY}
    assert [planned.at_s for planned in schedule.faults] == sorted(planned.at_s for planned in schedule.faults)
    assert all(0 <= planned.at_s <= 300 and 0.5 <= planned.for_s <= 3 for planned in schedule.faults)
    ms = [planned.parameters["ms"] for planned in schedule.faults if planned.kind == "latency"]
    assert all(isinstance(value, int) and 5 <= value <= 40 for value in ms)
    assert {planned.parameters.get("direction") for planned in schedule.faults if planned.kind == "partition"} == {
        "both"
    }


@pytest.mark.parametrize("seed", range(20))
def test_a_component_has_one_fault_at_a_time_and_a_link_as_many_as_come(seed):
    schedule = drawn(seed=seed, count=20, within_s=30)
    quiet = [planned for planned in schedule.faults if planned.targets == ("quiet",)]
    for before, after in itertools.pairwise(quiet):
        assert after.at_s > before.at_s + before.for_s
    assert len(quiet) < 20


def test_what_has_no_room_or_cannot_be_meant_is_refused():
    with pytest.raises(UsageError, match=r"no room for fault \d+ within 2 s: a component has one fault at a time"):
        Schedule.draw(1, [May("hang", "quiet")], 10, within_s=2)
    with pytest.raises(UsageError, match="may do nothing"):
        Schedule.draw(1, [], 1, within_s=2)
    with pytest.raises(UsageError, match=r"no fault 'latencies'\. Did you mean 'latency'"):
        Schedule.draw(1, [May("latencies", LINK)], 1, within_s=2)
    with pytest.raises(UsageError, match=r"latency\(page-web, mss=4\).* cannot be made: .*mss"):
        Schedule.draw(1, [May("latency", LINK, mss=4)], 1, within_s=2)


def test_a_file_holds_the_whole_schedule(tmp_path):
    schedule = drawn()
    file = schedule.write(tmp_path / "deep" / "one.json")
    assert Schedule.read(file) == schedule
    assert not list(file.parent.glob("*.new"))
    kept = schedule.only({2, 5})
    assert set(by_number(kept)) == {2, 5}
    assert by_number(kept)[5] == by_number(schedule)[5]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "cannot be read"),
        ("{}", "is no schedule: 'schema'"),
        ('{"schema": 9}', "schema of .*file.json is 9, which is not known here"),
        ('{"schema": 1, "name": "a", "seed": 1, "realised": false, "faults": [{"kind": 1}]}', "is no schedule"),
    ],
)
def test_a_file_that_holds_no_schedule_is_refused(tmp_path, text, words):
    file = tmp_path / "file.json"
    file.write_text(text)
    with pytest.raises(UsageError, match=words):
        Schedule.read(file)


def test_a_schedule_is_played_in_time_and_can_be_played_again_as_it_went(fragile, faults, traffic, timeline):
    planned = (
        Planned(1, 0.05, 0.9, "latency", (LINK,), {"ms": 20}),
        Planned(2, 0.2, 0.8, "jitter", (LINK,), {"ms": 20}),
        Planned(3, 0.1, 0.4, "hang", ("quiet",)),
    )
    with faults.play(Schedule(planned, seed=3, name="short")) as play:
        assert wait_until(lambda: len(fragile.call("GET", f"/links/{LINK}")["layers"]) == 2, 10)
        assert play.going
        play.wait()
        assert not play.going
    assert sorted(evidence.kind for evidence in faults.evidence) == ["hang", "jitter", "latency"]
    assert {evidence.verdict for evidence in faults.evidence} == {Verdict.PASS}, faults.evidence
    realised = Schedule.read(timeline.path.parent / "schedules" / "short.json")
    assert (realised.realised, realised.seed, realised.name) == (True, 3, "short")
    for went in realised.faults:
        was = planned[went.number - 1]
        assert (went.kind, went.targets, went.parameters) == (was.kind, was.targets, was.parameters)
        assert went.at_s >= was.at_s
        assert went.for_s >= was.for_s
    assert realised.duration_s >= 0.5
    events = [event.kind for event in read_timeline(timeline.path)]
    assert events[0] == "schedule"
    assert events.count("fault.injected") == events.count("fault.healed") == 3
    with faults.play(realised) as again:
        again.wait()
    assert len(faults.evidence) == 6
    assert {evidence.verdict for evidence in faults.evidence[3:]} == {Verdict.PASS}


def test_the_end_of_the_block_heals_what_is_on_and_begins_nothing_more(fragile, faults, timeline):
    planned = (Planned(1, 0.0, 600.0, "hang", ("quiet",)), Planned(2, 500.0, 1.0, "kill", ("quiet",)))
    began = time.monotonic()
    with faults.play(Schedule(planned)):
        assert wait_until(lambda: fragile.components["quiet"].state == "hung", 10, 0.02)
        file = timeline.path.parent / "schedules" / "schedule.json"
        assert json.loads(file.read_text())["realised"] is False
    assert time.monotonic() - began < 60
    assert fragile.components["quiet"].state == "ready"
    assert [evidence.kind for evidence in faults.evidence] == ["hang"]
    assert [went.number for went in Schedule.read(file).faults] == [1]


def test_a_fault_that_cannot_begin_is_told(faults):
    planned = (Planned(1, 0.0, 0.1, "hang", ("quite",)),)
    with pytest.raises(UsageError, match="Did you mean 'quiet'"), faults.play(Schedule(planned)) as play:
        play.wait()


def test_a_schedule_that_cannot_be_played_leaves_no_trace(faults, timeline):
    planned = (Planned(1, 0.0, 0.1, "hang", ("quiet",)), Planned(2, 0.0, 0.1, "hangs", ("quiet",)))
    with pytest.raises(UsageError, match="Did you mean 'hang'"), faults.play(Schedule(planned)):
        pass
    assert not (timeline.path.parent / "schedules").exists()
    assert not faults.evidence


def test_another_schedule_of_the_same_name_is_played_instead(fragile, timeline, tmp_path, monkeypatch):
    planned = (Planned(1, 0.0, 600.0, "kill", ("quiet",)),)
    monkeypatch.setenv("FULLSPAN_SCHEDULE", str(Schedule((), name="one").write(tmp_path / "instead.json")))
    with Faults(fragile, timeline) as faults:
        with faults.play(Schedule(planned, name="one")) as play:
            assert play.schedule.faults == ()
            play.wait()
        assert faults.evidence == []
        assert Schedule(planned, name="other").or_instead().faults == planned


def test_schedules_of_one_name_do_not_replace_each_other(faults, timeline):
    for seed in (1, 2, 3):
        with faults.play(Schedule((), seed=seed, name="same")):
            pass
    files = sorted((timeline.path.parent / "schedules").iterdir())
    assert [file.name for file in files] == ["same-2.json", "same-3.json", "same.json"]
    assert [Schedule.read(file).seed for file in files] == [2, 3, 1]


def test_one_lease_serves_all_threads(fragile, timeline):
    with Faults(fragile, timeline) as faults:
        found = set()
        threads = [threading.Thread(target=lambda: found.add(faults.lease())) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(found) == 1
        assert isinstance(found.pop(), LeasedStack)
