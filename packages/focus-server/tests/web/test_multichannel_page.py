"""Many channels on the screen: streams joined line by line, to the pixel, and nothing left of the picture before."""

import io

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import expect

LOW, HIGH = -80, 20
FS, NFFT = 1000.0, 256
RNG = np.random.default_rng(21)
VIEW = {"view": 0, "cmin": 60, "cmax": 70}


def rows_of(levels, bins):
    """Spectra [row, channel, bin] of any shape whose band has these levels, dB: B = sqrt(sum of A²·fs/N)."""
    shape = RNG.uniform(0.5, 2, (*levels.shape, bins))
    band = np.sqrt((shape**2).sum(axis=-1) * FS / NFFT)
    return (shape * (10 ** (levels / 20) / band)[..., None]).astype(np.float32)


def levels_of(codes):
    """Levels well within the step of a code, so that no rounding can reach the next one."""
    return LOW + (codes + RNG.uniform(0.02, 0.98, codes.shape)) / 256 * (HIGH - LOW)


def test_every_pixel_is_the_level_of_its_channel(proof, server, read_proof):
    page, job = proof(**VIEW)
    assert [group.amount for group in job.groups] == [4, 4, 3]
    codes = RNG.integers(0, 256, (64, 11))
    rows = rows_of(levels_of(codes), job.bins)
    rows[5, 3, 7] = np.nan
    rows[6, :] = np.nan
    codes[5, 3] = 0
    codes[6, :] = 0
    for first, last in ((0, 1), (1, 9), (9, 64)):
        server.send_whole(job, list(range(first, last)), rows[first:last])
    picture = read_proof(page, newest=63)
    assert picture.rgb.shape == (64, 32 + 11, 3)
    assert picture.numbers.tolist() == list(range(64))
    assert np.array_equal(picture.codes, codes.astype(np.uint8))
    expect(page.get_by_test_id("error")).to_be_empty()


def test_a_line_waits_for_its_parts_but_not_for_ever(proof, server, read_proof):
    page, job = proof(**VIEW)
    codes = RNG.integers(1, 256, (3, 11)).astype(np.uint8)
    rows = rows_of(levels_of(codes), job.bins)
    server.send_whole(job, [0], rows[:1])
    read_proof(page, newest=0)
    # The middle stream is late with line 1: the line is drawn after two seconds without it, and whole when it comes.
    server.send(job, [1], rows[1:2, :4], stream=0)
    server.send(job, [1], rows[1:2, 8:], stream=2)
    assert read_proof(page, newest=0).numbers[-1] == 0
    part = read_proof(page, newest=1)
    assert np.array_equal(part.codes[-1], np.concatenate((codes[1, :4], np.zeros(4, np.uint8), codes[1, 8:])))
    server.send(job, [1], rows[1:2, 4:8], stream=1)
    server.send_whole(job, [2], rows[2:])
    whole = read_proof(page, newest=2)
    assert whole.numbers[-3:].tolist() == [0, 1, 2]
    assert np.array_equal(whole.codes[-3:], codes)


def canvas_colours(page):
    """How many different colours the picture shows."""
    image = Image.open(io.BytesIO(page.get_by_test_id("canvas").screenshot())).convert("RGB")
    return len(np.unique(np.asarray(image).reshape(-1, 3), axis=0))


@pytest.mark.parametrize("first", ["1", "0"])
def test_nothing_is_left_of_the_picture_before(open_page, server, first):
    page = open_page(f"?auto=1&view={first}&channel=7&cmin=60&cmax=70&nfft=256&lps=20&lo=-80&hi=20")
    job = server.job
    channels = job.request.channels.amount
    server.send_whole(job, list(range(40)), rows_of(RNG.uniform(LOW, HIGH, (40, channels)), job.bins))
    expect(page.get_by_test_id("connection")).to_have_text("live")
    server.until(lambda: canvas_colours(page) > 30, "a picture")
    other = {"1": "0", "0": "1"}[first]
    page.get_by_test_id("view").select_option(other)
    server.until(lambda: len(server.jobs) == 2 and server.job.request.view_type == int(other), "the other view's job")
    expect(page.get_by_test_id("connection")).to_contain_text("connecting")
    assert canvas_colours(page) <= 2, "an empty picture has its background and perhaps a line around it"
    server.until(lambda: server.deleted == [job.id], "the first job's end")


def test_channels_live_in_the_address_and_reach_the_server(open_page, server):
    page = open_page("?view=0&cmin=60&cmax=70")
    assert page.get_by_test_id("view").input_value() == "0"
    page.get_by_test_id("cmax").fill("65")
    page.get_by_test_id("start").click()
    assert server.job.request.channels.model_dump() == {"min": 60, "max": 65}
    assert {"view=0", "cmin=60", "cmax=65", "auto=1"} <= set(page.url.partition("?")[2].split("&"))
    page.reload()
    server.until(lambda: len(server.requests) == 2, "the same request again")
    assert server.requests[0] == server.requests[1]


def test_the_cursor_reads_channel_and_level(open_page, server):
    page = open_page("?auto=1&view=0&cmin=60&cmax=70&nfft=256&lps=20&height=50")
    job = server.job
    levels = np.full((50, 11), -60.0)
    levels[25, 4] = -20.0
    server.send_whole(job, list(range(50)), rows_of(levels, job.bins))
    expect(page.get_by_test_id("connection")).to_have_text("live")
    canvas, readout = page.get_by_test_id("canvas"), page.get_by_test_id("readout")
    box = canvas.bounding_box()
    canvas.hover(position={"x": 4.5 / 11 * box["width"], "y": 25.5 / 50 * box["height"]})
    expect(readout).to_contain_text("Channel 64")
    expect(readout).to_contain_text("−20.0 dB")
    expect(readout).to_contain_text("352.0 m")
