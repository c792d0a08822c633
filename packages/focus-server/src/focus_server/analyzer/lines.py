"""Samples of some channels become lines: the one way in which live and historic views compute."""

from numpy.lib.stride_tricks import sliding_window_view

from focus_server.analyzer.grid import LineGrid
from focus_server.analyzer.kernel import native_kernel
from focus_server.analyzer.spectrum import Float32, Samples, Spectrum, Unit, root_mean_square


class LineMaker:
    """Computes lines of any grid. It owns buffers: one thread at a time may use it."""

    def __init__(self, unit: Unit) -> None:
        self._unit = unit
        self._spectra: dict[int, Spectrum] = {}

    def make(self, segment: Samples, grid: LineGrid, values: Float32) -> None:
        """Compute consecutive lines from `segment` [channel, time] into `values` [line, channel, value].

        The segment begins with the first line's first sample and ends with the last line's last one.
        """
        if grid.nfft is None:
            for index, target in enumerate(values):
                part = segment[:, index * grid.hop : index * grid.hop + grid.span]
                target[:, 0] = root_mean_square(part, self._unit)
        else:
            self._transform(segment, grid, self._spectrum(grid.nfft), values)

    def _transform(self, segment: Samples, grid: LineGrid, spectrum: Spectrum, values: Float32) -> None:
        starts = grid.window_starts()
        windows = sliding_window_view(segment, spectrum.nfft, axis=1)
        if len(starts) > 1:
            for index, target in enumerate(values):
                subwindows = windows[:, [index * grid.hop + start for start in starts]]
                spectrum.mean_power_amplitude(subwindows.swapaxes(0, 1), target)
            return
        windows = windows[:, :: grid.hop]
        if len(segment) < len(values):  # the longer axis is the one that is worked on at once
            spectrum.amplitude(windows, values.swapaxes(0, 1))
        else:
            spectrum.amplitude(windows.swapaxes(0, 1), values)

    def _spectrum(self, nfft: int) -> Spectrum:
        if nfft not in self._spectra:
            self._spectra[nfft] = Spectrum(nfft, self._unit, native_kernel())
        return self._spectra[nfft]
