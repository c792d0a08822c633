"""A source as a SEG-Y rev 2 file: IEEE float, one trace for each channel."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import numpy as np
import segyio
from numpy.typing import NDArray

from focus_server.recordings.segy import HEAD, TEXT, patched_head, stanza_records, trace_header
from focus_server.recordings.source import Source

__all__ = ["write_segy"]

_AT_A_TIME: Final = 64 * 2**20
"""Bytes of traces that are turned from [time, channel] to [channel, time] at once, or one trace when it is longer."""
_CHUNK: Final = 64
"""Channels that lie together in a recording."""


def write_segy(source: Source, path: Path, progress: Callable[[int, int], None] = lambda done, total: None) -> None:
    """Write a source to `path`, whole and on the disk when this returns.

    `progress` is told how many of how many traces are done. Raises OSError when the disk does not take it, and
    `RecordingError` when a source cannot be read.
    """
    entry = source.entry
    records = stanza_records(entry, source.gaps)
    spec = segyio.spec()
    spec.format = 5
    spec.tracecount = entry.channels
    spec.ext_headers = len(records)
    spec.samples = np.broadcast_to(np.float64(0), (entry.samples,))
    with segyio.create(path, spec) as file:
        step = _columns_at_a_time(entry.samples)
        for low in range(1, entry.channels + 1, step):
            high = min(entry.channels, low + step - 1)
            for column, trace in enumerate(_traces(source, low, high), low - 1):
                file.header[column] = trace_header(entry, column, bool(np.isnan(trace).all()))
                file.trace[column] = trace
            progress(high, entry.channels)
    _finish(path, source, records)


def _columns_at_a_time(samples: int) -> int:
    fit = max(1, _AT_A_TIME // (samples * 4))
    return fit // _CHUNK * _CHUNK or fit


def _traces(source: Source, low: int, high: int) -> NDArray[Any]:
    """Give float32 [channel, time] of some columns, both included; what is missing is NaN."""
    entry = source.entry
    samples = source.read(entry.first_sample, entry.end_sample, low, high)
    traces = np.ascontiguousarray(samples.T, dtype=np.float32)
    for begin, end, first, last in source.gaps.tolist():
        columns = slice(max(0, first - low), max(0, last + 1 - low))
        traces[columns, begin - entry.first_sample : end - entry.first_sample] = np.nan
    return traces


def _finish(path: Path, source: Source, records: list[bytes]) -> None:
    """Write the headers that the library does not know, and wait until everything is on the disk."""
    entry = source.entry
    handle = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    try:
        head = patched_head(os.pread(handle, HEAD, 0), entry, len(records))
        content = head + b"".join(records)
        written = os.pwrite(handle, content, 0)
        expected = HEAD + len(records) * TEXT + entry.channels * (240 + 4 * entry.samples)
        if written != len(content) or os.fstat(handle).st_size != expected:
            raise OSError(f"the disk took {os.fstat(handle).st_size} of {expected} bytes")
        os.fsync(handle)
    finally:
        os.close(handle)
