"""What an operator chooses, or has commanded: it reaches the server, lives in the address, is refused in sentences."""

import re
from urllib.parse import parse_qs, urlsplit

import numpy as np
import pytest
from playwright.sync_api import expect

from focus_server.contract import Channels, Refusal

CHOICES = {
    "channel": "12",
    "nfft": "512",
    "fmin": "5",
    "fmax": "120.5",
    "lps": "10",
    "height": "90",
    "lo": "-70",
    "hi": "5",
}


def controls(page):
    return {name: page.get_by_test_id(name).input_value() for name in [*CHOICES, "cmap"]}


def address(page):
    return {name: values[0] for name, values in parse_qs(urlsplit(page.url).query).items()}


def flowing(server):
    """The newest job, whose lines come from now on."""
    job = server.job
    server.flow(job)
    return job


def test_choices_survive_a_reload_and_reach_the_server(open_page, server):
    page = open_page("?kept=yes")
    expect(page.get_by_test_id("connection")).to_have_text("stopped")
    assert server.requests == []
    page.get_by_test_id("nfft").select_option("512")
    page.get_by_test_id("cmap").select_option("viridis")
    for name in CHOICES:
        if name != "nfft":
            page.get_by_test_id(name).fill(CHOICES[name])
    page.get_by_test_id("start").click()
    first = flowing(server)
    expect(page.get_by_test_id("connection")).to_have_text("live")
    chosen = {**CHOICES, "cmap": "viridis"}
    assert address(page) == {"kept": "yes", "view": "1", "auto": "1", **chosen}
    assert server.requests == [
        {
            "view_type": "1", "channels": {"min": 12, "max": 12}, "displayInfo": {"height": 90},
            "displayTimeAxisDuration": 9, "nfftSelection": 512, "frequencyRange": {"min": 5, "max": 120.5},
            "lines_per_second": 10,
        }
    ]  # fmt: skip

    page.reload()
    server.until(lambda: len(server.jobs) == 2, "the job of the page that was loaded again")
    second = flowing(server)
    expect(page.get_by_test_id("connection")).to_have_text("live")
    assert controls(page) == chosen
    assert server.requests[1] == server.requests[0]
    server.until(lambda: server.deleted == [first.id], "the job of the page that was left to be ended")

    # Another value: applied on demand, kept in the address, and the job before is ended.
    expect(page.get_by_test_id("start")).to_be_disabled()
    page.get_by_test_id("nfft").select_option("1024")
    expect(page.get_by_test_id("start")).to_have_text("Apply")
    page.get_by_test_id("start").click()
    server.until(lambda: len(server.jobs) == 3, "a job for the new choice")
    assert server.requests[2] == {**server.requests[0], "nfftSelection": 1024}
    server.until(lambda: server.deleted == [first.id, second.id], "the job before to be ended")
    third = flowing(server)
    expect(page.get_by_test_id("job")).to_have_text(third.id)
    assert address(page)["nfft"] == "1024"

    page.get_by_test_id("stop").click()
    expect(page.get_by_test_id("connection")).to_have_text("stopped")
    server.until(lambda: server.deleted[-1] == third.id, "the stopped job to be ended")
    assert "auto" not in address(page)


# What a page has loaded, and how much of it came over the network; what it asks the server for later is left out.
LOADED = """() => performance.getEntriesByType("resource").filter(({ initiatorType }) => initiatorType !== "fetch")
  .map(({ name, transferSize }) => [name.split("/").pop(), transferSize])"""


def test_a_page_that_comes_again_asks_for_none_of_its_files(open_page, server):
    page = open_page()
    expect(page.get_by_test_id("connection")).to_have_text("stopped")
    page.goto(f"{server.url}/liveView?channel=8")
    expect(page.get_by_test_id("connection")).to_have_text("stopped")
    loaded = dict(page.evaluate(LOADED))
    assert {"main.js", "limits.js", "utc.js", "style.css"} < loaded.keys()
    assert [name for name, size in loaded.items() if size] == []


