"""LiveView as an operator uses it, while the parts behind it really fail: every outage is a sentence, and passes."""

import re
import time
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from fullspan.clients import FocusClient, LiveMetadata, Refused
from fullspan.faults import Fault, Faults, Hang, Kill, Restart, Stop
from fullspan.pytest_plugin import Evidence
from fullspan.stack import Stack

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

SOON_MS = 60_000
"""Until what is waited for is on the page; how late it may be is asked elsewhere."""
ALL_MS = 5 * SOON_MS
"""Until thirty windows have their lines, on a machine with much else to do."""
SIZE = {"width": 1366, "height": 768}
VIEWS = {"0": "Channels 1 to 50", "1": "Channel 21", "2": "Channels 1 to 50"}
WINDOWS = 30
SWITCHES = 50
NFFTS = (8192, 4096, 2048, 1024, 512, 128)
WARM = 10
"""Switches after which a page has made what it keeps."""
LEAK_BYTES = 1_000_000
"""Well below what forty pictures would be that stayed."""
BEHIND = re.compile(r"behind by \d+ s")
LAST_RECORDED = """(strip) => {
  const { left, right } = strip.lastElementChild.getBoundingClientRect();
  return [left, right];
}"""
# Lines that came are looked at by how many there were, not by a state that a busy machine may take away again.
FLOWS = re.compile(r"live|late")


@pytest.fixture
def operator(browser: Browser) -> Iterator[Page]:
    """A page as large as a laptop's; an error in one of its scripts fails the test."""
    context = browser.new_context(viewport={"width": SIZE["width"], "height": SIZE["height"]}, accept_downloads=True)
    page = context.new_page()
    page.set_default_timeout(SOON_MS)
    expect.set_options(timeout=SOON_MS)
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    yield page
    context.close()
    assert not errors, errors


@pytest.fixture
def address(stack: Stack, live: LiveMetadata) -> str:
    """The page's address, once the fibre is there."""
    assert not live.waiting
    return f"{stack.endpoint('focus.liveview')}/?auto=1&view=1&channel=21&cmin=1&cmax=50&nfft=256&lps=20"


def said(page: Page, test_id: str) -> Locator:
    """What the page says at one of its places."""
    return page.get_by_test_id(test_id)


def flows(page: Page) -> None:
    """Wait until lines come, newer than what was there."""
    newest = said(page, "newest").text_content()
    expect(said(page, "connection")).to_have_text(FLOWS)
    expect(said(page, "newest")).not_to_have_text(newest or "–")
    expect(said(page, "behind")).to_be_empty()


def test_live_and_recorded_views_from_one_page(
    operator: Page, address: str, focus: FocusClient, evidence: Evidence
) -> None:
    page = operator
    page.goto(address)
    flows(page)
    for view in ("2", "0", "1"):
        said(page, "view").select_option(view)
        expect(page.locator("#title")).to_contain_text(VIEWS[view])
        flows(page)
        evidence.attach(f"live-view-{view}.png", page.screenshot())
    expect(said(page, "recorded").locator("i").first).to_be_attached()
    # At once, for the strip is drawn anew each time that the page has asked what is recorded.
    left, right = said(page, "recorded").evaluate(LAST_RECORDED)
    whole = said(page, "timeline").bounding_box()
    assert whole is not None
    middle = whole["y"] + whole["height"] / 2
    page.mouse.move(max(left, right - 30) + 1, middle)
    page.mouse.down()
    page.mouse.move(right - 4, middle, steps=3)
    page.mouse.up()
    expect(said(page, "complete")).to_have_text(re.compile(r"complete · [1-9]\d* lines"))
    said(page, "spectrum-toggle").click()
    said(page, "canvas").hover()
    expect(said(page, "spectrum-title")).to_contain_text("Channel 21 at ")
    evidence.attach("recorded.png", page.screenshot())
    with page.expect_download() as download:
        said(page, "export-hdf5").click()
    evidence.figure("numbers of a picture as HDF5", download.value.path().stat().st_size, "B")
    said(page, "mode").select_option("live")
    flows(page)
    page.close()
    deadline = time.monotonic() + SOON_MS / 1000
    while focus.jobs():
        assert time.monotonic() < deadline, "a page that is closed leaves no job"
        time.sleep(0.1)


