"""The picture as an operator sees it, in colours and stretched to its place: each pixel is what numpy computes."""

import io

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import expect

LOW, HIGH = -80, 20
RNG = np.random.default_rng(7)
LINES = 90
VIEWS = {
    "0": {"view": 0, "cmin": 60, "cmax": 84},
    "1": {"view": 1, "channel": 7},
    "2": {"view": 2, "cmin": 60, "cmax": 159},
}
TABLES = """async () => {
  const colours = new URL("colours.js", document.querySelector("script").src);
  const { COLOUR_NAMES, colourTable } = await import(colours);
  return Object.fromEntries(COLOUR_NAMES.map((name) => [name, [...colourTable(name)]]));
}"""


def anchored(name, table):
    """What is known of each map without asking the page: a formula, or colours that it must pass through."""
    place = np.arange(256) / 255
    if name == "grayscale":
        assert np.array_equal(table, np.repeat(np.arange(256)[:, None], 3, axis=1))
    elif name == "jet":
        formula = np.clip(1.5 - abs(4 * place[:, None] - np.array([3, 2, 1])), 0, 1) * 255
        assert abs(table - formula).max() <= 1.5
    elif name == "viridis":
        anchors = np.array([[68, 1, 84], [33, 145, 140], [253, 231, 37]])
        assert abs(table[[0, 128, 255]] - anchors).max() <= 1
    else:
        assert table[0][2] > 100 > table[0][1], "parula begins blue"
        assert min(table[255][:2]) > 200 > table[255][2], "and ends yellow"


def send_picture(server, job):
    """Send LINES lines whose levels lie well within the steps of codes; gives the codes [line, column]."""
    view = int(job.request.view_type)
    columns = job.bins if view == 1 else job.request.channels.amount
    codes = RNG.integers(0, 256, (LINES, columns))
    amplitudes = 10 ** ((LOW + (codes + RNG.uniform(0.05, 0.95, codes.shape)) / 256 * (HIGH - LOW)) / 20)
    if view == 0:
        spacing = 1000 / job.nfft
        rows = np.repeat(amplitudes[:, :, None] / np.sqrt(job.bins * spacing), job.bins, axis=2)
        server.send_whole(job, list(range(LINES)), rows.astype(np.float32))
    else:
        server.send(job, list(range(LINES)), amplitudes.astype(np.float32))
    return codes


def expected(codes, table, width, height):
    """Where a pixel covers several values or lines the highest is shown; the newest line is at the bottom."""
    columns = codes.shape[1]
    first = np.arange(width) * columns // width
    last = np.maximum(first + 1, (np.arange(width) + 1) * columns // width)
    across = np.stack([codes[:, a:b].max(axis=1) for a, b in zip(first, last, strict=True)], axis=1)
    scale = np.float32(LINES / height)
    upwards = across[::-1]
    from_bottom = np.arange(height, dtype=np.float32)
    oldest = np.floor(from_bottom * scale).astype(int)
    newest = np.minimum(LINES, np.floor((from_bottom + 1) * scale).astype(int))
    rows = np.stack([upwards[a : max(a + 1, b)].max(axis=0) for a, b in zip(oldest, newest, strict=True)])
    return table[rows[::-1]]


def read(page):
    """Read the canvas from the screen, without what lies over it."""
    page.mouse.move(0, 0)
    canvas = page.get_by_test_id("canvas")
    width, height = canvas.evaluate("(canvas) => [canvas.width, canvas.height]")
    box = canvas.bounding_box()
    left, top = round(box["x"]), round(box["y"])  # a canvas begins at a whole pixel, whatever its place says
    screen = np.asarray(Image.open(io.BytesIO(page.screenshot())).convert("RGB")).astype(int)
    return screen[top : top + height, left : left + width]


@pytest.fixture
def compare(look):
    """Compare what is on the screen with the oracle, as soon as the last line is drawn."""

    def right(codes, table, picture):
        inside = picture[1:-1, 1:-1]  # the outline of the canvas covers a pixel at each side
        wanted = expected(codes, table, picture.shape[1], picture.shape[0])[1:-1, 1:-1]
        return (inside == wanted).all()

    return lambda page, codes, table: look(page, read, lambda seen: right(codes, table, seen), "each pixel to be right")


def query(view):
    choices = {"auto": 1, "nfft": 128, "lps": 20, "height": LINES, "lo": LOW, "hi": HIGH, **VIEWS[view]}
    # A recording is never late, so nothing dims it.
    choices |= {"start": 1769853600, "end": 1769853605}
    return "?" + "&".join(f"{name}={value}" for name, value in choices.items())


# After the switch the first two have shown all three views.
@pytest.mark.parametrize("view", ["0", "1", pytest.param("2", marks=pytest.mark.soak)])
def test_every_pixel_in_every_colour_map_at_every_size_and_after_a_switch(open_page, server, compare, view):
    page = open_page(query(view))
    tables = {name: np.array(table).reshape(256, 4)[:, :3] for name, table in page.evaluate(TABLES).items()}
    for name, table in tables.items():
        anchored(name, table)
    codes = send_picture(server, server.job)
    expect(page.get_by_test_id("connection")).to_have_text("playing")
    for name in ("parula", "grayscale", "jet", "viridis"):
        page.get_by_test_id("cmap").select_option(name)
        compare(page, codes, tables[name])
    for size in ({"width": 1100, "height": 640}, {"width": 1366, "height": 900}):
        page.set_viewport_size(size)
        compare(page, codes, tables["viridis"])
    other = str((int(view) + 1) % 3)
    page.get_by_test_id("view").select_option(other)
    server.until(lambda: len(server.requests) == 2, "the other view's request")
    codes = send_picture(server, server.job)
    expect(page.get_by_test_id("connection")).to_have_text("playing")
    compare(page, codes, tables["viridis"])


def test_every_pixel_after_zooming_in(open_page, server, compare):
    page = open_page(query("1"))
    table = np.array(page.evaluate(TABLES)["parula"]).reshape(256, 4)[:, :3]
    first = server.job
    send_picture(server, first)
    expect(page.get_by_test_id("connection")).to_have_text("playing")
    box = page.get_by_test_id("canvas").bounding_box()

    def at(x, y):
        return box["x"] + x * box["width"], box["y"] + y * box["height"]

    page.mouse.move(*at(0.25, 0.2))
    page.mouse.down()
    page.mouse.move(*at(0.5, 0.8), steps=3)
    expect(page.get_by_test_id("zoom-box")).to_be_visible()
    page.mouse.up()
    server.until(lambda: len(server.requests) == 2, "the zoomed request")
    band = server.requests[1]["frequencyRange"]
    assert 115 <= band["min"] <= 125 < 245 <= band["max"] <= 255
    span = server.requests[1]["end_time"] - server.requests[1]["start_time"]
    assert abs(span - 0.6 * LINES * first.hop / 1000) < 0.2
    codes = send_picture(server, server.job)
    compare(page, codes, table)
    server.until(lambda: server.deleted == [first.id], "the job before to be ended")
    page.get_by_test_id("zoom-out").click()
    server.until(lambda: len(server.requests) == 3, "the request before the zoom")
    assert server.requests[2] == server.requests[0]
    expect(page.get_by_test_id("zoom-out")).to_be_disabled()
