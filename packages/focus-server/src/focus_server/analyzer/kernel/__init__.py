"""The compiled inner loop of the spectra; optional, chosen at run time for the processor that is there."""

from focus_server.analyzer.kernel.native import (
    NativeKernel,
    NativeTransform,
    kernel_name,
    native_kernel,
    native_kernels,
)

__all__ = ["NativeKernel", "NativeTransform", "kernel_name", "native_kernel", "native_kernels"]
