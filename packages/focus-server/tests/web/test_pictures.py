"""Pictures are read from the screen and compared, for each pixel, with what numpy computes: one channel, and many."""

import io

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import expect

LOW, HIGH = -80, 20
FS, NFFT = 1000.0, 256
RNG = np.random.default_rng(20)
MANY = {"view": 0, "cmin": 60, "cmax": 70}


def amplitudes_of(codes):
    """Amplitudes whose level lies well within the step of a code, so that no rounding can reach the next one."""
    place = codes + RNG.uniform(0.01, 0.99, codes.shape)
    return (10 ** ((LOW + place / 256 * (HIGH - LOW)) / 20)).astype(np.float32)


def codes_of(amplitudes):
    """The definition, in float64; what is not a number has code 0."""
    with np.errstate(divide="ignore"):
        levels = 20 * np.log10(amplitudes.astype(np.float64))
    codes = np.clip(np.floor(256 * (levels - LOW) / (HIGH - LOW)), 0, 255)
    return np.where(np.isfinite(amplitudes), codes, 0).astype(np.uint8)


def random_rows(rows, bins):
    return amplitudes_of(RNG.integers(0, 256, (rows, bins)))


@pytest.mark.parametrize("draw", [{}, {"draw": "plain"}], ids=["WebGL2", "Canvas2D"])
def test_every_pixel_is_the_code_that_numpy_computes(proof, server, read_proof, draw):
    page, job = proof(fmin=10, fmax=400, **draw)
    expect(page.get_by_test_id("canvas")).to_have_attribute("data-drawn-by", "Canvas2D" if draw else "WebGL2")
    blank = read_proof(page, newest=-1)
    assert blank.rgb.shape == (64, 32 + job.bins, 3)
    assert not blank.rgb.any()

    rows = random_rows(64, job.bins)
    rows[5, 3:30] = np.nan
    rows[6, :] = np.nan
    rows[7, :6] = [np.inf, 0, 1e-30, 1e-5, 1e5, 3e38]
    for first, last in ((0, 1), (1, 2), (2, 5), (5, 20), (20, 64)):
        server.send(job, list(range(first, last)), rows[first:last])

    picture = read_proof(page, newest=63)
    assert picture.numbers.tolist() == list(range(64))
    assert picture.gray
    assert np.array_equal(picture.codes, codes_of(rows))
    assert len(np.unique(picture.codes)) == 256
    expect(page.get_by_test_id("error")).to_be_empty()

    # Two more lines push the two oldest out.
    more = random_rows(2, job.bins)
    server.send(job, [64, 65], more)
    picture = read_proof(page, newest=65)
    assert picture.numbers.tolist() == list(range(2, 66))
    assert np.array_equal(picture.codes, codes_of(np.vstack((rows[2:], more))))


def test_no_rounding_of_the_graphics_system_is_further_off_than_one_code(proof, server, read_proof):
    page, job = proof(height=128)
    rows = (10 ** RNG.uniform(-3.9, 0.9, (128, job.bins))).astype(np.float32)
    server.send(job, list(range(128)), rows)
    read = read_proof(page, newest=127).codes.astype(int)
    expected = codes_of(rows).astype(int)
    assert abs(read - expected).max() <= 1
    assert (read == expected).mean() >= 0.999


@pytest.mark.parametrize("draw", [{}, {"draw": "plain"}], ids=["WebGL2", "Canvas2D"])
def test_a_line_that_did_not_come_has_no_number_and_moves_nothing(proof, server, read_proof, draw):
    page, job = proof(**draw)
    rows = random_rows(21, job.bins)
    here = [*range(10), *range(13, 21)]
    server.send(job, here[:10], rows[here[:10]])
    server.send(job, here[10:], rows[here[10:]])

    picture = read_proof(page, newest=20)
    assert picture.numbers[-21:].tolist() == [*range(10), -1, -1, -1, *range(13, 21)]
    assert (picture.numbers[:-21] == -1).all()
    assert not picture.rgb[:-21].any()
    assert not picture.rgb[-11:-8].any()
    assert np.array_equal(picture.codes[-21:][here], codes_of(rows[here]))
    expect(page.get_by_test_id("missing")).to_have_text("3")

    # A line that comes late takes its own place; the last message says when both have been drawn.
    server.send(job, [11], rows[11:12])
    server.send(job, [21], random_rows(1, job.bins))
    picture = read_proof(page, newest=21)
    assert picture.numbers[-12:-9].tolist() == [-1, 11, -1]
    assert np.array_equal(picture.codes[-11], codes_of(rows[11]))
    expect(page.get_by_test_id("missing")).to_have_text("2")