def test_a_refusal_is_shown_as_its_sentence_and_trying_again_works(open_page, server):
    page = open_page("?channel=501")
    error, start = page.get_by_test_id("error"), page.get_by_test_id("start")
    expect(error).to_be_hidden()
    start.click()
    expect(error).to_be_visible()
    expect(error).to_have_text(re.compile(r"501.*\.$"))
    expect(page.get_by_test_id("connection")).to_have_text("error")
    expect(page.get_by_test_id("channel")).to_have_attribute("aria-invalid", "true")
    expect(page.get_by_test_id("channel")).to_be_focused()

    # What was wrong is put right; the next refusal can only be waited for, or tried again by hand.
    server.refusals.append(Refusal(503, "The fibre sends nothing; see whether the interrogator runs.", retry_after=600))
    page.get_by_test_id("channel").fill("500")
    start.click()
    expect(error).to_have_text("The fibre sends nothing; see whether the interrogator runs.")
    expect(page.get_by_text(re.compile(r"^Trying again in (600|59\d) s$"))).to_be_visible()
    expect(page.get_by_test_id("channel")).not_to_have_attribute("aria-invalid", "true")
    page.get_by_test_id("retry").click()
    server.until(lambda: server.jobs, "the job that was asked for again")
    flowing(server)
    expect(page.get_by_test_id("connection")).to_have_text("live")
    expect(error).to_be_hidden()
    assert [request["channels"]["max"] for request in server.requests] == [501, 500, 500]
    assert server.keys[2] == server.keys[1] != server.keys[0]


def test_a_busy_server_is_asked_again_when_it_said(open_page, server):
    server.refusals.append(Refusal(503, "Too many jobs; end one.", retry_after=1))
    page = open_page("?auto=1")
    expect(page.get_by_test_id("error")).to_have_text("Too many jobs; end one.")
    flowing(server)
    expect(page.get_by_test_id("connection")).to_have_text("live")
    expect(page.get_by_test_id("error")).to_be_hidden()


@pytest.mark.parametrize(
    ("query", "sentence"),
    [
        ("?nfft=many", "The address says nfft=many, which is not a number; correct it or choose below."),
        ("?cmap=hot", "The address says cmap=hot; the colour maps are parula, grayscale, jet, viridis."),
        (
            "?view=3&auto=1",
            "This page shows view 0 (multichannel), view 1 (single channel) and view 2 (waterfall), not view 3.",
        ),
        (
            "?start=1&end=2&playrate=0&auto=1",
            "The address says playrate=0; a recording plays at 0.001 to 1000000 times its own speed.",
        ),
        ("?tab=1", "The address says tab=1, but it holds windows 0 to 0."),
    ],
)
def test_an_address_that_cannot_be_meant_is_refused(open_page, server, query, sentence):
    page = open_page(query)
    expect(page.get_by_test_id("error")).to_have_text(sentence)
    assert server.requests == []


def test_each_colour_table_has_256_different_colours(open_page):
    page = open_page()
    tables = page.evaluate(
        """async () => {
          const colours = new URL("colours.js", document.querySelector("script").src);
          const { COLOUR_NAMES, colourTable } = await import(colours);
          return Object.fromEntries(COLOUR_NAMES.map((name) => [name, [...colourTable(name)]]));
        }"""
    )
    assert list(tables) == page.get_by_test_id("cmap").locator("option").all_text_contents()
    assert list(tables) == ["parula", "grayscale", "jet", "viridis"]
    for name, table in tables.items():
        colours = np.array(table).reshape(-1, 4)
        assert len(colours) == len(np.unique(colours[:, :3], axis=0)) == 256, name
        assert (colours[:, 3] == 255).all()
    assert np.array_equal(np.array(tables["grayscale"]).reshape(-1, 4)[:, 0], np.arange(256))


def test_the_cursor_reads_frequency_time_level_and_place(open_page, server):
    page = open_page("?auto=1&channel=7&nfft=256&lps=20&height=50")
    job = server.job
    amplitudes = np.full((50, job.bins), 1e-3)
    amplitudes[25, 64] = 0.1
    server.send(job, [row for row in range(50) if row != 10], np.delete(amplitudes, 10, axis=0))
    expect(page.get_by_test_id("newest")).not_to_have_text("–")
    canvas, readout = page.get_by_test_id("canvas"), page.get_by_test_id("readout")
    box = canvas.bounding_box()

    def point_at(bin_, row):
        canvas.hover(position={"x": (bin_ + 0.5) / job.bins * box["width"], "y": (row + 0.5) / 50 * box["height"]})

    point_at(64, 25)
    time = r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3} UTC"
    level = r"−20\.0 dB re 1 counts/√Hz"
    expect(readout).to_have_text(re.compile(rf"^250\.00 Hz · {time} · {level} · Channel 7 · 124\.0 m$"))
    point_at(65, 25)
    expect(readout).to_contain_text("−60.0 dB")
    point_at(64, 10)
    expect(readout).to_contain_text("line missing")
    canvas.focus()
    page.keyboard.press("ArrowRight")
    expect(readout).to_contain_text("Hz")
    page.keyboard.press("Escape")
    expect(readout).to_have_text("Point at the picture to read it.")


