"""Rows and the message that carries them."""

import numpy as np
import pytest

from focus_server.analyzer.rows import Batch, Row, Shape
from focus_server.proto import DataStream

SHAPE = Shape(first_channel=5, last_channel=6, x=3, z=2, job_serial=17)


def row(index, values):
    return Row.of(index, 1000 + index, np.array(values, np.float32))


def test_a_message_holds_what_the_contract_says():
    batch = Batch(SHAPE, (row(3, [[1, 2, 3], [4, 5, 6]]), row(5, [[0.5, 2, 3], [4, 5, 7]])))
    message = DataStream.FromString(batch.message)
    assert (message.start_channel, message.end_channel, message.job_id) == (5, 6, 17)
    assert (message.data_shape_x, message.data_shape_y, message.data_shape_z) == (3, 2, 2)
    assert list(message.row_index) == [3, 5]
    assert list(message.timestamp_in_milis) == [1003, 1005]
    assert (message.global_minimum, message.global_maximum) == (0.5, 7)
    assert message.main_data[1] == np.array([0.5, 2, 3, 4, 5, 7], "<f4").tobytes()


def test_a_waterfall_has_no_z():
    message = DataStream.FromString(Batch(Shape(1, 3, 3, None, 1), (row(0, [[1], [2], [3]]),)).message)
    assert not message.HasField("data_shape_z")
    assert len(message.main_data[0]) == 12


@pytest.mark.parametrize(
    ("values", "extremes"),
    [
        ([[np.nan, 2, 3], [np.nan, 5, 6]], (2, 6)),
        ([[np.inf, 2, 3], [4, 5, -np.inf]], (2, 5)),
        ([[np.nan] * 3, [np.nan] * 3], (0, 0)),
    ],
)
def test_extremes_are_over_the_finite_values(values, extremes):
    message = DataStream.FromString(Batch(SHAPE, (row(0, values),)).message)
    assert (message.global_minimum, message.global_maximum) == extremes


def test_a_row_without_finite_values_does_not_hide_another_one():
    batch = Batch(SHAPE, (row(0, [[np.nan] * 3] * 2), row(1, [[1, 2, 3], [4, 5, 6]])))
    message = DataStream.FromString(batch.message)
    assert (message.global_minimum, message.global_maximum) == (1, 6)


def test_a_slice_of_a_larger_array_becomes_a_row_in_c_order():
    values = np.arange(40, dtype=np.float32).reshape(4, 10)
    assert Row.of(0, 0, values[1:3, 2:5]).data == np.array([[12, 13, 14], [22, 23, 24]], "<f4").tobytes()


def test_batches_are_joined_in_order_and_a_single_one_is_itself():
    first, second = (Batch(SHAPE, (row(n, [[n] * 3] * 2),)) for n in (1, 2))
    assert Batch.joined([first]) is first
    joined = Batch.joined([first, second])
    assert list(DataStream.FromString(joined.message).row_index) == [1, 2]
    assert joined.size == first.size + second.size == 48
