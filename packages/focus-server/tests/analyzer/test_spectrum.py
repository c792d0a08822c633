"""Every value against SciPy in float64, for every NFFT and for the signals that are hard on float32."""

from fractions import Fraction

import numpy as np
import pytest
from numpy.lib.stride_tricks import sliding_window_view

from focus_server.analyzer.kernel import native_kernel
from focus_server.analyzer.spectrum import Spectrum, Unit, root_mean_square
from focus_server.contract import NFFT_VALUES

FS = Fraction(1999976, 1000)


def noise(channels, samples):
    return np.random.default_rng(channels + samples).standard_normal((channels, samples))


def tone(samples):
    return np.sin(2 * np.pi * 0.1234567 * np.arange(samples))


SIGNALS = {
    "int16": lambda c, n: (noise(c, n) * 3000).astype(np.int16),
    "int16 far from zero": lambda c, n: (noise(c, n) * 3 + 30000).astype(np.int16),
    "float32": lambda c, n: noise(c, n).astype(np.float32),
    "offset of a million sigma": lambda c, n: (noise(c, n) + 1e6).astype(np.float32),
    "tiny": lambda c, n: (noise(c, n) * 1e-12).astype(np.float32),
    "tone 100 dB above noise": lambda c, n: (noise(c, n) * 1e-2 + tone(n) * 1e3).astype(np.float32),
    "drift": lambda c, n: np.cumsum(noise(c, n), axis=1).astype(np.float32),
    "outlier where the window is zero": lambda c, n: (noise(c, n) + 1e6 * (np.arange(n) % 128 == 0)).astype(np.float32),
}


def spectra(samples, nfft, hop, scale=1.0):
    windows = sliding_window_view(samples, nfft, axis=1)[:, ::hop]
    out = np.empty((*windows.shape[:2], nfft // 2 + 1), np.float32)
    Spectrum(nfft, Unit(FS, scale), native_kernel()).amplitude(windows, out)
    return out


@pytest.mark.parametrize("signal", SIGNALS)
@pytest.mark.parametrize("nfft", NFFT_VALUES)
def test_every_bin_agrees_with_scipy(oracle, nfft, signal):
    samples = SIGNALS[signal](max(2, 16384 // nfft), 3 * nfft)
    out = spectra(samples, nfft, nfft // 2)
    expected = oracle.amplitude(samples, FS, nfft, nfft // 2)
    assert out.shape == expected.shape
    assert oracle.deviation_db(out, expected) < 0.01
    assert (out >= 0).all()


@pytest.mark.soak
def test_ten_million_bins_of_noise_agree_with_scipy(oracle):
    samples = (noise(40, 256_000) * 3000).astype(np.int16)
    out = spectra(samples, 1024, 512)
    assert out[..., 1:].size > 10_000_000
    assert oracle.deviation_db(out, oracle.amplitude(samples, FS, 1024, 512)) < 0.01


def test_the_scale_turns_counts_into_the_physical_unit(oracle):
    samples = (noise(2, 1024) * 3000).astype(np.int16)
    out = spectra(samples, 256, 128, scale=2.5e-9)
    assert oracle.deviation_db(out, oracle.amplitude(samples, FS, 256, 128, scale=2.5e-9)) < 0.01


def test_a_constant_is_silence():
    out = spectra(np.full((3, 512), 12345, np.int16), 256, 128)
    assert (out == 0).all()


def test_a_window_that_holds_one_value_that_is_not_finite_is_nan_and_no_other():
    samples = noise(4, 512).astype(np.float32)
    samples[1, 300], samples[2, 300] = np.nan, np.inf
    out = spectra(samples, 256, 256)
    assert np.isnan(out[1, 1]).all()
    assert np.isnan(out[2, 1]).all()
    assert np.isfinite(out[[0, 3]]).all()
    assert np.isfinite(out[:, 0]).all()


def test_mean_power_is_the_mean_of_the_powers(oracle):
    samples = noise(3, 256 * 4).astype(np.float32)
    windows = np.stack([samples[:, start : start + 256] for start in (0, 300, 700)])
    out = np.empty((3, 129), np.float32)
    Spectrum(256, Unit(FS, 1.0), native_kernel()).mean_power_amplitude(windows, out)
    each = np.stack([oracle.amplitude(window, FS, 256, 256)[:, 0] for window in windows])
    assert oracle.deviation_db(out, np.sqrt((each**2).mean(axis=0))) < 0.01


@pytest.mark.parametrize("offset", [0, 1e6])
def test_the_waterfall_is_the_standard_deviation(offset):
    samples = (noise(5, 300) + offset).astype(np.float32)
    expected = samples.astype(np.float64).std(axis=1) * 0.5
    np.testing.assert_allclose(root_mean_square(samples, Unit(FS, 0.5)), expected, rtol=1e-6)


def test_the_waterfall_of_a_channel_with_nan_is_nan():
    samples = noise(2, 100).astype(np.float32)
    samples[1, 7] = np.nan
    out = root_mean_square(samples, Unit(FS, 1.0))
    assert np.isfinite(out[0])
    assert np.isnan(out[1])