def test_a_burst_of_late_lines_is_drawn_whole(proof, server, read_proof):
    page, job = proof(height=128)
    rows = random_rows(128, job.bins)
    server.send(job, list(range(28)), rows[:28])
    read_proof(page, newest=27)
    for row in range(28, 128):
        server.send(job, [row], rows[row : row + 1])
    picture = read_proof(page, newest=127)
    assert picture.numbers.tolist() == list(range(128))
    assert np.array_equal(picture.codes, codes_of(rows))


def test_the_strip_holds_every_bit_of_a_row_number(proof, server, read_proof):
    page, job = proof(height=4)
    for number in (0x2AAAAAAA, 0x55555555, 2**31 - 1):
        rows = random_rows(1, job.bins)
        server.send(job, [number], rows)
        picture = read_proof(page, newest=number)
        assert np.array_equal(picture.codes[-1], codes_of(rows[0]))
        strip = picture.rgb[-1, :32, 0] // 255
        assert strip[:31].tolist() == [int(bit) for bit in f"{number:031b}"]
        assert strip.sum() % 2 == 1


def test_a_picture_of_another_scale_is_refused(open_page, server):
    page = open_page("?proof=1&channel=7&nfft=256&height=64", device_scale_factor=2)
    page.get_by_text("A proof picture needs a device pixel ratio of 1; here it is 2.").wait_for()
    server.until(lambda: server.deleted == list(server.jobs), "the job that cannot be shown to be ended")


def rows_of(levels, bins):
    """Spectra [row, channel, bin] of any shape whose band has these levels, dB: B = sqrt(sum of A²·fs/N)."""
    shape = RNG.uniform(0.5, 2, (*levels.shape, bins))
    band = np.sqrt((shape**2).sum(axis=-1) * FS / NFFT)
    return (shape * (10 ** (levels / 20) / band)[..., None]).astype(np.float32)


def levels_of(codes):
    """Levels well within the step of a code, so that no rounding can reach the next one."""
    return LOW + (codes + RNG.uniform(0.02, 0.98, codes.shape)) / 256 * (HIGH - LOW)


def test_every_pixel_is_the_level_of_its_channel(proof, server, read_proof):
    page, job = proof(**MANY)
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


@pytest.mark.parametrize("draw", [{}, {"draw": "plain"}], ids=["WebGL2", "Canvas2D"])
def test_every_pixel_of_a_waterfall_is_the_level_of_its_channel(proof, server, read_proof, draw):
    page, job = proof(view=2, cmin=60, cmax=160, **draw)
    assert job.request.is_waterfall
    codes = RNG.integers(0, 256, (64, 101))
    rows = amplitudes_of(codes)
    rows[7, 20] = np.nan
    codes[7, 20] = 0
    server.send(job, list(range(64)), rows)
    picture = read_proof(page, newest=63)
    assert picture.numbers.tolist() == list(range(64))
    assert np.array_equal(picture.codes, codes.astype(np.uint8))
    expect(page.get_by_test_id("error")).to_be_empty()


def test_a_line_waits_for_its_parts_but_not_for_ever(proof, server, read_proof):
    page, job = proof(**MANY)
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
    image = Image.open(io.BytesIO(page.get_by_test_id("canvas").screenshot())).convert("RGBA")
    return len(np.unique(np.asarray(image).view(np.uint32)))


def test_nothing_is_left_of_the_picture_before(open_page, server, look):
    page = open_page("?auto=1&view=1&channel=7&cmin=60&cmax=70&nfft=256&lps=20&lo=-80&hi=20")
    left = []
    for other in ("0", "1"):
        job = server.job
        channels = job.request.channels.amount
        server.send_whole(job, list(range(40)), rows_of(RNG.uniform(LOW, HIGH, (40, channels)), job.bins))
        expect(page.get_by_test_id("newest")).not_to_have_text("–")
        look(page, canvas_colours, lambda colours: colours > 30, "a picture")
        left.append(job.id)
        page.get_by_test_id("view").select_option(other)
        server.until(lambda: len(server.jobs) == 1 + len(left), "the other view's job")
        assert server.job.request.view_type == int(other)
        expect(page.get_by_test_id("connection")).to_contain_text("connecting")
        assert canvas_colours(page) <= 2, "an empty picture has its background and perhaps a line around it"
        server.until(lambda: server.deleted == left, "the end of the job before")


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
    expect(page.get_by_test_id("newest")).not_to_have_text("–")
    canvas, readout = page.get_by_test_id("canvas"), page.get_by_test_id("readout")
    box = canvas.bounding_box()
    canvas.hover(position={"x": 4.5 / 11 * box["width"], "y": 25.5 / 50 * box["height"]})
    expect(readout).to_contain_text("Channel 64")
    expect(readout).to_contain_text("−20.0 dB")
    expect(readout).to_contain_text("352.0 m")
