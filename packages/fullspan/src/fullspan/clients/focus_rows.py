"""The rows of a stream's message as arrays."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fullspan.clients.errors import NotUnderstood
from fullspan.clients.pandadatastream_pb2 import DataStream


@dataclass(frozen=True, slots=True, eq=False)
class Row:
    """One line of a stream: its number since the job's first line, its time in ms since 1970 (UTC), its amplitudes.

    `values` is [channel, bin], the first channel being `first_channel`; a waterfall's is [1, channel]. NaN: not there.
    """

    index: int
    time_ms: int
    first_channel: int
    values: NDArray[np.float32]


def rows_of(message: DataStream) -> Iterator[Row]:
    """Give the rows of a message, oldest first. Raises `NotUnderstood` when they do not have the shape it says."""
    shape = (message.data_shape_z or 1, message.data_shape_x)
    try:
        for index, time_ms, data in zip(message.row_index, message.timestamp_in_milis, message.main_data, strict=True):
            yield Row(index, time_ms, message.start_channel, np.frombuffer(data, "<f4").reshape(shape))
    except ValueError as error:
        raise NotUnderstood(
            f"a message of rows {list(message.row_index)[:5]} is not what the contract says: {error}"
        ) from error
