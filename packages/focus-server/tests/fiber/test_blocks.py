"""The codec: what is written is read, and whatever else arrives is refused with a sentence, never with a crash."""

import re
import string
import zlib
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from focus_server.errors import BlockError
from focus_server.fiber.blocks import Block, Message, decode, encode, group_count, group_range

INT64 = st.integers(0, 2**63 - 1)
NAME = string.ascii_letters + string.digits + "_-"


@st.composite
def blocks(draw: st.DrawFn) -> Block:
    group = draw(st.integers(0, 40))
    channels = draw(st.integers(1, 64))
    dtype = draw(st.sampled_from(["int16", "float32"]))
    seed = draw(st.integers(0, 2**32 - 1))
    raw = np.random.default_rng(seed).integers(-32768, 32767, (draw(st.integers(1, 20)), channels))
    return Block(
        site=draw(st.text(NAME, min_size=1, max_size=64)),
        group=group,
        epoch=draw(INT64),
        seq=draw(INT64),
        first_sample=draw(INT64),
        fs_num=draw(st.integers(1, 2**63 - 1)),
        fs_den=draw(st.integers(1, 2**63 - 1)),
        t0_ns=draw(INT64),
        ch_first=64 * group + 1,
        ch_last=64 * group + channels,
        dtype=dtype,
        scale=draw(st.sampled_from(["1", "0.0000856", "8.56E-7", "12.5"])),
        data=raw.astype("<i2" if dtype == "int16" else "<f4"),
    )


def a_message(**changes: Any) -> Message:
    data = np.arange(12, dtype="<i2").reshape(4, 3)
    block = Block("local", 2, 9, 5, 400, 249997, 125, 17, 129, 131, "int16", "0.5", data)
    key, headers, body = encode(block)
    return Message(key, headers | changes, body)


@settings(deadline=None, max_examples=60)
@given(blocks())
def test_round_trip(block: Block) -> None:
    message = encode(block)
    again = decode(*message)
    for name in Block.__slots__:
        if name != "data":
            assert getattr(again, name) == getattr(block, name)
    np.testing.assert_array_equal(again.data, block.data)
    assert all(type(value) in (int, str) for value in message.headers.values())


def test_the_wire_is_as_the_contract_says() -> None:
    key, headers, body = a_message()
    assert key == "fiber.local.2"
    assert body == b"".join(int(n).to_bytes(2, "little") for n in range(12))
    assert headers == {
        "schema": 1,
        "epoch": 9,
        "seq": 5,
        "first_sample": 400,
        "fs_num": 249997,
        "fs_den": 125,
        "t0_ns": 17,
        "ch_first": 129,
        "ch_last": 131,
        "dtype": "int16",
        "scale": "0.5",
        "crc32": zlib.crc32(body),
    }


def test_a_slice_of_a_wider_array_is_written_in_c_order() -> None:
    wide = np.arange(20, dtype="<i2").reshape(4, 5)
    block = Block("local", 0, 1, 0, 0, 1000, 1, 0, 1, 2, "int16", "1", wide[:, 1:3])
    np.testing.assert_array_equal(decode(*encode(block)).data, [[1, 2], [6, 7], [11, 12], [16, 17]])


ANYTHING = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=50),
    st.binary(max_size=50),
    st.lists(st.integers(), max_size=3),
)


@settings(deadline=None, max_examples=250)
@given(st.sampled_from(sorted(a_message().headers)), ANYTHING)
def test_a_hostile_header_is_refused_or_means_what_it_says(name: str, value: Any) -> None:
    message = a_message(**{name: value})
    try:
        block = decode(*message)
    except BlockError as error:
        assert len(str(error)) < 400  # noqa: PT017 - the property holds for both outcomes
        return
    assert type(value) in (int, str)
    if name not in ("schema", "crc32"):
        assert getattr(block, name) == value


@settings(deadline=None)
@given(st.dictionaries(st.text(max_size=12), ANYTHING, max_size=14), st.text(max_size=40), st.binary(max_size=200))
def test_garbage_is_refused(headers: dict[str, Any], key: str, body: bytes) -> None:
    with pytest.raises(BlockError):
        decode(key, headers, body)


@pytest.mark.parametrize("name", sorted(a_message().headers))
def test_every_header_is_needed(name: str) -> None:
    message = a_message()
    del message.headers[name]
    with pytest.raises(BlockError, match=f"no header {name}"):
        decode(*message)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"schema": 2}, "schema 2"),
        ({"epoch": 1.0}, "epoch is of type float"),
        ({"seq": True}, "seq is of type bool"),
        ({"seq": -1}, "out of range"),
        ({"t0_ns": 2**63}, "out of range"),
        ({"fs_num": 0}, "fs_num is out of range"),
        ({"ch_first": 128}, "begins at 129"),
        ({"ch_last": 193}, "at most 64"),
        ({"ch_last": 128}, "129 to 128"),
        ({"dtype": "int32"}, "int16 or float32"),
        ({"dtype": "float32", "ch_last": 132}, "need 16 a sample"),
        ({"scale": "0"}, "positive"),
        ({"scale": "nan"}, "decimal"),
        ({"scale": "1e999"}, "positive"),
        ({"scale": 1}, "must be a string"),
        ({"crc32": 1}, "altered"),
    ],
)
def test_wrong_headers(changes: dict[str, Any], sentence: str) -> None:
    with pytest.raises(BlockError, match=re.escape(sentence)):
        decode(*a_message(**changes))


@settings(deadline=None)
@given(st.integers(0, 23), st.integers(1, 255))
def test_every_altered_byte_is_found(place: int, flip: int) -> None:
    key, headers, body = a_message()
    altered = bytearray(body)
    altered[place] ^= flip
    with pytest.raises(BlockError, match="altered"):
        decode(key, headers, bytes(altered))


@pytest.mark.parametrize(
    "key", ["fiber.local", "fiber.local.x", "fiber..1", "fiber.a.b.1", "fiber.local.01", "metadata.local"]
)
def test_wrong_keys(key: str) -> None:
    with pytest.raises(BlockError, match="routing key"):
        decode(key, a_message().headers, a_message().body)


@settings(deadline=None)
@given(st.integers(1, 3000))
def test_groups_cover_all_channels_once(channels: int) -> None:
    ranges = [group_range(group, channels) for group in range(group_count(channels))]
    assert [n for low, high in ranges for n in range(low, high + 1)] == list(range(1, channels + 1))
    assert all(high - low < 64 for low, high in ranges)
