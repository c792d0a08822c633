"""SEG-Y files: ours to the last bit and as the standard lays them out, and those of other programs as they are."""

import os
import struct
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import segyio
from hypothesis import given, settings
from hypothesis import strategies as st

from focus_server.errors import FocusError, RecordingError
from focus_server.recordings.export import write_export
from focus_server.recordings.import_file import open_sources
from focus_server.recordings.segy import parse_stanza, stanza_records
from focus_server.recordings.segy_read import SegySource, is_segy
from focus_server.recordings.source import ArraySource
from focus_server.recordings.told import Told

ODD = (249997, 125)
"""1999.976 samples/s."""


def everything(source):
    return source.read(source.entry.first_sample, source.entry.end_sample, 1, source.entry.channels)


def described(entry):
    return entry.model_copy(update={"base_path": "", "path": None})


@pytest.mark.parametrize("name", ["out.sgy", "out.h5"])
@pytest.mark.parametrize("rate", [ODD, (2000, 1), (3000, 1), (1, 7)])
@pytest.mark.parametrize("dtype", ["int16", "float32"])
def test_what_was_exported_is_imported_to_the_last_bit(tmp_path, name, rate, dtype, make_source):
    source = make_source(rate=rate, dtype=dtype, gaps=[(5, 9, 1, 3), (100, 400, 2, 5)])
    write_export(source, tmp_path / name)
    ((found,), notes) = open_sources(tmp_path / name)
    assert described(found.entry) == source.entry
    assert everything(found).dtype == source.data.dtype
    assert everything(found).tobytes() == source.data.tobytes()
    assert np.array_equal(found.gaps, source.gaps)
    assert notes == []
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_more_samples_than_16_bits_count_and_a_rate_that_whole_microseconds_cannot_say(tmp_path, make_source):
    source = make_source(samples=70_001, channels=2, dtype="float32")
    path = tmp_path / "long.segy"
    write_export(source, path)
    head = path.read_bytes()[:3600]
    fields = {byte: struct.unpack_from(f">{kind}", head, byte - 1)[0] for byte, kind in (
        (3221, "H"), (3225, "h"), (3269, "I"), (3273, "d"), (3297, "I"), (3501, "B"), (3502, "B"), (3503, "h"),
        (3505, "h"), (3513, "Q"), (3521, "Q"),
    )}  # fmt: skip
    records = fields.pop(3505)
    assert fields == {
        3221: 0, 3225: 5, 3269: 70_001, 3273: float(Fraction(125_000_000, 249_997)), 3297: 0x01020304, 3501: 2,
        3502: 0, 3503: 1, 3513: 2, 3521: 3600 + 3200 * records,
    }  # fmt: skip
    assert path.stat().st_size == 3600 + 3200 * records + 2 * (240 + 4 * 70_001)
    with segyio.open(path, ignore_geometry=True) as file:
        assert (file.tracecount, len(file.samples), int(file.format)) == (2, 70_001, 5)
        assert file.trace[1].tobytes() == np.ascontiguousarray(source.data[:, 1]).tobytes()
        assert (file.header[1][115], file.header[1][117]) == (0, 500)
        assert bytes(file.text[0])[-80:].rstrip() == b"C40 END TEXTUAL HEADER"
    ((found,), _) = open_sources(path)
    assert found.entry == source.entry
    assert found.read(1_069_003, 1_069_013, 2, 2).tobytes() == source.data[69_000:69_010, 1:].tobytes()


def test_standard_fields_tell_place_time_scale_and_dead_traces(tmp_path, make_source):
    source = make_source(gaps=[(0, 500, 2, 2), (0, 3, 4, 4)], units="m/s", scale="0.00250")
    write_export(source, tmp_path / "out.sgy")
    with segyio.open(tmp_path / "out.sgy", ignore_geometry=True) as file:
        first, last = file.header[0], file.header[4]
        assert [first[byte] for byte in (157, 159, 161, 163, 165, 167)] == [2023, 318, 22, 21, 40, 4]
        assert [first[byte] for byte in (203, 205, 209, 211)] == [-1, 25, -4, 6]
        assert (first[71], first[81], last[81], first[13], last[13]) == (-1000, -120_472, -97_603, 7, 11)
        assert [file.header[trace][29] for trace in range(5)] == [1, 2, 1, 1, 1]
        assert np.isnan(file.trace[1]).all()
        assert np.isnan(file.trace[3]).tolist() == [True] * 3 + [False] * 497


