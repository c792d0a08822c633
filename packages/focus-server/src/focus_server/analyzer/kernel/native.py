"""The compiled kernel as Python sees it: found beside this file, checked, and given its tables."""

import ctypes
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from focus_server.analyzer.kernel.build import LIBRARY

_SCHEMA: Final = 3
_LEVELS: Final = ((2, "AVX-512"), (1, "AVX2"), (0, "plain C"))
_VECTOR_BYTES: Final = 64
_SPARE_VECTORS: Final = 32


class _Plan(ctypes.Structure):
    """`focus_plan` of spectra.h."""

    _fields_ = (
        ("nfft", ctypes.c_int32),
        ("factor", ctypes.c_double),
        ("shadow", ctypes.c_double),
        ("window", ctypes.c_void_p),
        ("twiddle", ctypes.c_void_p),
        ("rotation", ctypes.c_void_p),
        ("order", ctypes.c_void_p),
    )


_Function = ctypes.CFUNCTYPE(
    None,
    ctypes.POINTER(_Plan),
    ctypes.c_void_p,
    ctypes.c_int32,
    ctypes.c_int64,
    ctypes.c_void_p,
    ctypes.c_void_p,
    ctypes.c_void_p,
    ctypes.c_void_p,
)


@dataclass(frozen=True)
class NativeKernel:
    """The kernel for one kind of processor, in both precisions; calling it releases Python's lock."""

    name: str
    single: Any
    double: Any


def native_kernels() -> list[NativeKernel]:
    """Give those that this build has and this processor runs, the fastest first; none without a library."""
    try:
        library = ctypes.CDLL(str(Path(__file__).with_name(LIBRARY)))
    except OSError:
        return []
    if library.focus_spectra_schema() != _SCHEMA:
        return []
    variant = library.focus_spectra_variant
    variant.restype, variant.argtypes = ctypes.c_void_p, [ctypes.c_int32, ctypes.c_int32]
    found = [(name, variant(level, 0), variant(level, 1)) for level, name in _LEVELS]
    return [NativeKernel(name, _Function(single), _Function(double)) for name, single, double in found if single]


@cache
def native_kernel() -> NativeKernel | None:
    """Give the fastest variant, or None when the kernel was not compiled."""
    return next(iter(native_kernels()), None)


def kernel_name() -> str:
    """Say what spectra are computed with."""
    kernel = native_kernel()
    return "SciPy" if kernel is None else kernel.name


class NativeTransform:
    """Amplitudes of windows of one length. It owns its buffers: one thread at a time may use it.

    `hann` is the periodic Hann window [nfft], by which the kernel knows how it leaks a mean, and `factor` is what turns
    the magnitude of a bin into its amplitude; `double` chooses the precision of everything in between. A bin below
    `shadow` times its counterpart nfft/2 - k makes a window weak.
    """

    def __init__(
        self, kernel: NativeKernel, hann: NDArray[np.float64], factor: float, shadow: float, *, double: bool
    ) -> None:
        nfft = len(hann)
        self._run = kernel.double if double else kernel.single
        real = np.float64 if double else np.float32
        # The plan points into these.
        self._window = hann.astype(real)
        self._twiddle = _twiddle(nfft // 2).astype(real)
        self._rotation = _as_pairs(np.exp(-2j * np.pi * np.arange(nfft // 4 + 1) / nfft)).astype(real)
        self._order = _order(nfft // 2).astype(np.int32)
        self._work = _aligned((nfft + nfft // 2 + _SPARE_VECTORS) * _VECTOR_BYTES)
        self._plan = _Plan(
            nfft,
            factor,
            shadow**2,
            self._window.ctypes.data,
            self._twiddle.ctypes.data,
            self._rotation.ctypes.data,
            self._order.ctypes.data,
        )

    def __call__(self, windows: NDArray[Any], out: NDArray[np.float32]) -> NDArray[np.float32]:
        """Compute `windows` [..., nfft] of int16 or float32 into `out` [..., nfft/2 + 1].

        Returns for each window [...] its smallest magnitude but bin 0's over the root mean square of all, and 0 when a
        bin lies in the shadow of its counterpart.
        """
        if windows.strides[-1] != windows.itemsize or out.strides[-1] != out.itemsize:
            windows, packed = np.ascontiguousarray(windows), np.empty(out.shape, np.float32)
            weakness = self(windows, packed)
            out[...] = packed
            return weakness
        offsets = _offsets(windows) // windows.itemsize
        places = _offsets(out) + out.ctypes.data
        weakness = np.empty(windows.shape[:-1], np.float32)
        self._run(
            self._plan,
            windows.ctypes.data,
            windows.dtype == np.float32,
            offsets.size,
            offsets.ctypes.data,
            places.ctypes.data,
            weakness.ctypes.data,
            self._work.ctypes.data,
        )
        return weakness


def _offsets(array: NDArray[Any]) -> NDArray[np.int64]:
    """Give where each row of an array begins, in bytes behind its first one."""
    offsets = np.zeros((), np.int64)
    for size, stride in zip(array.shape[:-1], array.strides[:-1], strict=True):
        offsets = offsets[..., None] + np.arange(size, dtype=np.int64) * stride
    return np.ascontiguousarray(offsets).reshape(-1)


def _twiddle(half: int) -> NDArray[np.float64]:
    """Give the factors of all passes of radix 4, from the longest block down to four values."""
    tables, size = [], half
    while size >= 4:
        powers = np.arange(size // 4)[:, None] * np.array([1, 2, 3])
        tables.append(_as_pairs(np.exp(-2j * np.pi * powers / size)))
        size //= 4
    return np.concatenate(tables)


def _order(half: int) -> NDArray[np.int64]:
    """Give where a transform in place leaves each value: its number's digits to the base of four, turned round."""
    if half <= 2:
        return np.arange(half)
    value = np.arange(half)
    return (value % 4) * (half // 4) + _order(half // 4)[value // 4]


def _as_pairs(values: NDArray[np.complex128]) -> NDArray[np.float64]:
    return np.stack((values.real, values.imag), axis=-1).reshape(-1)


def _aligned(size: int) -> NDArray[np.uint8]:
    raw = np.empty(size + _VECTOR_BYTES, np.uint8)
    skip = -raw.ctypes.data % _VECTOR_BYTES
    return raw[skip : skip + size]
