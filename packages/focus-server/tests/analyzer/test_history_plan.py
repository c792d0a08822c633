"""What a historic request becomes: its lines, from exact times, or a refusal that names what is missing."""

from fractions import Fraction

import numpy as np
import pytest

from focus_server.analyzer.configure import make_answer
from focus_server.analyzer.history import plan_history, read_order
from focus_server.contract import ConfigureRequest, Refusal

T0_S = 1_700_000_000
ODD_FS = Fraction(249_997, 125)  # 1999.976 samples/s


@pytest.fixture(scope="module")
def recordings(shared_archive, source):
    """Ten recordings of a second each."""
    return shared_archive.write(source(np.zeros((3, 10_000), np.int16)))


@pytest.fixture
def request_of(body):
    def make(start_s, end_s, **fields):
        fields = {"nfftSelection": 256, "overlap": 0.5} | fields
        times = {"start_time": T0_S + start_s, "end_time": T0_S + end_s}
        return ConfigureRequest.read({name: value for name, value in (body() | times | fields).items() if value != ""})

    return make


def lines(plan):
    return plan.first_line, plan.lines


@pytest.mark.parametrize(
    ("start_s", "end_s", "expected"),
    [
        (0, 10, (0, 77)),  # 76*128 + 256 = 9984
        (0, 0.256, (0, 1)),
        (0.128, 0.384, (1, 1)),
        (0.1281, 10, (2, 75)),
        (1, 2, (8, 6)),  # 8*128 = 1024 .. 13*128 + 256 = 1920
        (-5, 0.4, (0, 2)),
        (9, 100, (71, 709)),  # nobody knows how much of it is there until it is played
    ],
)
def test_the_lines_are_those_that_lie_as_a_whole_within_the_times(request_of, recordings, start_s, end_s, expected):
    assert lines(plan_history(request_of(start_s, end_s), recordings)) == expected


def test_times_are_exact_at_odd_rates(request_of, archive, source):
    """At 1999.976 samples/s, hop 128, line p ends at (p*128 + 256)/fs; 60 s hold 119,998.56 samples."""
    recordings = archive.write(source(np.zeros((1, 20_100), np.int16), fs=ODD_FS, t0_ns=T0_S * 10**9))
    assert recordings[-1].end_sample == 19_999
    plan = plan_history(request_of(0, 60), recordings)
    assert plan.lines == (119_998 - 256) // 128 + 1
    exact_end = float(Fraction(T0_S) + Fraction(256 + 5 * 128) / ODD_FS)
    beyond = request_of(0, 1)
    at = beyond.model_copy(update={"end_time": exact_end + 1e-6})
    before = beyond.model_copy(update={"end_time": exact_end - 1e-6})
    assert (plan_history(at, recordings).lines, plan_history(before, recordings).lines) == (6, 5)


def test_without_a_rate_many_lines_become_as_many_as_are_shown(request_of, recordings):
    plan = plan_history(request_of(0, 10, overlap="", displayInfo={"height": 9}), recordings)
    assert (plan.grid.hop, plan.lines) == (1111, 9)


@pytest.mark.parametrize(
    ("fields", "hop", "nfft"), [({}, 128, 256), ({"view_type": 2, "nfftSelection": "", "overlap": ""}, 50, None)]
)
def test_the_answer_says_what_is_played(request_of, recordings, fields, hop, nfft):
    plan = plan_history(request_of(1, 3, **fields), recordings[1:3])
    answer = make_answer(plan, recordings[0], "0-7", "127.0.0.1", 5)
    metadata = answer.metadata
    assert metadata.recording_ids == tuple(entry.uuid for entry in recordings[1:3])
    assert (metadata.units, metadata.dx, metadata.fs, metadata.ready_in_s) == ("1/s", 2.5, 1000.0, 0.0)
    assert metadata.historic
    assert (metadata.lines, metadata.left_out) == (plan.lines, ())
    assert metadata.grid.model_dump() == {
        "t0_ns": T0_S * 10**9,
        "fs_num": 1000,
        "fs_den": 1,
        "first_line": -(-1000 // hop),
        "hop": hop,
        "nfft": nfft or 1,
    }


def test_recordings_of_another_fibre_are_left_out_and_named(request_of, recordings, archive, source):
    others = archive.write(source(np.zeros((3, 2000), np.int16), t0_ns=T0_S * 10**9 + 1))
    plan = plan_history(request_of(0, 2), [*recordings[:2], *others])
    assert plan.recordings == tuple(recordings[:2])
    assert plan.left_out == tuple(entry.uuid for entry in others)
    assert plan_history(request_of(0, 2), [*others, *recordings[:2]]).left_out == plan_uuids(recordings[:2])


def plan_uuids(entries):
    return tuple(entry.uuid for entry in entries)


@pytest.mark.parametrize(
    ("start_s", "end_s", "taken"),
    [
        (0, 10, slice(0, 0)),
        (10, 20, slice(0, 10)),
        (9.8, 20, slice(9, 10)),  # 200 samples are there, a line has 256
        (3, 3.2, slice(0, 10)),
        (-10, -5, slice(0, 10)),
        (0.95, 1.2, slice(0, 1)),
    ],
)
def test_where_no_whole_line_is_recorded_there_is_no_recording(request_of, recordings, start_s, end_s, taken):
    with pytest.raises(Refusal) as refused:
        plan_history(request_of(start_s, end_s), recordings[taken])
    assert (refused.value.status, refused.value.error) == (404, "No recording found in given time range")
    assert refused.value.detail


def test_two_recordings_with_a_hole_between_them_have_no_line_across_it(request_of, recordings):
    around = [recordings[1], recordings[3]]
    with pytest.raises(Refusal, match="No recording found"):
        plan_history(request_of(1.9, 3.1), around)
    assert lines(plan_history(request_of(1.6, 3.1), around)) == (13, 10)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"channels": {"min": 1, "max": 4}}, "fibre's channels 1 to 3"),
        ({"frequencyRange": {"min": 600, "max": 700}}, "Nyquist frequency, 500 Hz"),
        ({"overlap": 0.98, "nfftSelection": 128, "end_time": T0_S + 10_000_000}, "hold 3333"),
        ({"overlap": "", "displayInfo": {"height": 1}, "end_time": T0_S + 100_000}, "may be of 16777216"),
    ],
)
def test_what_cannot_be_played_is_refused(request_of, recordings, fields, words):
    with pytest.raises(Refusal, match=words) as refused:
        plan_history(request_of(0, 10, **fields), recordings)
    assert refused.value.status == 400


def test_an_order_carries_request_and_recordings(request_of, recordings):
    request = request_of(0, 2)
    listed = ",".join(entry.model_dump_json() for entry in recordings[:2])
    body = f'{{"request": {request.model_dump_json(by_alias=True)}, "recordings": [{listed}]}}'
    assert read_order(body.encode()) == (request, tuple(recordings[:2]))


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"no", 422),
        (b'{"request": {}, "recordings": []}', 422),
        (b'{"request": {"view_type": 1}, "recordings": [{"uuid": 7}]}', 422),
        (
            b'{"request": {"view_type": 1, "channels": {"min": 1, "max": 1}, "displayInfo": {"height": 1}},'
            b' "recordings": []}',
            400,
        ),
    ],
)
def test_an_order_of_another_shape_is_refused(body, status):
    with pytest.raises(Refusal) as refused:
        read_order(body)
    assert refused.value.status == status
