"""What POST /configure accepts and refuses, rule by rule."""

import json
import re

import pytest

from focus_server.contract import (
    NFFT_VALUES,
    Channels,
    ConfigureRequest,
    Refusal,
    View,
    check_request,
)

FIBRE = Channels(min=1, max=500)
NOW = 1_700_000_000.0


def body(**changes):
    """A single channel request with fields replaced, added, or left out (by giving `...`)."""
    request = {"view_type": 1, "channels": {"min": 7, "max": 7}, "displayInfo": {"height": 100}, **changes}
    return {key: value for key, value in request.items() if value is not ...}


def refused(document) -> Refusal:
    with pytest.raises(Refusal) as caught:
        check_request(ConfigureRequest.read(json.dumps(document).encode()), FIBRE, NOW)
    return caught.value


def accepted(document) -> ConfigureRequest:
    request = ConfigureRequest.read(json.dumps(document).encode())
    check_request(request, FIBRE, NOW)
    return request


@pytest.mark.parametrize(("given", "view"), [("0", 0), (0, 0), ("1", 1), (1, 1), ("2", 2), (2, 2)])
def test_view_type_as_string_and_as_number(given, view):
    request = accepted(body(view_type=given))
    assert request.view_type is View(view)
    assert request.wire()["view_type"] == view


SHAPES = [
    (body(view_type=...), "view_type"),
    (body(view_type=3), "view_type"),
    (body(view_type=-1), "view_type"),
    (body(view_type="single"), "view_type"),
    (body(view_type=True), "view_type"),
    (body(view_type=1.0), "view_type"),
    (body(view_type=None), "view_type"),
    (body(channels=...), "channels"),
    (body(channels={"min": 1}), "channels.max"),
    (body(channels={"min": "1", "max": 2}), "channels.min"),
    (body(channels={"min": 1, "max": 2.5}), "channels.max"),
    (body(channels=[1, 2]), "channels"),
    (body(displayInfo=...), "displayInfo"),
    (body(displayInfo={}), "displayInfo.height"),
    (body(displayInfo={"height": True}), "displayInfo.height"),
    (body(displayInfo={"height": {"$gt": 0}}), "displayInfo.height"),
    (body(nfftSelection="1024"), "nfftSelection"),
    (body(nfftSelection=512.5), "nfftSelection"),
    (body(displayTimeAxisDuration="10"), "displayTimeAxisDuration"),
    (body(displayTimeAxisDuration=float("nan")), "displayTimeAxisDuration"),
    (body(displayTimeAxisDuration=float("inf")), "displayTimeAxisDuration"),
    (body(displayTimeAxisDuration=10**400), "displayTimeAxisDuration"),
    (body(frequencyRange={"min": 0}), "frequencyRange.max"),
    (body(frequencyRange={"min": "<script>", "max": 1}), "frequencyRange.min"),
    (body(start_time="2026-01-01"), "start_time"),
    (body(lines_per_second=[]), "lines_per_second"),
]


@pytest.mark.parametrize(("document", "place"), SHAPES)
def test_a_body_of_the_wrong_shape_is_422_and_names_the_place(document, place):
    refusal = refused(document)
    assert refusal.status == 422
    assert refusal.error.startswith(place + " ")
    assert ".".join(map(str, refusal.detail[0].loc)) == place
    assert "<script>" not in refusal.body.model_dump_json()


@pytest.mark.parametrize(
    "raw",
    [b"", b"{", b"[]", b"1", b"null", b'"x"', b"\xff\xfe", b"[" * 100_000, b'{"view_type":' + b"9" * 10_000 + b"}"],
)
def test_what_is_no_json_object_is_422(raw):
    with pytest.raises(Refusal) as caught:
        ConfigureRequest.read(raw)
    assert caught.value.status == 422
    assert caught.value.error.startswith("The request body")


