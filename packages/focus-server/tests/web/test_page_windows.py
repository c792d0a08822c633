"""Many windows on one page: as tabs or side by side, each with its own job, all in the address."""

import re
from urllib.parse import parse_qs, urlsplit

import numpy as np
import pytest
from playwright.sync_api import expect

from focus_server.contract import Refusal

MOST = 30
SIZE_HEIGHT = 768


def query(page):
    return parse_qs(urlsplit(page.url).query)


def send_a_line(server, job):
    shape = (1, job.request.channels.amount, job.bins)
    server.send_whole(job, [0], np.full(shape if job.bins else shape[:2], 1e-3))


def windows_query(amount):
    others = "".join(f"&w=view%3D1%26channel%3D{channel}%26nfft%3D256%26auto%3D1" for channel in range(2, amount + 1))
    return f"?auto=1&view=1&channel=1&nfft=256&height=60{others}"


def watched(server, amount):
    return lambda: sum(job.watched for job in server.jobs.values()) == amount


def test_windows_have_jobs_of_their_own_and_live_in_the_address(live, server):
    page, first = live("?auto=1&view=1&channel=7&nfft=256&lps=20")
    expect(page.get_by_test_id("tab")).to_have_text(["Channel 7, live"])
    page.get_by_test_id("new-window").click()
    expect(page.get_by_test_id("connection")).to_have_text("stopped")
    page.get_by_test_id("channel").fill("8")
    page.get_by_test_id("start").click()
    server.until(lambda: len(server.jobs) == 2, "the second window's job")
    second = server.job
    server.flow(second)
    expect(page.get_by_test_id("tab")).to_have_text(["Channel 7, live", "Channel 8, live"])
    assert (query(page)["channel"], query(page)["tab"]) == (["8"], ["1"])
    assert "channel=7" in query(page)["w"][0]

    # The first goes on unseen, and is there at once when it is looked at.
    server.hold(first)
    expect(page.get_by_test_id("tab").nth(0)).to_contain_text("late")
    server.flow(first)
    expect(page.get_by_test_id("tab").nth(0)).to_contain_text("live")
    page.get_by_test_id("tab").nth(0).click()
    expect(page.get_by_test_id("job")).to_have_text(first.id)
    expect(page.locator("#title")).to_contain_text("Channel 7")
    assert page.get_by_test_id("channel").input_value() == "7"
    assert len(server.requests) == 2, "looking at a window asks for nothing"

    page.reload()
    server.until(lambda: len(server.jobs) == 4 and watched(server, 2)(), "both windows again")
    assert [request["channels"]["min"] for request in server.requests[2:]] == [7, 8]
    expect(page.get_by_test_id("tab")).to_have_count(2)
    page.get_by_test_id("close-window").nth(1).click()
    expect(page.get_by_test_id("tab")).to_have_count(1)
    server.until(lambda: list(server.jobs)[3] in server.deleted, "the closed window's job to be ended")
    assert "w" not in query(page)


@pytest.mark.soak
def test_thirty_windows_side_by_side_and_no_more(open_page, server):
    page = open_page(windows_query(MOST))
    server.until(watched(server, MOST), f"{MOST} windows with a viewer each")
    assert len(set(server.viewers)) == 1, "all windows of a page are one viewer's"
    page.get_by_test_id("layout").click()
    panes = page.get_by_test_id("pane")
    expect(panes).to_have_count(MOST)
    for job in server.jobs.values():
        send_a_line(server, job)
    for row in range(1, 40):
        for job in server.jobs.values():
            server.send(job, [row], np.full((1, job.bins), 10.0 ** (-row / 20)))
    expect(panes.locator(".pane-state", has_text=re.compile("live|behind"))).to_have_count(MOST)
    expect(panes.locator("canvas[data-drawn-by=Canvas2D]")).to_have_count(MOST)
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    drawn = page.evaluate(
        """() => [...document.querySelectorAll(".pane canvas")].map((canvas) => {
          const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
          return new Set(new Uint32Array(data.buffer)).size;
        })"""
    )
    assert min(drawn) >= 5, "each pane shows its lines in their colours"

    sentence = "You have 30 windows already, which is as many as one viewer may have; close one."
    server.refusals.append(Refusal(503, sentence, "windows", 60))
    page.get_by_test_id("new-window").click()
    page.get_by_test_id("channel").fill("31")
    page.get_by_test_id("start").click()
    expect(page.get_by_test_id("error")).to_have_text(sentence)
    expect(panes.nth(MOST)).to_contain_text(sentence)
    expect(page.get_by_test_id("tab")).to_have_count(MOST + 1)