LOWERED = "The lines per second were lowered to 5: 500 channels at 20 lines/s would take more than a viewer may have."
UNKNOWN = (
    "No recordings can be looked up now, live views work; see whether MongoDB runs at the address of the catalogue."
)


def test_everything_fits_a_laptop_and_a_tablet_whatever_is_said(live, server):
    server.lowered = {"asked_lines_per_second": 20, "lines_per_second": 5, "reason": LOWERED}
    server.ranges = Refusal(503, UNKNOWN, "MongoDB", 5)
    page, job = live("?auto=1&lps=20&nfft=128")
    expect(page.get_by_test_id("recordings-error")).to_contain_text(UNKNOWN)
    expect(page.get_by_test_id("recordings-error")).to_have_attribute("title", f"catalogue down: {UNKNOWN}")
    page.get_by_test_id("canvas").hover()
    expect(page.get_by_test_id("readout")).to_contain_text(" UTC · ")
    heights = set()

    def fits():
        for width, height in ((1366, 768), (820, 1180)):
            page.set_viewport_size({"width": width, "height": height})
            size = page.evaluate("[document.documentElement.scrollWidth, document.documentElement.scrollHeight]")
            assert size == [width, height]
            expect(page.get_by_test_id("readout")).to_be_in_viewport(ratio=1)
            canvas = page.get_by_test_id("canvas").bounding_box()["height"]
            assert canvas > height / 2
            heights.add((width, canvas))

    fits()
    server.tell(job, type="dropped", lines=123456)
    expect(page.get_by_test_id("missing")).to_contain_text("(123456 dropped)")
    server.hold(job)
    expect(page.get_by_test_id("behind")).to_have_text(re.compile("behind by"))
    fits()
    server.close(
        job, 1012, "the server at this address restarts, which takes a while; nothing is lost that was recorded"
    )
    expect(page.get_by_test_id("connection")).to_have_text(re.compile("reconnecting|connecting"))
    fits()
    server.until(lambda: job.watched, "the page to connect again")
    server.flow(job)
    expect(page.get_by_test_id("note")).to_contain_text("Reconnected after")
    fits()
    assert len(heights) == 2, "a word more or less does not move the picture"


def test_colours_and_their_ends_are_those_that_were_commanded(live, server):
    page, job = live("?channel=12&auto=1")
    server.tell(job, type="display", caxis=None, colormap="jet")
    expect(page.get_by_test_id("cmap")).to_have_value("jet")
    expect(page.get_by_test_id("lo")).to_have_value("")
    server.tell(job, type="display", caxis={"min": -61.5, "max": -20}, colormap="jet")
    expect(page.get_by_test_id("lo")).to_have_value("-61.5")
    expect(page.get_by_test_id("hi")).to_have_value("-20")
    expect(page.get_by_test_id("cmap")).to_have_value("jet")
    assert len(server.requests) == 1


def command_channels(server, job, *groups):
    """Have the job's lines be of other channels from now on, one group a stream."""
    server.hold(job)
    job.groups = list(groups)
    job.request = job.request.model_copy(update={"channels": Channels(min=groups[0].min, max=groups[-1].max)})
    server.flow(job)


def test_other_channels_of_a_single_view_are_named_and_shown(live, server):
    page, job = live("?channel=12&auto=1")
    expect(page.locator("#title")).to_contain_text("Channel 12 ·")
    command_channels(server, job, Channels(min=40, max=41))
    expect(page.locator("#title")).to_contain_text("Channel 40 ·")
    expect(page.get_by_test_id("connection")).to_have_text("live")
    assert server.deleted == []


def test_other_channels_of_a_multichannel_view_have_their_own_axis(live, server):
    page, job = live("?view=0&cmin=1&cmax=6&nfft=128&auto=1")
    expect(page.locator("#title")).to_contain_text("Channels 1 to 6")
    command_channels(server, job, Channels(min=10, max=11), Channels(min=12, max=12), Channels(min=13, max=13))
    expect(page.locator("#title")).to_contain_text("Channels 10 to 13")
    expect(page.get_by_test_id("connection")).to_have_text("live")