def test_every_wrong_place_is_in_the_detail():
    refusal = refused({"view_type": 9, "channels": {"min": 1}})
    assert {tuple(problem.loc) for problem in refusal.detail} == {("view_type",), ("channels", "max"), ("displayInfo",)}
    assert "2 more in detail" in refusal.error


def test_null_means_absent_and_unknown_keys_are_ignored():
    document = body(
        nfftSelection=None, frequencyRange=None, start_time=None, end_time=None, overlap=None, color="red", duration_s=3
    )
    request = accepted(document)
    assert request.wire() == {"view_type": 1, "channels": {"min": 7, "max": 7}, "displayInfo": {"height": 100}}
    assert (request.effective_nfft, request.effective_duration_s, request.historic) == (1024, 10.0, False)


def test_a_whole_number_may_be_written_with_a_point():
    request = accepted(body(nfftSelection=2048.0, displayInfo={"height": 5.0}))
    assert (request.effective_nfft, request.display_info.height) == (2048, 5)


MEANINGS = [
    (body(channels={"min": 0, "max": 5}), 400, r"^channels\.min .*at least 1; it was 0"),
    (body(channels={"min": 10, "max": 5}), 400, r"^channels\.max .*below channels\.min \(10\); it was 5"),
    (body(channels={"min": 1, "max": 2223}), 400, r"^channels\.max .*at most 2222; it was 2223"),
    (body(channels={"min": 1, "max": 10**30}), 400, r"^channels\.max .*at most 2222; it was a number of 100 bits"),
    (body(channels={"min": 400, "max": 501}), 400, r"^channels .*1 to 500; asked for 400 to 501"),
    (body(displayInfo={"height": 0}), 400, r"height must be positive.*it was 0"),
    (body(displayInfo={"height": -3}), 400, r"height must be positive.*it was -3"),
    (body(displayInfo={"height": 2**31}), 400, r"height must be at most 2147483647; it was 2147483648"),
    (body(displayInfo={"height": 10**25}), 400, r"height must be at most 2147483647; it was a number of 84 bits"),
    (
        body(displayTimeAxisDuration=4e7),
        400,
        r"^displayTimeAxisDuration must be at most 31622400 seconds",
    ),
    (body(displayTimeAxisDuration=0), 400, r"^displayTimeAxisDuration must be positive"),
    (body(displayTimeAxisDuration=-1.5), 400, r"^displayTimeAxisDuration must be positive.*it was -1\.5"),
    (body(frequencyRange={"min": -1, "max": 100}), 400, r"^frequencyRange\.min must be at least 0 Hz; it was -1"),
    (body(frequencyRange={"min": 0, "max": 1000.5}), 400, r"^frequencyRange\.max must be at most 1000 Hz"),
    (body(frequencyRange={"min": 2000, "max": 1}), 400, r"^frequencyRange\.min must be at most 1000 Hz"),
    (body(frequencyRange={"min": 100, "max": 50}), 400, r"^frequencyRange must span at least 1 Hz"),
    (body(frequencyRange={"min": 100, "max": 100.5}), 400, r"^frequencyRange must span at least 1 Hz"),
    (body(overlap=0.5, lines_per_second=20), 400, r"^overlap and lines_per_second"),
    (body(overlap=0.981), 400, r"^overlap must lie between 0 and 0\.98; it was 0\.981"),
    (body(overlap=-0.1), 400, r"^overlap must lie"),
    (body(lines_per_second=0), 400, r"^lines_per_second must be at least 0\.1; it was 0"),
    (body(start_time=1.0), 400, r"^end_time is missing: send both start_time and end_time"),
    (body(end_time=1.0), 400, r"^start_time is missing: send both"),
    (body(start_time=20.0, end_time=10.0), 400, r"^end_time must be after start_time"),
    (body(start_time=10.0, end_time=10.0), 400, r"^end_time must be after start_time"),
    (body(start_time=NOW - 5, end_time=NOW + 1), 400, r"^end_time must not lie in the future"),
    (body(start_time=-1.0, end_time=1.0), 400, r"^start_time must not be negative, in epoch seconds; it was -1\."),
    (body(playrate=1e-4), 400, r"^playrate must be 0\.001 to 1000000 times real time; it was 0\.0001"),
    (body(playrate=1e300), 400, r"^playrate must be 0\.001 to 1000000 times real time; it was 1e\+300"),
    (body(playrate=0), 400, r"^playrate must be above 0, times real time; it was 0"),
    (body(playrate=-2), 400, r"^playrate must be above 0"),
    (body(view_type=2, displayTimeAxisDuration=10), 422, r"^displayTimeAxisDuration does not exist for a waterfall"),
    (body(view_type=2, nfftSelection=1024), 422, r"^nfftSelection does not exist for a waterfall"),
    (body(view_type=2, frequencyRange={"min": 0, "max": 9}), 422, r"^frequencyRange does not exist for a waterfall"),
    (body(view_type=2, overlap=0.5), 422, r"^overlap does not exist for a waterfall"),
]


