"""Every value on the wire against SciPy on the source, for all ten NFFT values.

Meant for the stack's profile `hostile`: float32 with an offset far above the signal, dead channels, 1999.976 samples/s.
"""

import anyio
import numpy as np
import pytest
from anyio.from_thread import start_blocking_portal
from numpy.typing import NDArray

from fullspan.clients import DataStream, FocusClient, Job, open_stream
from fullspan.pytest_plugin import Evidence
from suites.focus.grid import Grid
from suites.focus.oracle import TOLERANCE_DB, Fibre, deviation_db

NFFT_VALUES = (128, 256, 512, 1024, 2048, 4096, 8192, 16384, 32768, 65536)
CHANNELS = (63, 72)  # of two block groups, with dead ones among them in the profile
ROWS = 5
GRACE_S = 60.0


async def first_messages(job: Job, rows: int) -> list[DataStream]:
    """Return the first messages of a job's stream, with at least so many rows."""
    messages: list[DataStream] = []
    with anyio.fail_after(job.ready_in_s + GRACE_S):
        async with open_stream(job.host, job.stream_port) as call:
            async for message in call:
                messages.append(message)
                if sum(len(seen.row_index) for seen in messages) >= rows:
                    break
    return messages


def finite_extremes(rows: list[NDArray[np.float32]]) -> tuple[float, float]:
    values = np.concatenate([row.ravel() for row in rows])
    values = values[np.isfinite(values)]
    return float(values.min()), float(values.max())


@pytest.mark.values
@pytest.mark.e2e
@pytest.mark.parametrize("nfft", NFFT_VALUES)
def test_every_value_is_scipys(focus: FocusClient, fibre: Fibre, evidence: Evidence, nfft: int) -> None:
    job = focus.configure(CHANNELS, nfft=nfft, lines_per_second=20)
    if job.ready_in_s > 2:
        evidence.say(f"NFFT {nfft}: waiting {job.ready_in_s:.0f} s for the ring to hold a window")
    grid = Grid.of(job)
    first, last = CHANNELS
    worst, compared, dead = 0.0, 0, 0
    with start_blocking_portal() as portal:
        messages = portal.call(first_messages, job, ROWS)
    for message in messages:
        assert (message.start_channel, message.end_channel) == (first, last)
        assert (message.data_shape_x, message.data_shape_z) == (nfft // 2 + 1, last - first + 1)
        rows = [np.frombuffer(data, "<f4").reshape(last - first + 1, -1) for data in message.main_data]
        for number, stamp, row in zip(message.row_index, message.timestamp_in_milis, rows, strict=True):
            assert stamp == grid.stamp_ms(number)
            start, _ = grid.samples(number)
            for channel, values in zip(range(first, last + 1), row, strict=True):
                if channel in fibre.nan_channels:
                    assert np.isnan(values).all(), f"dead channel {channel} has values"
                    dead += 1
                    continue
                wanted = fibre.amplitude(channel, start, 1, nfft, grid.hop)[0]
                worst = max(worst, deviation_db(values, wanted, 0))
                compared += 1
        low, high = finite_extremes(rows)
        assert (message.global_minimum, message.global_maximum) == (low, high)
        assert low >= 0
    focus.cancel(job.job_id)
    evidence.figure(f"NFFT {nfft}: worst deviation over {compared} channel rows", worst, "dB")
    assert worst <= TOLERANCE_DB
    assert compared >= ROWS * (last - first + 1 - len(fibre.nan_channels))
    assert dead >= ROWS * len(fibre.nan_channels & set(range(first, last + 1)))
