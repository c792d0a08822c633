"""When a past is made up, and when it is not; no broker."""

import json

import numpy as np
import pytest
from structlog.testing import capture_logs

from focus_server.fiber.formula import ReplayFormula, ReplayOptions
from focus_server.fiber.recording import Recording
from focus_server.recordings.prodml import open_recording, raw_data, read_entry
from focus_server.recordings.recorder.disk import Disk
from focus_server.recordings.recorder.fibre import RecordedFibre
from focus_server.recordings.recorder.preroll import PreRoll
from focus_server.recordings.recorder.shelf import Shelf


@pytest.fixture
def formula(recording_file):
    return ReplayFormula(Recording.load(recording_file), ReplayOptions(channels=70, seed=3))


@pytest.fixture
def play(source, formula, recording_file, tmp_path):
    """Begin a replayed fibre with block 64 and give what was logged, the files' samples and the parts of slots."""

    def begin(min_free=0, seconds=3.2, **changes):
        announcement = source.announcement(**{"fiber_source": formula.describe(), "scale": formula.scale} | changes)
        shelf, parts = Shelf(tmp_path, source.site), []
        shelf.prepare()
        preroll = PreRoll(recording_file, seconds, shelf, Disk(tmp_path, min_free), lambda _: None, parts.append)
        with capture_logs() as events:
            preroll.begins(RecordedFibre.of(announcement, 1), announcement, 64)
            for thread in preroll._threads:
                thread.join(30)
            preroll.stop()
        entries = [read_entry(path, tmp_path) for path in sorted(tmp_path.rglob("*.h5"))]
        return [event["event"] for event in events], entries, parts

    return begin


def marker(folder):
    (found,) = folder.glob(".*.preroll.json")
    return found


def test_whole_slots_are_written_and_the_slot_of_the_first_block_is_given_its_beginning(play, formula):
    said, entries, (part,) = play()
    assert said == ["preroll.done"]
    assert [(entry.first_sample, entry.end_sample) for entry in entries] == [(640, 800), (800, 1000), (1000, 1200)]
    for entry in entries:
        with open_recording(entry.file()) as file:
            assert np.array_equal(raw_data(file)[:], formula.samples(entry.first_sample, entry.samples))
    assert part.number == 6
    assert part.have.sum(axis=0).tolist() == [4, 4]
    assert np.array_equal(part.data[:80], formula.samples(1200, 80))
    assert play() == ([], entries, [])


def test_one_that_was_cut_short_is_finished_from_where_live_began_then(play, tmp_path):
    play()
    place = marker(tmp_path)
    place.write_text(json.dumps({"first_block": 64, "done": False}))
    sorted(tmp_path.rglob("*.h5"))[1].unlink()
    said, entries, _ = play()
    assert said == ["preroll.done"]
    assert [entry.first_sample for entry in entries] == [640, 800, 1000]


def test_samples_before_the_grid_begins_do_not_exist(play):
    _, entries, _ = play(seconds=100.0)
    assert [entry.first_sample for entry in entries] == [0, 200, 400, 600, 800, 1000]


def test_a_fibre_that_was_recorded_before_is_left_alone(play, tmp_path):
    play()
    marker(tmp_path).unlink()
    assert play()[0] == []
    assert list(tmp_path.glob(".*.preroll.json")) == []


@pytest.mark.parametrize(
    "changes",
    [
        {"scale": "1"}, {"fiber_source": {"kind": "replay", "sha256": "0" * 64}},
        {"fiber_source": {}}, {"number_of_channels": 69, "scale": "2E-9"},
    ],
)  # fmt: skip
def test_what_is_not_replayed_from_this_recording_has_no_past(play, changes):
    said, entries, parts = play(**changes)
    assert (said, entries, parts) == (["preroll.failed"], [], [])


def test_with_little_free_disk_the_next_start_goes_on(play, tmp_path):
    assert play(min_free=2**62)[:2] == (["preroll.failed"], [])
    assert json.loads(marker(tmp_path).read_text())["done"] is False
    assert len(play()[1]) == 3