@pytest.mark.parametrize(("document", "status", "sentence"), MEANINGS)
def test_a_broken_rule_is_refused_by_its_name(document, status, sentence):
    refusal = refused(document)
    assert refusal.status == status
    assert re.search(sentence, refusal.error)
    assert refusal.retry_after is None


@pytest.mark.parametrize("nfft", [0, -1, 1, 64, 100, 500, 1000, 1025, 99999, 131072])
def test_other_nffts_are_refused_with_the_allowed_ones(nfft):
    refusal = refused(body(nfftSelection=nfft))
    assert refusal.status == 400
    assert "nfft" in refusal.error.lower()
    assert "power of 2" in refusal.error
    assert all(str(value) in refusal.error for value in NFFT_VALUES)
    assert refusal.error.endswith(f"it was {nfft}.")


@pytest.mark.parametrize("nfft", NFFT_VALUES)
def test_all_ten_nffts_are_accepted(nfft):
    assert accepted(body(nfftSelection=nfft)).effective_nfft == nfft


@pytest.mark.parametrize(
    "document",
    [
        body(channels={"min": 1, "max": 500}),
        body(frequencyRange={"min": 0, "max": 1000}),
        body(frequencyRange={"min": 499, "max": 500}),
        body(overlap=0),
        body(overlap=0.98),
        body(lines_per_second=0.1),
        body(start_time=NOW - 10, end_time=NOW),
        body(view_type=2, nfftSelection=1, lines_per_second=5),
        body(view_type=2, start_time=NOW - 10, end_time=NOW - 1),
        body(view_type=0, channels={"min": 1, "max": 3}, displayTimeAxisDuration=0.1),
        body(start_time=NOW - 10, end_time=NOW, playrate=0.25),
        body(start_time=0, end_time=NOW, playrate=0.001),
        body(start_time=NOW - 10, end_time=NOW, playrate=1e6),
        body(displayInfo={"height": 2**31 - 1}, displayTimeAxisDuration=31_622_400),
    ],
)
def test_the_edges_are_accepted(document):
    assert accepted(document).wire()["view_type"] == document["view_type"]


def test_without_a_fibre_only_the_limit_of_the_contract_holds():
    request = ConfigureRequest.read(body(channels={"min": 1, "max": 2222}))
    check_request(request, None, NOW)
    with pytest.raises(Refusal, match="1 to 500"):
        check_request(request, FIBRE, NOW)


def test_a_request_survives_the_wire():
    document = body(frequencyRange={"min": 1.5, "max": 99.25}, overlap=0.25, nfftSelection=256)
    request = accepted(document)
    assert ConfigureRequest.read(json.dumps(request.wire()).encode()) == request


def test_a_refusal_says_when_to_try_again():
    refusal = Refusal(503, "Not now.", "reason", retry_after=3)
    assert refusal.headers == {"Retry-After": "3"}
    assert refusal.body.model_dump(mode="json") == {"error": "Not now.", "detail": "reason"}
    assert Refusal(400, "No.").headers == {}