OUTAGES: dict[str, tuple[Fault, str, re.Pattern[str]]] = {
    "RabbitMQ hangs": (Hang("rabbitmq"), "behind", BEHIND),
    "MongoDB is killed": (Kill("mongodb"), "recordings-error", re.compile("^catalogue down: .*live views work")),
    "the server restarts": (Restart("focus"), "note", re.compile(r"^Reconnected after \d+\.\d s\.$")),
    "the server is away": (Stop("focus"), "connection", re.compile("^reconnecting$")),
    "the analyzer is killed": (Kill("analyzer"), "connection-detail", re.compile("^The analyzer is not reachable")),
    "the fibre is away": (Hang("interrogator"), "behind", BEHIND),
}
AT_ONCE = ("RabbitMQ hangs", "MongoDB is killed", "the server restarts")


@pytest.mark.resilience
@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=() if name in AT_ONCE else pytest.mark.soak) for name in OUTAGES]
)
def test_an_outage_is_said_and_passes(
    operator: Page, address: str, faults: Faults, evidence: Evidence, name: str
) -> None:
    fault, where, sentence = OUTAGES[name]
    page = operator
    page.goto(address)
    flows(page)
    evidence.say(f"{name} under a live page")
    with faults.active(fault):
        if where != "note":
            if where == "recordings-error":
                said(page, "timeline-span").select_option("3600")
            expect(said(page, where)).to_have_text(sentence)
            evidence.attach("while.png", page.screenshot())
        if name == "MongoDB is killed":
            flows(page)
            said(page, "mode").select_option("historic")
            said(page, "play").click()
            expect(said(page, "error")).to_contain_text("No recordings can be looked up now, live views work")
            evidence.attach("history-refused.png", page.screenshot())
            # Back to the present is done at once, without another step.
            said(page, "mode").select_option("live")
    if where == "note":
        expect(said(page, where)).to_have_text(sentence)
    flows(page)
    expect(said(page, "error")).to_be_hidden()
    if where == "recordings-error":
        expect(said(page, where)).to_be_empty()
    evidence.attach("after.png", page.screenshot())


def test_what_cannot_be_had_is_said(operator: Page, address: str, focus: FocusClient, evidence: Evidence) -> None:
    page = operator
    page.goto(f"{address}&start=1000000000&end=1000000060")
    expect(said(page, "error")).to_have_text("No recording found in given time range")
    expect(said(page, "connection")).to_have_text("error")
    page.goto(address.replace("channel=21", "channel=2222000"))
    expect(said(page, "error")).to_contain_text("channels.max must be at most 2222")
    expect(said(page, "channel")).to_have_attribute("aria-invalid", "true")
    evidence.attach("refused.png", page.screenshot())


@pytest.mark.soak
def test_thirty_windows_live_and_the_next_one_refused(
    operator: Page, address: str, focus: FocusClient, evidence: Evidence
) -> None:
    page = operator
    others = "".join(f"&w=view%3D1%26channel%3D{channel}%26nfft%3D256%26auto%3D1" for channel in range(1, WINDOWS))
    page.goto(f"{address}{others}&layout=split")
    panes = said(page, "pane")
    expect(panes.locator(".pane-state", has_text=re.compile("live|behind"))).to_have_count(WINDOWS, timeout=ALL_MS)
    assert len(focus.jobs()) == WINDOWS
    evidence.attach("thirty-windows.png", page.screenshot())
    said(page, "new-window").click()
    said(page, "start").click()
    expect(said(page, "error")).to_contain_text(str(WINDOWS))
    evidence.attach("the-next-refused.png", page.screenshot())
    said(page, "tab").last.focus()
    page.keyboard.press("Delete")
    expect(said(page, "tab")).to_have_count(WINDOWS)


