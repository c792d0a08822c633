"""The older form of a request, and what it becomes."""

from datetime import UTC, datetime

import pytest

from focus_server.contract import Grid, OlderRequest, Refusal, View, check_request, is_task_id, task_key

BODY = {
    "displayTimeAxisDuration": 10,
    "nfftSelection": 512,
    "canvasInfo": {"height": 200},
    "sensors": {"min": 0, "max": 49},
    "frequencyRange": {"min": 10, "max": 400},
    "start_time": None,
    "end_time": None,
}


def test_the_form_of_today_has_the_same_meaning():
    request = OlderRequest.read({**BODY, "more": 1}).translated()
    check_request(request)
    assert request.view_type is View.MULTICHANNEL
    assert request.wire() == {
        "view_type": 0,
        "channels": {"min": 1, "max": 50},
        "displayInfo": {"height": 200},
        "displayTimeAxisDuration": 10.0,
        "nfftSelection": 512,
        "frequencyRange": {"min": 10.0, "max": 400.0},
    }


def test_what_is_left_out_has_the_defaults_of_today():
    request = OlderRequest.read(b'{"canvasInfo": {"height": 5.0}, "sensors": {"min": 3, "max": 3}}').translated()
    assert request.wire() == {"view_type": 0, "channels": {"min": 4, "max": 4}, "displayInfo": {"height": 5}}
    assert (request.effective_nfft, request.effective_duration_s, request.historic) == (1024, 10.0, False)


@pytest.mark.parametrize(
    ("stamp", "time"),
    [
        ("250131235959", datetime(2025, 1, 31, 23, 59, 59, tzinfo=UTC)),
        ("000101000000", datetime(2000, 1, 1, tzinfo=UTC)),
        ("240229120000", datetime(2024, 2, 29, 12, tzinfo=UTC)),
        ("991231235959", datetime(2099, 12, 31, 23, 59, 59, tzinfo=UTC)),
    ],
)
def test_times_are_utc_of_this_century(stamp, time):
    request = OlderRequest.read({**BODY, "start_time": stamp, "end_time": stamp}).translated()
    assert (request.start_time, request.end_time) == (time.timestamp(), time.timestamp())
    assert request.historic


@pytest.mark.parametrize(
    ("change", "status", "field"),
    [
        ({"canvasInfo": None}, 422, "canvasInfo"),
        ({"canvasInfo": {"height": "9"}}, 422, "canvasInfo.height"),
        ({"sensors": {"min": 0}}, 422, "sensors.max"),
        ({"start_time": 250131235959}, 422, "start_time"),
        ({"start_time": ""}, 422, "start_time"),
        ({"end_time": "2501312359590"}, 422, "end_time"),
        ({"end_time": "٢٥٠١٣١٢٣٥٩٥٩"}, 422, "end_time"),
        ({"end_time": "250131235959\n"}, 422, "end_time"),
        ({"nfftSelection": "512"}, 422, "nfftSelection"),
        ({"canvasInfo": {"height": 0}}, 400, "canvasInfo.height"),
        ({"sensors": {"min": -1, "max": 3}}, 400, "sensors.min"),
        ({"sensors": {"min": 4, "max": 3}}, 400, "sensors.max"),
        ({"sensors": {"min": 0, "max": 2222}}, 400, "sensors.max"),
        ({"start_time": "250230000000"}, 400, "start_time"),
        ({"end_time": "250101240000"}, 400, "end_time"),
    ],
)
def test_what_is_wrong_is_named_as_the_client_wrote_it(change, status, field):
    with pytest.raises(Refusal) as refused:
        OlderRequest.read({**BODY, **change}).translated()
    assert (refused.value.status, refused.value.error.startswith(field)) == (status, True), refused.value.error


def test_a_task_id_has_its_own_keys():
    assert task_key("a_B-9") == "task:a_B-9"
    assert is_task_id("x" * 256)
    for wrong in ("", "x" * 257, "a b", "a/b", "a.b", "é", "a\n", "task:a"):
        assert not is_task_id(wrong)
        with pytest.raises(Refusal, match="task_id") as refused:
            task_key(wrong)
        assert refused.value.status == 400


@pytest.mark.parametrize(
    ("grid", "row", "expected"),
    [
        ({"hop": 512, "nfft": 1024}, 0, (1_700_000_001_024, 1_700_000_002_048)),
        ({"hop": 512, "nfft": 1024}, 3, (1_700_000_002_560, 1_700_000_003_584)),
        ({"hop": 5000, "nfft": 1024}, 1, (1_700_000_015_000, 1_700_000_020_000)),
        ({"hop": 50, "nfft": 1}, 2, (1_700_000_000_200, 1_700_000_000_250)),
        ({"hop": 1, "nfft": 1, "fs_num": 1999976}, 1_999_973, (1_700_000_999_999, 1_700_001_000_000)),
    ],
)
def test_a_row_covers_its_samples(grid, row, expected):
    fields = {"t0_ns": 1_700_000_000_000_000_000, "fs_num": 1000, "fs_den": 1, "first_line": 2, **grid}
    if fields["fs_num"] != 1000:
        fields["fs_den"] = 1000
    assert Grid(**fields).row_ms(row) == expected
