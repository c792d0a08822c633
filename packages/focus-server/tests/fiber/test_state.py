"""The grid stays from run to run, the epoch grows, and nobody else plays with the same folder."""

import json
import time
from fractions import Fraction
from pathlib import Path

import pytest

from focus_server.errors import FocusError
from focus_server.fiber.state import replay_state

RATE = Fraction(249997, 125)


def test_a_second_run_goes_on_on_the_same_grid_with_a_new_epoch(tmp_path: Path) -> None:
    before = time.time_ns()
    with replay_state(tmp_path / "state", RATE) as first:
        pass
    with replay_state(tmp_path / "state", RATE) as second:
        pass
    assert second.grid == first.grid
    assert (first.grid.fs_num, first.grid.fs_den) == (249997, 125)
    assert second.epoch > first.epoch >= before
    assert before - 10**9 < first.grid.t0_ns <= time.time_ns()
    assert first.grid.t0_ns % 10**9 == 0


def test_another_rate_or_a_clock_set_back_begins_a_new_grid(tmp_path: Path) -> None:
    with replay_state(tmp_path, RATE):
        pass
    stored = json.loads((tmp_path / "grid.json").read_text())
    ahead = stored | {"t0_ns": stored["t0_ns"] + 3600 * 10**9, "epoch": stored["epoch"] + 3600 * 10**9}
    (tmp_path / "grid.json").write_text(json.dumps(ahead))
    with replay_state(tmp_path, RATE) as state:
        assert state.grid.t0_ns <= time.time_ns()
        assert state.epoch > ahead["epoch"]  # also when the clock was set back
    with replay_state(tmp_path, Fraction(500)) as other:
        assert (other.grid.fs_num, other.grid.fs_den) == (500, 1)


def test_a_new_fibre_begins_as_long_before_as_is_asked_for_and_an_old_one_stays(tmp_path: Path) -> None:
    now = time.time_ns()
    with replay_state(tmp_path, RATE, 120) as first:
        assert time.time_ns() - first.grid.t0_ns >= 120 * 10**9
        assert now - first.grid.t0_ns < 121 * 10**9
    with replay_state(tmp_path, RATE, 500) as second:
        assert second.grid == first.grid


def test_one_interrogator_for_one_folder(tmp_path: Path) -> None:
    with (
        replay_state(tmp_path, RATE),
        pytest.raises(FocusError, match="Another interrogator"),
        replay_state(tmp_path, RATE),
    ):
        pass
    with replay_state(tmp_path, RATE):
        pass


def test_an_unreadable_grid_and_an_unusable_folder(tmp_path: Path) -> None:
    (tmp_path / "grid.json").write_text("{}")
    with pytest.raises(FocusError, match="Delete it"), replay_state(tmp_path, RATE):
        pass
    (tmp_path / "file").write_text("")
    with pytest.raises(FocusError, match="cannot be used"), replay_state(tmp_path / "file", RATE):
        pass
