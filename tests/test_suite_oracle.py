"""The suites' own instruments, checked against slow and plain versions of the same definitions."""

from fractions import Fraction
from math import floor, isinf

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from suites.focus.grid import Grid
from suites.focus.oracle import Fibre, decibel, deviation_db, lut_codes
from suites.focus.strip import STRIP, read_rows
from suites.focus.websocket_tamper import WebSocketTamper, encode_frame


def fibre(**changes) -> Fibre:
    recording = np.random.default_rng(5).normal(size=(3, 70)) * 1e-7
    fields = {
        "recording": recording,
        "seed": 11,
        "scale": 1e-10,
        "dtype": "int16",
        "dc": 0.0,
        "nan_channels": frozenset(),
        "t0_ns": 0,
        "fs": Fraction(1000),
    }
    return Fibre(**{**fields, **changes})


def test_counts_are_the_formula_sample_by_sample():
    one = fibre()
    channel, first = 8, 65
    wanted = [
        round(one.gain(channel, n // 70) * one.recording[7 % 3, n % 70] / one.scale) for n in range(first, first + 150)
    ]
    assert one.counts(channel, first, 150).tolist() == wanted
    assert len({one.gain(channel, loop) for loop in range(50)}) == 50


def test_block_is_the_channels_side_by_side():
    one = fibre()
    body = np.frombuffer(one.block(2, 7, 60, 90), "<i2").reshape(90, 6)
    assert [body[:, i].tolist() for i in range(6)] == [one.counts(c, 60, 90).tolist() for c in range(2, 8)]


def test_float_fibre_keeps_dc_and_nan():
    one = fibre(dtype="float32", scale=1.0, dc=2.5, nan_channels=frozenset({2}))
    assert np.isnan(one.counts(2, 0, 10)).all()
    assert one.counts(1, 0, 10) == pytest.approx(one.gain(1, 0) * (one.recording[0, :10] + 2.5), rel=1e-6)


def test_amplitude_is_the_density_of_a_sine():
    n, k, a = 256, 20, 3.0
    wave = a * np.sin(2 * np.pi * k * np.arange(256) / n)[None, :]
    one = fibre(recording=wave, dtype="float32", scale=1.0)
    row = one.amplitude(1, 0, 1, n, 50)[0]
    power = (one.gain(1, 0) * a) ** 2 / 2
    assert (row**2).sum() * 1000 / n == pytest.approx(power, rel=1e-3)
    assert row.argmax() == k


def test_deviation_sees_a_hundredth_of_a_decibel_and_a_nan():
    wanted = np.array([1e-3, 1.0, 0.5, 1e-7])
    assert deviation_db(wanted * 10 ** (0.02 / 20), wanted, 0) == pytest.approx(0.02)
    assert deviation_db(wanted * [5, 1, 1, 9], wanted, 0) == 0.0  # bin 0 and what is 100 dB down do not count
    assert isinf(deviation_db(np.array([1e-3, np.nan, 0.5, 1e-7]), wanted, 0))


@given(st.floats(1e-12, 1e3), st.floats(-200, 0), st.floats(1, 150))
def test_lut_codes_are_the_definition(value, low, span):
    code = floor(256 * (float(decibel(np.array([value]))[0]) - low) / (low + span - low))
    assert lut_codes(np.array([value]), low, low + span)[0] == min(max(code, 0), 255)


@given(st.integers(0, 10**9), st.sampled_from([Fraction(1000), Fraction(1999976, 1000), Fraction(2000)]))
def test_every_sample_lies_in_its_block(sample, fs):
    grid = Grid(0, fs, 0, 50, 256)
    block = grid.block_of(sample)
    assert grid.block_start(block) <= sample < grid.block_start(block + 1)


def test_rows_blocks_and_times_of_a_grid():
    grid = Grid(10**18, Fraction(1000), 100, 50, 256)
    assert grid.samples(3) == (5150, 5406)
    assert list(grid.blocks(3)) == [51, 52, 53, 54]
    assert grid.due_ns(3) == 10**18 + 5_406_000_000
    assert grid.stamp_ms(3) == 10**12 + 5150 + 128
    assert grid.row_at(grid.due_ns(3)) == 3
    assert grid.row_at(grid.due_ns(3) - 1) == 2


def test_strips_are_read_and_damaged_ones_left_out():
    picture = np.zeros((4, STRIP + 5, 3), np.uint8)
    for y, number in enumerate([5, 2**31 - 1, 77]):
        bits = [(number >> (30 - j)) & 1 for j in range(31)]
        bits.append(1 - sum(bits) % 2)
        picture[y, :STRIP] = np.array(bits)[:, None] * 255
        picture[y, STRIP:] = y + 40
    picture[2, 3] = 128
    rows = read_rows(picture)
    assert [row.row_index for row in rows] == [5, 2**31 - 1]
    assert rows[1].codes.tolist() == [41] * 5
    assert not rows[0].colours_differ


@given(st.lists(st.binary(max_size=70_000), max_size=4), st.integers(1, 300))
def test_tamper_edits_binary_messages_only_however_they_are_cut(payloads, cut):
    head = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n"
    text = encode_frame(0x81, b'{"type":"filling"}')
    stream = head + text + b"".join(encode_frame(0x82, payload) for payload in payloads)
    tamper = WebSocketTamper(lambda payload: payload + b"!")
    got = b"".join(tamper(stream[i : i + 211 * cut]) for i in range(0, len(stream), 211 * cut))
    assert got == head + text + b"".join(encode_frame(0x82, payload + b"!") for payload in payloads)


def test_tamper_leaves_plain_http_alone():
    answer = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi"
    tamper = WebSocketTamper(lambda payload: b"")
    assert tamper(answer) == answer
