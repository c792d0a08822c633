"""Rows of a message as arrays."""

import numpy as np
import pytest

from fullspan.clients import DataStream, NotUnderstood, rows_of


def message(values, **shape):
    return DataStream(
        start_channel=7,
        row_index=[4, 6],
        timestamp_in_milis=[1_700_000_000_000, 1_700_000_000_100],
        main_data=[values.astype("<f4").tobytes(), (values + 10).astype("<f4").tobytes()],
        **shape,
    )


def test_rows_are_channels_by_bins():
    values = np.arange(6.0).reshape(2, 3)
    first, second = rows_of(message(values, data_shape_x=3, data_shape_y=2, data_shape_z=2))
    assert (first.index, first.time_ms, first.first_channel) == (4, 1_700_000_000_000, 7)
    assert (second.index, second.values.dtype) == (6, np.float32)
    np.testing.assert_array_equal(first.values, values)
    np.testing.assert_array_equal(second.values, values + 10)


def test_a_waterfall_is_one_row_of_channels():
    first, _ = rows_of(message(np.arange(5.0), data_shape_x=5, data_shape_y=2))
    np.testing.assert_array_equal(first.values, [[0, 1, 2, 3, 4]])


@pytest.mark.parametrize("shape", [{"data_shape_x": 4}, {"data_shape_x": 5, "data_shape_z": 2}])
def test_a_row_of_another_size_is_not_understood(shape):
    with pytest.raises(NotUnderstood, match=r"a message of rows \[4, 6\]"):
        list(rows_of(message(np.arange(5.0), **shape)))


def test_a_message_without_all_its_rows_is_not_understood():
    broken = message(np.arange(5.0), data_shape_x=5)
    del broken.main_data[1]
    with pytest.raises(NotUnderstood, match="zip"):
        list(rows_of(broken))
