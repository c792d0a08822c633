"""What jobs cost together."""

import pytest

from focus_server.analyzer.cost import Load, affordable_hop, cores
from focus_server.analyzer.grid import LineGrid

FS = 2000.0


def test_shared_lines_are_paid_once():
    one = Load(LineGrid(1024, 100), 1, 2222)
    assert cores([one] * 200, FS) == cores([one], FS)
    assert cores([one, Load(LineGrid(1024, 100), 5, 80)], FS) == cores([one], FS)
    assert cores([one, Load(LineGrid(1024, 101), 5, 80)], FS) > cores([one], FS)


def test_cost_grows_with_channels_lines_and_window():
    base = cores([Load(LineGrid(1024, 100), 1, 1000)], FS)
    assert cores([Load(LineGrid(1024, 50), 1, 1000)], FS) == pytest.approx(2 * base)
    assert cores([Load(LineGrid(2048, 100), 1, 1000)], FS) == pytest.approx(2 * base, rel=0.02)
    assert cores([Load(LineGrid(1024, 100), 1, 2000)], FS) == pytest.approx(2 * base, rel=0.02)


def test_the_affordable_hop_is_the_smallest_that_fits():
    load = Load(LineGrid(16384, 100), 1, 2222)
    assert cores([load], FS) > 0.5
    hop = affordable_hop(load, 0.5, FS)
    assert cores([Load(LineGrid(16384, hop), 1, 2222)], FS) <= 0.5
    assert cores([Load(LineGrid(16384, hop - 1), 1, 2222)], FS) > 0.5


def test_without_a_budget_there_is_none():
    load = Load(LineGrid(1024, 100), 1, 2222)
    assert affordable_hop(load, 0.0, FS) is None
    assert affordable_hop(load, 1e-6, FS) is None
    assert affordable_hop(Load(LineGrid(None, 100), 1, 2222), 0.5, FS) is None
