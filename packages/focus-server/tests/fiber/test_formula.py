"""The formula against a second implementation, one sample at a time, in plain Python numbers."""

import math
from decimal import Decimal
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from focus_server.errors import FocusError
from focus_server.fiber.formula import ReplayFormula, ReplayOptions, choose_scale, mix32, parse_channels
from focus_server.fiber.recording import Recording


def scalar_mix(x: int) -> int:
    x = x ^ (x >> 16)
    x = x * 2146121005 % 4294967296
    x = x ^ (x >> 15)
    x = x * 2221713035 % 4294967296
    return x ^ (x >> 16)


def scalar_sample(values: np.ndarray, channel: int, n: int, seed: int, dc: float) -> float:
    """Return g * (rec + dc); `values` is [time, channel], `channel` begins at 1."""
    length, width = values.shape
    tile, loop = (channel - 1) // width, n // length
    h = scalar_mix(scalar_mix(scalar_mix(seed) ^ tile) ^ loop) / 4294967296
    return (1 + 0.25 * h) * (float(values[n % length, (channel - 1) % width]) + dc)


@pytest.fixture(scope="module")
def recording(recording_file: Path) -> Recording:
    return Recording.load(recording_file)


def test_mix32_known_values() -> None:
    assert [mix32(x) for x in (0, 1, 2, 0xFFFFFFFF)] == [scalar_mix(x) for x in (0, 1, 2, 0xFFFFFFFF)]
    assert mix32(0) == 0
    assert len({mix32(x) for x in range(100_000)}) == 100_000  # a bijection has no collisions


@pytest.mark.parametrize("dc", [0.0, 0.75])
@pytest.mark.parametrize("first", [0, 770, 10**12 + 123])
def test_int16_equals_the_scalar_formula(recording: Recording, first: int, dc: float) -> None:
    formula = ReplayFormula(recording, ReplayOptions(channels=130, seed=99, dc=dc))
    counts = formula.samples(first, 20)  # from sample 770 on it crosses a loop
    assert counts.dtype == np.dtype("<i2")
    assert counts.shape == (20, 130)
    scale = float(formula.scale)
    for row in range(20):
        for channel in (1, 2, 50, 51, 100, 101, 130):
            wanted = round(scalar_sample(recording.values, channel, first + row, 99, dc) / scale)
            assert counts[row, channel - 1] == wanted


def test_float32_and_nan_channels(recording: Recording) -> None:
    formula = ReplayFormula(recording, ReplayOptions(channels=60, dtype="float32", dc=-1.5, nan_channels=(7, 60)))
    values = formula.samples(1000, 5)
    assert formula.scale == "1"
    assert np.isnan(values[:, [6, 59]]).all()
    assert np.isfinite(np.delete(values, [6, 59], axis=1)).all()
    for row in range(5):
        for channel in (1, 8, 51):
            wanted = np.float32(scalar_sample(recording.values, channel, 1000 + row, 1, -1.5))
            assert values[row, channel - 1] == wanted


def test_no_two_tiles_or_loops_are_equal(recording: Recording) -> None:
    formula = ReplayFormula(recording, ReplayOptions(channels=100, dtype="float32"))
    begin, next_loop = formula.samples(0, 10), formula.samples(recording.samples, 10)
    assert (begin[:, :50] != begin[:, 50:]).any()
    assert (begin != next_loop).any()
    gains = {formula.gain(tile, loop) for tile in range(40) for loop in range(40)}
    assert len(gains) == 1600
    assert all(1 <= gain < 1.25 for gain in gains)


@settings(deadline=None)
@given(st.floats(min_value=1e-300, max_value=1e300))
def test_scale_is_the_smallest_of_three_digits_that_fits(largest: float) -> None:
    scale = Decimal(choose_scale(largest))
    assert len(scale.as_tuple().digits) <= 3
    one_less = scale - Decimal(1).scaleb(math.floor(scale.log10()) - 2)
    assert Decimal("1.25") * Decimal(largest) / scale <= 32767
    assert Decimal("1.25") * Decimal(largest) / one_less > 32767 * (1 - Decimal("1e-20"))


def test_counts_never_leave_int16(recording: Recording) -> None:
    formula = ReplayFormula(recording, ReplayOptions(channels=1000, dc=1e9))
    assert int(formula.samples(0, recording.samples).min()) > 20_000  # no wrap, the offset fills the range


def test_description_holds_all_parameters(recording: Recording) -> None:
    description = ReplayFormula(recording, ReplayOptions(channels=60, seed=4, dc=2.0)).describe()
    assert (description["C"], description["L"], description["seed"], description["dc"]) == (50, 777, 4, 2.0)
    assert description["sha256"] == recording.sha256
    assert description["nan_channels"] == []
    assert description["scale"] == choose_scale(float(np.abs(recording.values + 2.0).max()))


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"channels": 0}, "at least 1"),
        ({"channels": 9, "seed": 2**32}, "32-bit"),
        ({"channels": 9, "dc": math.nan}, "finite"),
        ({"channels": 9, "nan_channels": (1,)}, "float32"),
        ({"channels": 9, "dtype": "float32", "nan_channels": (10,)}, "channel 10"),
    ],
)
def test_wrong_options_are_refused(wrong: dict[str, object], sentence: str) -> None:
    with pytest.raises(FocusError, match=sentence):
        ReplayOptions(**wrong)


def test_lists_of_channels() -> None:
    assert parse_channels("") == ()
    assert parse_channels("7, 9-12,9") == (7, 9, 10, 11, 12)
    for wrong in ("x", "3-1", "0", "-4", "1-2-3"):
        with pytest.raises(FocusError):
            parse_channels(wrong)