def plain(path, data, endian="big", code=5, head=(), traces=()):
    """Write a file as another program would: `data` [channel, time], fields of the headers by their first byte."""
    spec = segyio.spec()
    spec.format, spec.tracecount, spec.endian = code, len(data), endian
    spec.samples = np.arange(data.shape[1])
    with segyio.create(path, spec) as file:
        for index, trace in enumerate(data):
            file.header[index] = {
                157: 2024, 159: 60, 161: 23, 163: 59, 165: 58, **{byte: values[index] for byte, values in traces}
            }  # fmt: skip
            file.trace[index] = trace
    with path.open("r+b") as file:
        for byte, kind, value in head:
            file.seek(byte - 1)
            file.write(struct.pack((">" if endian == "big" else "<") + kind, value))
    return path


REV2 = ((3269, "I", 40), (3273, "d", 1e6 / 1999.976), (3297, "I", 0x01020304), (3501, "B", 2))


@pytest.mark.parametrize("endian", ["big", "little"])
def test_a_plain_file_of_rev_2_is_what_its_headers_say(tmp_path, endian):
    data = np.random.default_rng(1).normal(size=(3, 40)).astype(np.float32)
    traces = ((71, (-100,) * 3), (81, (2500, 2650, 2800)), (205, (25,) * 3), (209, (-4,) * 3), (211, (6,) * 3))
    path = plain(tmp_path / "a.sgy", data, endian, head=REV2, traces=traces)
    ((source,), notes) = open_sources(path)
    entry = source.entry
    assert everything(source).tobytes() == data.T.tobytes()
    assert (entry.fs, entry.dx, entry.fiber_start_meters) == (Fraction("1999.976"), 1.5, 25.0)
    assert (entry.units, entry.scale, entry.dtype, entry.site) == ("m/s", "25E-4", "float32", "imported")
    assert entry.start_ns == entry.t0_ns == 1_709_251_198_000_000_000
    assert notes == []


def test_a_plain_file_of_rev_1_with_whole_numbers_stays_whole_numbers(tmp_path):
    data = np.random.default_rng(1).integers(-(2**15), 2**15, (2, 40)).astype(np.int16)
    path = plain(tmp_path / "a.sgy", data, code=3, head=((3217, "H", 1000), (3501, "B", 1)))
    ((source,), notes) = open_sources(path, Told(site="s", units="counts", dx=2.0))
    assert (source.entry.dtype, source.entry.fs, source.entry.dx, source.entry.site) == ("int16", 1000, 2.0, "s")
    assert everything(source).tobytes() == data.T.tobytes()
    assert notes == []


@pytest.mark.parametrize(
    ("code", "dtype", "low", "high", "stays", "noted"),
    [
        (1, np.float32, -118.625, 0.15625, "float32", False), (2, np.int32, -(2**31), 2**31 - 1, "float32", True),
        (6, np.float64, -0.1, 1e30, "float32", True), (8, np.int8, -128, 127, "int16", False),
        (11, np.uint16, 0, 65535, "float32", False), (16, np.uint8, 0, 255, "int16", False),
    ],
)  # fmt: skip
def test_each_format_of_samples_is_read(tmp_path, code, dtype, low, high, stays, noted):
    data = np.tile(np.array([low, high], dtype), (2, 20))
    path = plain(tmp_path / "a.sgy", data, code=code, head=((3217, "H", 1000), (3501, "B", 1)))
    ((source,), notes) = open_sources(path, Told(units="counts", dx=2.0))
    assert everything(source).tobytes() == data.T.astype(stays).tobytes()
    assert (source.entry.dtype, notes) == (stays, ["a.sgy: its samples are rounded to float32"] if noted else [])


@settings(deadline=None)
@given(site=st.text(max_size=30), units=st.text(max_size=30), dx=st.floats(1e-300, 1e300), start=st.floats(-1e9, 1e9))
def test_a_stanza_says_any_text_and_number_exactly(make_source, site, units, dx, start):
    source = make_source(gaps=[(5, 9, 1, 3), (9, 500, 5, 5)], site=site, units=units, dx=dx, fiber_start_meters=start)
    entry, gaps = parse_stanza(b"".join(stanza_records(source.entry, source.gaps)))
    assert entry == source.entry
    assert np.array_equal(gaps, source.gaps)


def test_many_gaps_need_many_headers_and_too_many_are_refused(make_source):
    source = make_source()
    gaps = np.arange(4 * 2000).reshape(-1, 4)
    records = stanza_records(source.entry, gaps)
    assert [len(record) for record in records] == [3200] * 18
    assert np.array_equal(parse_stanza(b"".join(records))[1], gaps)
    with pytest.raises(RecordingError, match="300001 gaps do not fit in the headers of SEG-Y"):
        stanza_records(source.entry, np.broadcast_to(np.int64(2**62), (300_001, 4)))