@pytest.mark.resilience
@pytest.mark.soak
def test_an_analyzer_without_a_fibre_is_waited_for(
    operator: Page, address: str, faults: Faults, evidence: Evidence
) -> None:
    page = operator
    with faults.active(Stop("interrogator")):
        # What it had of the fibre goes with it.
        with faults.active(Restart("analyzer")):
            pass
        page.goto(address)
        expect(said(page, "error")).to_contain_text("waiting for fiber")
        expect(page.get_by_text(re.compile(r"^Trying again"))).to_be_visible()
        evidence.attach("waiting.png", page.screenshot())
    flows(page)
    expect(said(page, "error")).to_be_hidden()


@pytest.mark.soak
def test_a_stream_that_someone_ends_is_said_and_had_again(
    operator: Page, address: str, focus: FocusClient, evidence: Evidence
) -> None:
    page = operator
    page.goto(address)
    flows(page)
    ended = said(page, "job").text_content()
    assert ended
    focus.cancel(ended)
    expect(said(page, "error")).to_contain_text(f"Job {ended} was ended")
    expect(said(page, "connection")).to_have_text("error")
    evidence.attach("ended.png", page.screenshot())
    said(page, "retry").click()
    flows(page)
    expect(said(page, "job")).not_to_have_text(ended)


def until_full(focus: FocusClient, channels: int) -> tuple[list[str], int]:
    """Make jobs that share no lines until the server takes no more; give their ids and the NFFT that it refused."""
    made: list[str] = []
    for nfft in NFFTS:
        try:
            job = focus.configure((1, channels), view=0, nfft=nfft, lines_per_second=500, height=64)
        except Refused:
            return made, nfft
        made.append(job.job_id)
    raise AssertionError(f"{len(made)} jobs were made and there is still room")


@pytest.mark.soak
def test_a_server_over_capacity_is_asked_again_until_there_is_room(
    operator: Page, address: str, focus: FocusClient, live: LiveMetadata, evidence: Evidence
) -> None:
    page = operator
    channels = live.number_of_channels
    heavy, refused = until_full(focus, channels)
    # A single channel may still fit; what the server has just refused does not.
    asked = {"view=1": "view=0", "cmax=50": f"cmax={channels}", "nfft=256": f"nfft={refused}", "lps=20": "lps=500"}
    for before, after in asked.items():
        address = address.replace(before, after)
    page.goto(address)
    expect(said(page, "error")).to_contain_text("processor cores")
    expect(page.get_by_text(re.compile(r"^Trying again"))).to_be_visible()
    evidence.attach("over-capacity.png", page.screenshot())
    for job in heavy:
        focus.cancel(job)
    flows(page)
    expect(said(page, "error")).to_be_hidden()


@pytest.mark.soak
def test_fifty_switches_leave_nothing_behind(
    operator: Page, address: str, focus: FocusClient, evidence: Evidence
) -> None:
    page = operator
    page.goto(address)
    flows(page)
    session = page.context.new_cdp_session(page)
    used = []
    for number in range(SWITCHES):
        before = said(page, "job").text_content() or ""
        said(page, "view").select_option(str((number + 2) % 3))
        expect(said(page, "job")).not_to_have_text(before)
        flows(page)
        if number % 5 == 4:
            session.send("HeapProfiler.collectGarbage")
            used.append(session.send("Runtime.getHeapUsage")["usedSize"])
    evidence.figure("heap after fifty switches", used[-1], "B")
    evidence.figure("heap after ten", used[WARM // 5 - 1], "B")
    assert used[-1] - used[WARM // 5 - 1] < LEAK_BYTES, used
    expect(said(page, "canvas")).to_have_attribute("data-textures", "4")
    deadline = time.monotonic() + SOON_MS / 1000
    while len(focus.jobs()) > 1:
        assert time.monotonic() < deadline, "a view that was left keeps its job"
        time.sleep(0.1)
