"""What commands change of a job while LiveView shows it: its colours at once, its channels with a new picture."""

import numpy as np
from playwright.sync_api import expect

from focus_server.contract import Channels


def line(job, row=0, level=1e-3):
    amplitudes = np.full((1, job.bins), level)
    return [row], amplitudes


def test_colours_and_their_ends_are_those_that_were_commanded(open_page, server):
    page = open_page("?channel=12&auto=1")
    job = server.job
    server.send(job, *line(job))
    expect(page.get_by_test_id("connection")).to_have_text("live")
    server.tell(job, type="display", caxis=None, colormap="jet")
    expect(page.get_by_test_id("cmap")).to_have_value("jet")
    expect(page.get_by_test_id("lo")).to_have_value("")
    server.tell(job, type="display", caxis={"min": -61.5, "max": -20}, colormap="jet")
    expect(page.get_by_test_id("lo")).to_have_value("-61.5")
    expect(page.get_by_test_id("hi")).to_have_value("-20")
    expect(page.get_by_test_id("cmap")).to_have_value("jet")
    assert len(server.requests) == 1


def test_other_channels_of_a_single_view_are_named_and_shown(open_page, server):
    page = open_page("?channel=12&auto=1")
    job = server.job
    server.send(job, *line(job))
    expect(page.locator("#title")).to_contain_text("Channel 12 ·")
    job.groups = [Channels(min=40, max=41)]
    job.request = job.request.model_copy(update={"channels": job.groups[0]})
    server.send(job, [1], np.full((1, 2, job.bins), 1e-3))
    expect(page.locator("#title")).to_contain_text("Channel 40 ·")
    server.send(job, [2], np.full((1, 2, job.bins), 1e-3))
    expect(page.get_by_test_id("connection")).to_have_text("live")
    assert server.deleted == []


def test_other_channels_of_a_multichannel_view_have_their_own_axis(open_page, server):
    page = open_page("?view=0&cmin=1&cmax=6&nfft=128&auto=1")
    job = server.job
    server.send_whole(job, [0], np.full((1, 6, job.bins), 1e-3))
    expect(page.locator("#title")).to_contain_text("Channels 1 to 6")
    job.groups = [Channels(min=10, max=11), Channels(min=12, max=12), Channels(min=13, max=13)]
    job.request = job.request.model_copy(update={"channels": Channels(min=10, max=13)})
    for row in range(1, 4):
        server.send_whole(job, [row], np.full((1, 4, job.bins), 1e-3))
    expect(page.locator("#title")).to_contain_text("Channels 10 to 13")
    server.send_whole(job, [9], np.full((1, 4, job.bins), 1e-3))
    expect(page.get_by_test_id("connection")).to_have_text("live")