def test_what_a_plain_file_does_not_say_is_noted_or_asked_for(tmp_path):
    data = np.ones((2, 40), np.float32)
    head = ((3217, "H", 0), (3501, "B", 1))
    path = plain(tmp_path / "a.sgy", data, head=head, traces=((117, (0, 0)), (157, (0, 0))))
    with pytest.raises(
        RecordingError, match=r"a\.sgy cannot be imported: it says no sampling interval; tell it with --fs"
    ):
        SegySource(path, Told())
    with pytest.raises(RecordingError, match="tell it with --start"):
        SegySource(path, Told(fs=Fraction(100)))
    source = SegySource(path, Told(fs=Fraction(100), start_ns=5))
    assert (source.entry.fs, source.entry.start_ns, source.entry.dx) == (100, 5, 1.0)
    assert len(source.notes) == 2
    weighted = plain(tmp_path / "b.sgy", data, head=((3217, "H", 1000),), traces=((169, (1, 1)),))
    with pytest.raises(RecordingError, match="weighting factors"):
        SegySource(weighted, Told())
    other_rate = plain(tmp_path / "c.sgy", data, head=((3217, "H", 1000),))
    with pytest.raises(RecordingError, match="1000 samples per second, not 1200"):
        SegySource(other_rate, Told(fs=Fraction(1200)))


def change(path, find, replacement):
    content = path.read_bytes()
    assert content.count(find.encode("cp037")) == 1
    path.write_bytes(content.replace(find.encode("cp037"), replacement.encode("cp037")))


@pytest.mark.parametrize(
    ("find", "replacement", "says"),
    [
        ("samples = 500", "samples = 501", "times that do not fit its own grid"),
        ("channels = 5", "channels = 6", "holds 5 traces of 500 samples, but its stanza says 6"),
        ("dtype = int16", "dtype = int99", "damaged"),
        ("t0_ns = 17", "t0_ns = x7", "damaged"),
        ("gap = 1000008 1000012 1 3", "gap = 1000008 1000012 1  ", "damaged"),
    ],
)
def test_a_stanza_that_is_wrong_is_refused(tmp_path, find, replacement, says, make_source):
    path = tmp_path / "a.sgy"
    write_export(make_source(gaps=[(5, 9, 1, 3)]), path)
    change(path, find, replacement)
    with pytest.raises(RecordingError, match=says):
        SegySource(path, Told())


@pytest.mark.parametrize("value", [0.5, 40_000, np.nan, np.inf])
def test_counts_that_another_program_changed_are_not_rounded(tmp_path, make_source, value):
    write_export(make_source(gaps=[(5, 9, 3, 3)]), tmp_path / "a.sgy")
    with segyio.open(tmp_path / "a.sgy", "r+", ignore_geometry=True) as file:
        trace = file.trace[2].copy()
        trace[100] = value
        file.trace[2] = trace
    ((source,), _) = open_sources(tmp_path / "a.sgy")
    first = source.entry.first_sample
    assert source.read(first, first + 100, 1, 5).shape == (100, 5)
    with pytest.raises(RecordingError, match="says that it holds int16 counts and holds others"):
        everything(source)


@pytest.mark.parametrize("cut", [1, 240, 3000])
def test_a_file_that_was_cut_short_is_no_segy(tmp_path, cut, make_source):
    path = tmp_path / "a.sgy"
    write_export(make_source(), path)
    assert is_segy(path)
    os.truncate(path, path.stat().st_size - cut)
    assert not is_segy(path)
    with pytest.raises(RecordingError, match="no SEG-Y"):
        SegySource(path, Told())


class Failing(ArraySource):
    """A source that cannot be read to its end."""

    __slots__ = ()
    error = RecordingError("gone")

    def read(self, first_sample, end_sample, first_column, last_column):
        raise self.error


@pytest.mark.parametrize("name", ["out.sgy", "out.h5"])
@pytest.mark.parametrize("error", [RecordingError("gone"), KeyboardInterrupt()])
def test_an_export_that_fails_leaves_what_was_there(tmp_path, monkeypatch, name, error, make_source):
    monkeypatch.setattr(Failing, "error", error)
    source = make_source()
    (tmp_path / name).write_text("before")
    with pytest.raises(type(error)):
        write_export(Failing(source.entry, source.data, source.gaps), tmp_path / name)
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {name: "before"}


def test_a_target_that_cannot_be_written_is_a_sentence(make_source):
    with pytest.raises(FocusError, match=r"/dev/full/out\.sgy cannot be written: Not a directory; nothing is left"):
        write_export(make_source(), Path("/dev/full/out.sgy"))


@pytest.mark.parametrize("missing", [1, 100_000])
def test_what_the_disk_does_not_take_leaves_nothing(tmp_path, missing, make_source, room):
    source = make_source(samples=5000, channels=10)
    write_export(source, tmp_path / "out.sgy")
    limit = (tmp_path / "out.sgy").stat().st_size - missing
    (tmp_path / "out.sgy").unlink()
    with room(limit), pytest.raises(FocusError, match=r"nothing is left of it\.$"):
        write_export(source, tmp_path / "out.sgy")
    assert list(tmp_path.iterdir()) == []
