"""Every variant of the compiled kernel, and SciPy in its place, against the oracle; and what happens without one."""

from fractions import Fraction

import numpy as np
import pytest
from numpy.lib.stride_tricks import sliding_window_view

from focus_server.analyzer.kernel import build, native_kernels
from focus_server.analyzer.spectrum import Spectrum, Unit, make_transform, shadow
from focus_server.contract import NFFT_VALUES

UNIT = Unit(Fraction(1999976, 1000), 0.5)
KERNELS = {kernel.name: kernel for kernel in native_kernels()}


def transform(name, nfft, double=False):
    return make_transform(nfft, UNIT, KERNELS.get(name), double=double)


@pytest.fixture(params=["SciPy", *KERNELS])
def variant(request):
    return request.param


def samples(rows, nfft, dtype):
    values = np.random.default_rng(nfft + rows).standard_normal((rows, nfft)) * 3000
    values[rows // 2 :] += 30_000 if dtype == np.int16 else 1e9
    return np.clip(values, -32768, 32767).astype(dtype) if dtype == np.int16 else values.astype(dtype)


def compute(variant, windows):
    nfft = windows.shape[-1]
    out = np.full((*windows.shape[:-1], nfft // 2 + 1), -1, np.float32)
    Spectrum(nfft, UNIT, KERNELS.get(variant)).amplitude(windows, out)
    return out


def test_this_machine_has_a_kernel_when_it_has_a_compiler():
    assert bool(KERNELS) == (build.compiler() is not None)


@pytest.mark.parametrize("dtype", [np.int16, np.float32])
@pytest.mark.parametrize("nfft", NFFT_VALUES)
def test_every_variant_agrees_with_scipy_in_float64(oracle, variant, nfft, dtype):
    windows = samples(35 if nfft < 8192 else 5, nfft, dtype)
    expected = oracle.amplitude(windows, UNIT.fs, nfft, nfft, scale=0.5)[:, 0]
    assert oracle.deviation_db(compute(variant, windows), expected) < 0.01


@pytest.mark.parametrize("rows", [1, 3, 4, 5, 15, 16, 17, 33])
def test_any_number_of_windows(oracle, variant, rows):
    windows = samples(rows, 256, np.int16)
    expected = oracle.amplitude(windows, UNIT.fs, 256, 256, scale=0.5)[:, 0]
    assert oracle.deviation_db(compute(variant, windows), expected) < 0.01


def test_overlapping_windows_of_many_channels_need_no_copy(oracle, variant):
    data = samples(6, 2000, np.int16)
    windows = sliding_window_view(data[1:], 512, axis=1)[:, 3::77]
    expected = oracle.amplitude(data[1:, 3:], UNIT.fs, 512, 77, scale=0.5)
    for view, wanted in ((windows, expected), (windows.swapaxes(0, 1), expected.swapaxes(0, 1))):
        assert oracle.deviation_db(compute(variant, view), wanted) < 0.01


def test_rows_may_lie_anywhere(oracle, variant):
    windows = samples(9, 256, np.float32)
    room = np.full((9, 2, 200), -1, np.float32)
    Spectrum(256, UNIT, KERNELS.get(variant)).amplitude(windows, room[:, 1, 30:159])
    expected = oracle.amplitude(windows, UNIT.fs, 256, 256, scale=0.5)[:, 0]
    assert oracle.deviation_db(room[:, 1, 30:159], expected) < 0.01
    room[:, 1, 30:159] = -1
    assert (room == -1).all()


def test_samples_and_rows_with_other_strides_are_copied(oracle, variant):
    windows, rows = samples(5, 512, np.float32)[:, ::2], np.empty((129, 5), np.float32)
    Spectrum(256, UNIT, KERNELS.get(variant)).amplitude(windows, rows.T)
    expected = oracle.amplitude(windows, UNIT.fs, 256, 256, scale=0.5)[:, 0]
    assert oracle.deviation_db(rows.T, expected) < 0.01


@pytest.mark.parametrize("magnitude", [1e-30, 1e-20, 1e20, 1e30])
@pytest.mark.parametrize("name", KERNELS)
def test_magnitudes_whose_squares_float32_does_not_have(oracle, name, magnitude):
    windows = (np.random.default_rng(1).standard_normal((5, 256)) * magnitude).astype(np.float32)
    expected = oracle.amplitude(windows, UNIT.fs, 256, 256, scale=0.5)[:, 0]
    assert oracle.deviation_db(compute(name, windows), expected) < 0.01


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("place", [0, 100, 255])
def test_a_window_with_one_value_that_is_not_finite_is_nan_and_its_neighbours_are_right(oracle, variant, value, place):
    windows = samples(7, 256, np.float32)
    clean = windows.copy()
    windows[3, place] = value
    out = compute(variant, windows)
    assert np.isnan(out[3]).all()
    others = [0, 1, 2, 4, 5, 6]
    expected = oracle.amplitude(clean, UNIT.fs, 256, 256, scale=0.5)[:, 0]
    assert oracle.deviation_db(out[others], expected[others]) < 0.01


def test_silence_is_zero(variant):
    assert (compute(variant, np.full((5, 256), -77, np.int16)) == 0).all()


@pytest.mark.parametrize("double", [False, True])
def test_weakness_is_the_smallest_bin_over_the_root_mean_square(variant, double):
    windows = samples(9, 512, np.int16)
    out = np.empty((9, 257), np.float32)
    weakness = transform(variant, 512, double)(windows, out)
    magnitude = out.astype(np.float64)
    magnitude[:, [0, -1]] *= np.sqrt(2)
    mean_square = np.sqrt((magnitude**2).mean(axis=1))
    smallest = magnitude[:, 1:].min(axis=1) / mean_square
    in_shadow = (magnitude[:, 1:] < (0 if double else shadow()) * magnitude[:, -2::-1]).any(axis=1)
    np.testing.assert_allclose(weakness, np.where(in_shadow, 0, smallest), rtol=0.01)


@pytest.mark.parametrize("nfft", NFFT_VALUES)
def test_in_float64_every_bin_is_as_exact_as_float32_can_say(oracle, variant, nfft):
    rows = 19 if nfft < 8192 else 3
    tone = 1e4 * np.sin(0.7 * np.arange(nfft))
    windows = (samples(rows, nfft, np.float32) * 1e-6 + tone).astype(np.float32)
    out = np.empty((rows, nfft // 2 + 1), np.float32)
    transform(variant, nfft, double=True)(windows, out)
    expected = oracle.amplitude(windows, UNIT.fs, nfft, nfft, scale=0.5)[:, 0]
    np.testing.assert_allclose(out[:, 1:-1], expected[:, 1:-1], rtol=1e-6)


def test_signals_that_need_float64_get_it_call_after_call(oracle, variant):
    spectrum = Spectrum(256, UNIT, KERNELS.get(variant))
    tone = 1e4 * np.sin(0.7 * np.arange(256))
    hard = (samples(40, 256, np.float32) * 1e-6 + tone).astype(np.float32)
    easy = samples(40, 256, np.float32)
    out = np.empty((40, 129), np.float32)
    for windows in [hard] * 3 + [easy] * 40 + [hard, easy, hard]:
        spectrum.amplitude(windows, out)
        expected = oracle.amplitude(windows, UNIT.fs, 256, 256, scale=0.5)[:, 0]
        assert oracle.deviation_db(out, expected) < 0.01


@pytest.mark.parametrize("slow", [True, False])
@pytest.mark.parametrize("nfft", NFFT_VALUES)
def test_a_strong_bin_does_not_blur_its_counterpart(oracle, variant, nfft, slow):
    """Bins k and nfft/2 - k are made of the same two values; a click is flat, and small beside a strong oscillation."""
    bins = np.array([[7.0], [7.3], [nfft // 5 + 0.1]])
    tones = np.cos(2 * np.pi * (bins if slow else nfft / 2 - bins) * np.arange(nfft) / nfft + 1)
    for share in (1e-3, 1e-4, 2e-5):
        windows = 1e4 * tones
        windows[:, nfft // 2] += 1e4 * share * nfft / 4
        windows = windows.astype(np.float32)
        out = compute(variant, windows)
        expected = oracle.amplitude(windows, UNIT.fs, nfft, nfft, scale=0.5)[:, 0]
        assert oracle.deviation_db(out, expected) < 0.01, share


def test_without_a_compiler_the_reason_is_said(tmp_path, monkeypatch):
    monkeypatch.delenv("CC", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert build.compiler() is None
    assert "no C compiler" in build.compile_kernel(tmp_path / "library.so")
    assert list(tmp_path.iterdir()) == []


def test_a_compiler_that_fails_leaves_no_library(tmp_path, monkeypatch):
    monkeypatch.setenv("CC", "false")
    assert "returned non-zero exit status" in build.compile_kernel(tmp_path / "library.so")
    assert list(tmp_path.iterdir()) == []