def test_a_pane_is_chosen_and_enlarged(open_page, server):
    page = open_page(windows_query(3).replace("&height=60", "") + "&layout=split")
    server.until(watched(server, 3), "three windows")
    # The picture that is hidden has no height, which is no reason to keep no lines.
    assert {job.request.display_info.height for job in server.jobs.values()} == {SIZE_HEIGHT // 2}
    panes = page.get_by_test_id("pane")
    panes.nth(2).click()
    assert page.get_by_test_id("channel").input_value() == "3"
    expect(panes.nth(2)).to_have_attribute("aria-pressed", "true")
    panes.nth(2).click()
    expect(page.get_by_test_id("panes")).to_be_hidden()
    expect(page.get_by_test_id("canvas")).to_be_visible()
    assert query(page)["tab"] == ["2"]
    assert "layout" not in query(page)


def test_tabs_are_walked_and_closed_with_keys(open_page, server):
    page = open_page(windows_query(3))
    server.until(watched(server, 3), "three windows")
    page.get_by_test_id("tab").nth(0).focus()
    page.keyboard.press("ArrowRight")
    expect(page.get_by_test_id("tab").nth(1)).to_be_focused()
    assert page.get_by_test_id("channel").input_value() == "2"
    page.keyboard.press("End")
    assert page.get_by_test_id("channel").input_value() == "3"
    page.keyboard.press("Delete")
    expect(page.get_by_test_id("tab")).to_have_count(2)
    expect(page.get_by_test_id("tab").nth(1)).to_be_focused()
    server.until(lambda: len(server.deleted) == 1, "the closed window's job to be ended")


def heap_bytes(page):
    """Bytes in use on the page's heap after all garbage was collected."""
    session = page.context.new_cdp_session(page)
    session.send("HeapProfiler.collectGarbage")
    used = session.send("Runtime.getHeapUsage")["usedSize"]
    session.detach()
    return used


def newest_watched(server, amount):
    return len(server.jobs) == amount and list(server.jobs.values())[-1].watched


@pytest.mark.parametrize(
    ("switches", "draw"),
    [
        (15, ""),
        pytest.param(50, "", marks=pytest.mark.soak),
        pytest.param(50, "&draw=plain", marks=pytest.mark.soak),
    ],
)
def test_switches_leave_nothing_behind(open_page, server, switches, draw):
    page = open_page(f"?auto=1&view=1&channel=7&cmin=60&cmax=90&nfft=256&height=200{draw}")
    canvas = page.get_by_test_id("canvas")
    used = []
    for number in range(switches):
        server.until(lambda number=number: newest_watched(server, number + 1), "the next view's job")
        job = server.job
        send_a_line(server, job)
        expect(page.get_by_test_id("newest")).not_to_have_text("–")
        if number % 5 == 4:
            used.append(heap_bytes(page))
        page.get_by_test_id("view").select_option(str((number + 2) % 3))
    server.until(lambda: len(server.deleted) >= switches, "the jobs before to be ended")
    expect(canvas).to_have_attribute("data-textures", "0" if draw else "4")
    assert sum(len(watchers) for job in server.jobs.values() for watchers in job.viewers.values()) <= 3
    # Ten switches warm up; a picture that stayed with each of the others would be 400 kB each.
    assert used[-1] - used[1] < 1_000_000, used
