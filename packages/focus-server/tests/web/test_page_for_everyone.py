"""The page for people who use a keyboard, hear it, need contrast or little motion, on any of its sizes."""

import time
from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import expect

AXE = Path(__file__).parents[2] / "node_modules/axe-core/axe.min.js"
PATIENCE_S = 60
SIZES = {"laptop": (1366, 768), "desk": (1920, 1080), "tablet": (820, 1180)}
PROBLEMS = """async () => {
  const { violations } = await axe.run(document, { resultTypes: ["violations"] });
  return violations
    .filter(({ impact }) => impact === "serious" || impact === "critical")
    .map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html.slice(0, 120)).join(" | ")}`);
}"""


def problems(page):
    if not page.evaluate("typeof axe === 'object'"):
        page.evaluate(AXE.read_text())
    return page.evaluate(PROBLEMS)


def show_lines(server, job, count=60):
    shape = (count, job.request.channels.amount, job.bins or 1)
    amplitudes = 10 ** np.random.default_rng(5).uniform(-4, 0, shape)
    server.send_whole(job, list(range(count)), amplitudes if job.bins else amplitudes[:, :, 0])


@pytest.mark.parametrize("scheme", ["dark", pytest.param("light", marks=pytest.mark.soak)])
def test_no_state_of_the_page_has_a_serious_problem(open_page, server, scheme):
    end = int(time.time()) - 60
    states = {
        "stopped": "?channel=7",
        "refused": "?auto=1&channel=501",
        "split": "?auto=1&channel=7&w=view%3D2%26cmin%3D1%26cmax%3D50%26auto%3D1&layout=split",
        "recorded": f"?auto=1&view=0&cmin=1&cmax=50&start={end - 30}&end={end}&playrate=1",
    }
    page = open_page(states["stopped"], color_scheme=scheme)

    def watched(before, amount):
        jobs = [*server.jobs.values()][before:]
        return len(jobs) == amount and all(job.watched for job in jobs)

    for name, query in states.items():
        before = len(server.jobs)
        page.goto(f"{server.url}/liveView{query}")
        if name in ("split", "recorded"):
            amount = {"split": 2, "recorded": 1}[name]
            server.until(lambda: watched(before, amount), f"all jobs of the page {name}")  # noqa: B023 - called here
            for job in [*server.jobs.values()][before:]:
                show_lines(server, job)
            expect(page.locator("#connection")).not_to_have_text("connecting")
        if name == "refused":
            expect(page.get_by_test_id("error")).to_be_visible()
        if name == "recorded":
            page.get_by_test_id("spectrum-toggle").click()
            assert problems(page) == [], f"{name} with a spectrum, {scheme}"
            page.get_by_test_id("keys").click()
        assert problems(page) == [], f"{name}, {scheme}"


def test_a_problem_would_be_found(open_page):
    page = open_page("?channel=7")
    page.evaluate("document.getElementById('fit').textContent = ''")
    assert any("button-name" in problem for problem in problems(page))


@pytest.mark.parametrize(
    "query",
    [
        # A recording has all that a live view has, and more.
        pytest.param("view=0&cmin=1&cmax=50", marks=pytest.mark.soak),
        "view=0&cmin=1&cmax=50&start={start}&end={end}",
    ],
)
def test_everything_has_its_place_on_every_screen(open_page, server, query):
    end = int(time.time()) - 60
    page = open_page("?auto=1&nfft=256&lps=20&" + query.format(start=end - 20, end=end))
    show_lines(server, server.job)
    controls = ["stop", "fit", "export-segy", "layout", "timeline", "hi", "theme", "readout"]
    if "start" in query:
        controls += ["start-time", "end-time", "playrate", "play", "pause", "position"]
    for width, height in SIZES.values():
        page.set_viewport_size({"width": width, "height": height})
        for control in controls:
            expect(page.get_by_test_id(control)).to_be_in_viewport(ratio=1)
        scroll = page.evaluate("[document.documentElement.scrollWidth, document.documentElement.scrollHeight]")
        assert scroll == [width, height]
        assert page.get_by_test_id("canvas").bounding_box()["height"] > height / 3


def test_a_live_view_from_start_to_zoom_to_stop_with_keys_alone(open_page, server):
    page = open_page("?view=1&channel=7&nfft=256&lps=20&height=60")

    def tab_to(test_id):
        for _ in range(60):
            if page.evaluate("document.activeElement?.dataset.testid") == test_id:
                return
            page.keyboard.press("Tab")
        raise AssertionError(f"sixty steps of the focus never came to {test_id}")

    tab_to("channel")
    page.keyboard.press("Control+A")
    page.keyboard.type("9")
    page.keyboard.press("Enter")
    first = server.job
    assert first.request.channels.min == 9
    show_lines(server, first)
    expect(page.get_by_test_id("newest")).not_to_have_text("–")
    tab_to("canvas")
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("p")
    expect(page.get_by_test_id("spectrum-title")).to_contain_text("Channel 9 at ")
    page.keyboard.press("z")
    for _ in range(4):
        page.keyboard.press("Shift+ArrowRight")
    expect(page.get_by_test_id("zoom-box")).to_be_visible()
    page.keyboard.press("z")
    server.until(lambda: len(server.requests) == 2, "the zoomed job")
    band = server.requests[1]["frequencyRange"]
    assert 240 < band["min"] < 250
    assert 340 < band["max"] < 350
    expect(page.get_by_test_id("canvas")).to_be_focused()
    page.keyboard.press("Backspace")
    server.until(lambda: len(server.requests) == 3, "the job before the zoom")
    assert server.requests[2] == server.requests[0]
    page.keyboard.press("?")
    expect(page.get_by_test_id("keys-dialog")).to_be_visible()
    page.keyboard.press("Escape")
    page.keyboard.press("Shift+Tab")
    tab_to("stop")
    page.keyboard.press("Enter")
    expect(page.get_by_test_id("connection")).to_have_text("stopped")


# When each of the canvas's pictures was drawn, ms.
RECORD_FRAMES = """() => {
  const canvas = document.getElementById("canvas");
  window.drawn = [];
  const note = () => window.drawn.push(performance.now());
  new MutationObserver(note).observe(canvas, { attributeFilter: ["data-frames"] });
}"""


def test_who_wants_little_motion_gets_a_picture_that_moves_once_a_second(live, server):
    page, job = live("?auto=1&view=1&channel=7&nfft=256&lps=20", reduced_motion="reduce")
    page.evaluate(RECORD_FRAMES)
    sent = job.sent
    deadline = time.monotonic() + PATIENCE_S
    while len(drawn := page.evaluate("window.drawn")) < 4:
        assert time.monotonic() < deadline, f"waited {PATIENCE_S} s for a fourth picture"
        page.wait_for_timeout(100)
    # One at once, as when a first line settles its colours, may stand beside those that lines have drawn.
    assert min(np.diff(drawn[1:])) > 700
    assert job.sent - sent > 20, "lines came all the while"
