"""Live blocks on AMQP: 100 ms of up to 64 channels as routing key, headers and body, and back, nothing believed.

Headers are integers and strings only, because AMQP client libraries write Python floats in 32 bits: a rate of 1999.976
would arrive as 1999.97595.
"""

import re
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from focus_server.errors import BlockError

SCHEMA: Final = 1
GROUP_CHANNELS: Final = 64
MAX_BODY_BYTES: Final = 4 * 1024 * 1024
WIRE_DTYPES: Final[Mapping[str, np.dtype[Any]]] = {"int16": np.dtype("<i2"), "float32": np.dtype("<f4")}

_KEY: Final = re.compile(r"fiber\.([A-Za-z0-9_-]{1,64})\.(0|[1-9][0-9]{0,5})")
_SCALE: Final = re.compile(r"[0-9]{1,40}(\.[0-9]{1,40})?([eE][+-]?[0-9]{1,3})?")
_INT64: Final = 2**63 - 1

Header = int | str


class Message(NamedTuple):
    """What is published: nothing in it needs a broker's client library."""

    routing_key: str
    headers: dict[str, Header]
    body: bytes


@dataclass(frozen=True, slots=True)
class Block:
    """100 ms of a group of channels.

    `data` is [time, channel] in counts (int16) or in the physical unit (float32); physical value = data * float(scale).
    Channel numbers begin at 1, `ch_last` is included. Sample `first_sample` + i is taken at
    t0_ns + (first_sample + i) * 10^9 * fs_den / fs_num ns since 1970 (UTC). `epoch` is the publisher's run, `seq`
    counts the blocks of this group in it.
    """

    site: str
    group: int
    epoch: int
    seq: int
    first_sample: int
    fs_num: int
    fs_den: int
    t0_ns: int
    ch_first: int
    ch_last: int
    dtype: str
    scale: str
    data: NDArray[Any]

    @property
    def samples(self) -> int:
        """Number of samples of each channel."""
        return int(self.data.shape[0])


def routing_key(site: str, group: int) -> str:
    """Return the key under which a group's blocks are published."""
    return f"fiber.{site}.{group}"


def group_range(group: int, channels: int) -> tuple[int, int]:
    """Return the first and last channel number of a group on a fibre of `channels` channels."""
    return group * GROUP_CHANNELS + 1, min((group + 1) * GROUP_CHANNELS, channels)


def group_count(channels: int) -> int:
    """Return the number of groups that a fibre of `channels` channels has."""
    return -(-channels // GROUP_CHANNELS)


def encode(block: Block) -> Message:
    """Write a block as a message; the body is `data` in C order, little-endian."""
    body = np.ascontiguousarray(block.data, dtype=WIRE_DTYPES[block.dtype]).tobytes()
    headers: dict[str, Header] = {
        "schema": SCHEMA,
        "epoch": block.epoch,
        "seq": block.seq,
        "first_sample": block.first_sample,
        "fs_num": block.fs_num,
        "fs_den": block.fs_den,
        "t0_ns": block.t0_ns,
        "ch_first": block.ch_first,
        "ch_last": block.ch_last,
        "dtype": block.dtype,
        "scale": block.scale,
        "crc32": zlib.crc32(body),
    }
    return Message(routing_key(block.site, block.group), headers, body)


def decode(key: str, headers: Mapping[str, Any], body: bytes) -> Block:
    """Read a message as a block; `data` is a read-only view of `body`.

    Whatever does not follow the contract raises BlockError: a missing header, a header of another type (floats and
    booleans included), numbers out of range, a body that does not fit its headers or its crc32.
    """
    site, group = _read_key(key)
    schema = _integer(headers, "schema", 1)
    if schema != SCHEMA:
        raise BlockError(f"A block has schema {schema}, this program reads {SCHEMA}; update the older side.")
    ch_first, ch_last = _read_channels(headers, group)
    dtype = _text(headers, "dtype")
    if dtype not in WIRE_DTYPES:
        raise BlockError(f"A block of group {group} has dtype {dtype[:20]!r}; it must be int16 or float32.")
    return Block(
        site=site,
        group=group,
        epoch=_integer(headers, "epoch", 0),
        seq=_integer(headers, "seq", 0),
        first_sample=_integer(headers, "first_sample", 0),
        fs_num=_integer(headers, "fs_num", 1),
        fs_den=_integer(headers, "fs_den", 1),
        t0_ns=_integer(headers, "t0_ns", 0),
        ch_first=ch_first,
        ch_last=ch_last,
        dtype=dtype,
        scale=_read_scale(headers),
        data=_read_body(headers, body, ch_last - ch_first + 1, WIRE_DTYPES[dtype]),
    )


def _read_key(key: str) -> tuple[str, int]:
    match = _KEY.fullmatch(key)
    if match is None:
        raise BlockError(f"The routing key {key[:80]!r} is not one of a block (fiber.SITE.GROUP).")
    return match[1], int(match[2])


def _read_channels(headers: Mapping[str, Any], group: int) -> tuple[int, int]:
    first, last = _integer(headers, "ch_first", 1), _integer(headers, "ch_last", 1)
    begin = group * GROUP_CHANNELS + 1
    if first != begin or not first <= last < begin + GROUP_CHANNELS:
        raise BlockError(
            f"A block of group {group} names channels {first} to {last};"
            f" the group begins at {begin} and has at most {GROUP_CHANNELS}."
        )
    return first, last


def _read_scale(headers: Mapping[str, Any]) -> str:
    scale = _text(headers, "scale")
    if not _SCALE.fullmatch(scale) or not 0 < float(scale) < float("inf"):
        raise BlockError(f"A block's scale {scale[:40]!r} is not a positive decimal number.")
    return scale


def _read_body(headers: Mapping[str, Any], body: bytes, channels: int, dtype: np.dtype[Any]) -> NDArray[Any]:
    row = channels * dtype.itemsize
    if not body or len(body) % row or len(body) > MAX_BODY_BYTES:
        raise BlockError(
            f"A block's body has {len(body)} bytes; {channels} channels of {dtype.name} need {row} a sample."
        )
    announced = _integer(headers, "crc32", 0)
    if zlib.crc32(body) != announced:
        raise BlockError(f"A block's body has crc32 {zlib.crc32(body)}, its header says {announced}: it was altered.")
    return np.frombuffer(body, dtype).reshape(-1, channels)


def _integer(headers: Mapping[str, Any], name: str, low: int) -> int:
    value = _present(headers, name)
    if type(value) is not int:
        raise BlockError(f"A block's header {name} is of type {type(value).__name__}; it must be an integer.")
    if not low <= value <= _INT64:
        raise BlockError(f"A block's header {name} is out of range; it must lie in {low} to {_INT64}.")
    return value


def _text(headers: Mapping[str, Any], name: str) -> str:
    value = _present(headers, name)
    if not isinstance(value, str):
        raise BlockError(f"A block's header {name} is of type {type(value).__name__}; it must be a string.")
    return value


def _present(headers: Mapping[str, Any], name: str) -> Any:
    try:
        return headers[name]
    except KeyError:
        raise BlockError(f"A block has no header {name}.") from None
