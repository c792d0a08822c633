"""What a request becomes on a fibre: its lines, its first one, its rate, or a refusal."""

from fractions import Fraction

import numpy as np
import pytest

from focus_server.analyzer.configure import make_answer, plan_job
from focus_server.analyzer.cost import cores
from focus_server.analyzer.feed import Feed
from focus_server.contract import NFFT_VALUES, ConfigureRequest, Refusal


@pytest.fixture(scope="module")
def fibre(source):
    return source(np.zeros((200, 20_000), np.int16), fs=Fraction(2000))


@pytest.fixture(scope="module")
def filled(feed, fibre):
    return feed(fibre, ring_samples=150_000)


def request(view=1, channels=(7, 7), **fields):
    body = {"view_type": view, "channels": {"min": channels[0], "max": channels[1]}, "displayInfo": {"height": 100}}
    return ConfigureRequest.read(body | fields)


def plan(feed, wanted, others=(), budget=10.0):
    return plan_job(wanted, feed.samples, list(others), budget, 0.0)


def test_the_first_line_is_the_newest_complete_one(filled):
    made = plan(filled, request(nfftSelection=256, lines_per_second=20))
    assert (made.grid.nfft, made.grid.hop) == (256, 100)
    assert made.first_line == (20_000 - 256) // 100
    assert made.ready_in_s == 0
    assert made.lowered is None


def test_while_the_ring_fills_the_first_line_is_the_first_possible_one(fibre):
    feed = Feed(150_000, 2.0, lambda _: None)
    feed.announced(fibre.announcement(), 0.0)
    for block in fibre.blocks(first_block=5000):
        if block.seq < 10:
            feed.arrived(block, 0.0)
    made = plan(feed, request(nfftSelection=4096, overlap=0.5))
    assert made.first_line == -(-1_000_000 // 2048)
    assert made.ready_in_s == (made.first_line * 2048 + 4096 - 1_002_000) / 2000


@pytest.mark.parametrize("nfft", NFFT_VALUES)
def test_the_answer_of_every_nfft(filled, fibre, nfft):
    made = plan(filled, request(nfftSelection=nfft, frequencyRange={"min": 100, "max": 1000}))
    answer = make_answer(made, fibre.announcement(), "3-17", "127.0.0.1", 4711)
    assert answer.frequencies_amount == len(answer.frequencies_list)
    assert answer.frequencies_list[0] == -(-100 * nfft // 2000) * 2000 / nfft
    assert answer.frequencies_list[-1] == 1000.0
    assert answer.lines_dt == answer.metadata.grid.hop / 2000 == min(nfft // 2, 2000) / 2000
    assert answer.metadata.grid.nfft == nfft


def test_the_answer_carries_what_a_viewer_needs(filled, fibre):
    made = plan(filled, request(view=0, channels=(11, 60)))
    answer = make_answer(made, fibre.announcement(), "3-17", "127.0.0.1", 4711)
    assert (answer.job_id, answer.stream_url, answer.stream_port) == ("3-17", "http://127.0.0.1", 4711)
    assert (answer.stream_amount, answer.channel_amount, answer.view_type) == (3, 50, 0)
    assert [answer.channel_to_stream_index[c] for c in ("11", "27", "28", "44", "45", "60")] == [0, 0, 1, 1, 2, 2]
    grid = answer.metadata.grid
    assert (grid.t0_ns, grid.fs_num, grid.fs_den, grid.hop) == (fibre.t0_ns, 2000, 1, 512)
    assert (answer.metadata.units, answer.metadata.dx, answer.metadata.fs) == ("1/s", 2.5, 2000.0)
    assert (answer.metadata.display_info.height, answer.metadata.duration_s) == (100, 10.0)


def test_a_rate_that_costs_too_much_is_lowered_and_said(filled):
    wanted = request(view=0, channels=(1, 200), nfftSelection=16384, lines_per_second=50)
    made = plan(filled, wanted, budget=0.05)
    assert cores([made.load], 2000.0) <= 0.05
    assert made.lowered.asked_lines_per_second == 50
    assert made.lowered.lines_per_second == 2000 / made.grid.hop < 50
    again = plan(filled, wanted, others=[made.load], budget=10)
    assert again.lowered is None


def test_a_job_whose_lines_are_computed_anyway_costs_nothing(filled):
    first = plan(filled, request(view=0, channels=(1, 200), lines_per_second=20))
    used = cores([first.load], 2000.0)
    second = plan(filled, request(channels=(50, 50), lines_per_second=20), others=[first.load], budget=used / 2)
    assert second.lowered is None


@pytest.mark.parametrize(
    ("wanted", "budget", "status", "words"),
    [
        (request(channels=(1, 201)), 1, 400, "1 to 200"),
        (request(nfftSelection=128, frequencyRange={"min": 1, "max": 2.5}), 1, 400, "no bin"),
        (request(view=0, channels=(1, 200), nfftSelection=4096), 1e-4, 503, "processor"),
    ],
)
def test_refusals(filled, wanted, budget, status, words):
    with pytest.raises(Refusal, match=words) as refused:
        plan(filled, wanted, budget=budget)
    assert refused.value.status == status
    assert (refused.value.retry_after is None) == (status == 400)


def test_a_row_that_no_client_takes_is_refused(feed, source):
    wide = feed(source(np.zeros((2222, 200), np.int16), fs=Fraction(2000)), ring_samples=150_000)
    with pytest.raises(Refusal, match="97 MB") as refused:
        plan(wide, request(view=0, channels=(1, 2222), nfftSelection=65536))
    assert refused.value.status == 400


def test_a_window_that_the_ring_cannot_hold_is_refused(feed, fibre):
    small = feed(fibre, ring_samples=100_000)
    with pytest.raises(Refusal, match="65536 samples and the analyzer keeps 100000") as refused:
        plan(small, request(nfftSelection=65536))
    assert refused.value.status == 400
