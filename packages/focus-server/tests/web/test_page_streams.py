"""The page while its stream is late, cut, silent or gone, or plays a recording: what is read then, and what follows."""

import re
import time

import numpy as np
from playwright.sync_api import expect

from focus_server.contract import Refusal

LIVE = "?auto=1&channel=7&nfft=256&lps=20"

# Everything that an element has said since; a state of 250 ms is not to be missed.
RECORD = """(id) => {
  const element = document.querySelector(`[data-testid=${id}]`);
  const said = [];
  (window.said ??= {})[id] = said;
  new MutationObserver(() => said.push(element.textContent))
    .observe(element, { childList: true, characterData: true, subtree: true });
}"""


def record(page, test_id):
    page.evaluate(RECORD, test_id)


def said(page, test_id):
    """What the element has said, one text for each change."""
    return page.evaluate("(id) => window.said[id]", test_id)


def test_lines_that_stop_are_said_to_be_behind_within_2_to_2_and_a_half_seconds(open_page, server):
    server.stop()
    server.stands_at = time.time()
    server.start()
    page = open_page(LIVE, stands_at=server.stands_at)
    connection, behind = page.get_by_test_id("connection"), page.get_by_test_id("behind")
    job = server.job
    server.send(job, [0], np.full((1, job.bins), 1e-3))
    expect(connection).to_have_text("live")
    passed_ms = 0

    def after_the_line_s(seconds):
        nonlocal passed_ms
        page.clock.run_for(round(1000 * seconds) - passed_ms)
        passed_ms = round(1000 * seconds)

    after_the_line_s(1.9)
    assert (connection.text_content(), behind.text_content()) == ("live", "")
    after_the_line_s(2.5)
    assert (connection.text_content(), behind.text_content()) == ("late", "behind by 2 s")
    after_the_line_s(2.9)
    assert behind.text_content() == "behind by 2 s"
    after_the_line_s(3.5)
    assert behind.text_content() == "behind by 3 s"

    page.clock.resume()
    server.flow(job, ahead_s=page.evaluate("Date.now()") / 1000 - time.time())
    expect(behind).to_be_empty()
    expect(connection).to_have_text("live")


def states(page):
    """What the connection has said; that a busy machine was late is no state of the connection."""
    return [text for text in said(page, "connection") if text != "late"]


def test_a_connection_that_is_cut_comes_back_with_the_same_job(live, server):
    page, job = live(LIVE)
    connection = page.get_by_test_id("connection")
    server.hold(job)
    record(page, "connection")
    server.close(job, 1012, "the server restarts")
    server.until(lambda: server.connections == 2, "the page to connect again")
    assert server.job is job
    expect(page.get_by_test_id("connection-detail")).to_have_text("waiting for the next line")
    server.flow(job)
    expect(connection).to_have_text("live")
    again = [state for i, state in enumerate(states(page)) if i == 0 or states(page)[i - 1] != state]
    assert again == ["reconnecting", "connecting", "live"]
    expect(page.get_by_test_id("note")).to_have_text(re.compile(r"^Reconnected after \d+\.\d s\.$"))
    assert list(server.jobs) == [job.id]


def test_a_server_that_dies_is_waited_for(live, server):
    page, job = live(LIVE)
    connection = page.get_by_test_id("connection")
    server.stop()
    expect(connection).to_have_text("reconnecting")
    expect(page.get_by_test_id("connection-detail")).to_have_text(re.compile(r"; next try in \d\.\d s$"))
    server.start()
    assert server.job is job
    server.flow(job)
    expect(connection).to_have_text("live")


def test_a_job_that_expired_during_an_outage_is_replaced(live, server):
    page, job = live(LIVE)
    server.stop()
    expect(page.get_by_test_id("connection")).to_have_text("reconnecting")
    del server.jobs[job.id]
    server.start()
    server.until(lambda: server.jobs, "a job that takes the place of the one that is gone")
    assert server.requests[-1] == server.requests[0]
    assert server.keys[-1] != server.keys[0]
    server.flow(server.job)
    expect(page.get_by_test_id("connection")).to_have_text("live")
    expect(page.get_by_test_id("note")).to_contain_text(f"Job {job.id} had ended meanwhile")


def test_what_the_server_says_is_shown(live, server):
    page, job = live(LIVE)
    connection = page.get_by_test_id("connection")
    server.hold(job)
    server.tell(job, type="filling", seconds_left=65.5)
    expect(connection).to_have_text("filling")
    expect(page.get_by_test_id("connection-detail")).to_have_text(re.compile(r"^first line in \d\d? s$"))
    server.tell(job, type="dropped", lines=12)
    server.flow(job)
    expect(connection).to_have_text("live")
    server.hold(job)
    expect(page.get_by_test_id("missing")).to_contain_text("(12 dropped)")
    server.send_bytes(job, b"\x0b")
    expect(connection).to_have_text("error")
    expect(page.get_by_test_id("error")).to_have_text("A message of the stream could not be read.")
    server.until(lambda: server.deleted == [job.id], "the job to be ended")


def send_rows(server, count=30):
    job = server.job
    server.send_whole(job, list(range(count)), np.full((count, job.request.channels.amount, job.bins), 1e-3))
    return job


def test_a_recording_is_played_to_its_end_and_never_behind(open_page, server):
    end = int(time.time()) - 60
    page = open_page(f"?auto=1&view=1&channel=7&nfft=256&height=60&start={end - 20}&end={end}&playrate=2")
    job = send_rows(server)
    # The page itself keeps the pace, so the whole recording is there to go back in.
    assert (job.request.start_time, job.request.end_time, job.request.playrate) == (end - 20, end, None)
    expect(page.get_by_test_id("connection")).to_have_text("playing")
    expect(page.get_by_test_id("behind")).to_be_empty()
    server.complete(job)
    expect(page.get_by_test_id("connection")).to_have_text("complete")
    expect(page.get_by_test_id("complete")).to_have_text("complete · 30 lines")
    expect(page.get_by_test_id("behind")).to_be_empty()
    assert server.deleted == [], "the picture of a recording stays, and so does its job"
    page.get_by_test_id("play").click()
    server.until(lambda: len(server.requests) == 2, "the same recording again")
    assert server.requests[0] == server.requests[1]


def test_a_proof_of_a_recording_holds_every_line(proof, server, read_proof):
    end = int(time.time()) - 60
    page, job = proof(view=0, cmin=1, cmax=5, start=end - 3, end=end)
    rows = np.full((60, 5, job.bins), 1e-3, np.float32)
    # One stream is far ahead of the others, as it may be when nothing waits for anything.
    for stream, group in enumerate(job.groups):
        server.send(job, list(range(60)), rows[:, group.min - 1 : group.max], stream)
    server.complete(job)
    expect(page.get_by_test_id("connection")).to_have_text("complete")
    assert read_proof(page, newest=59).numbers[-60:].tolist() == list(range(60))


def test_dragging_over_the_strip_plays_that_range(open_page, server):
    now = time.time()
    server.ranges = [[now - 300, now - 100], [now - 50, now]]
    page = open_page("?channel=7&nfft=256")
    recorded = page.get_by_test_id("recorded").locator("i")
    expect(recorded).to_have_count(2)
    assert server.asked_ranges[0]["end_time"] - server.asked_ranges[0]["start_time"] == 600
    strip = page.get_by_test_id("timeline").bounding_box()

    def x(age_s):
        return strip["x"] + strip["width"] * (1 - age_s / 600)

    page.mouse.move(x(250), strip["y"] + 5)
    page.mouse.down()
    page.mouse.move(x(150), strip["y"] + 5, steps=4)
    expect(page.get_by_test_id("timeline-hint")).to_contain_text(" s")
    page.mouse.up()
    request = server.job.request
    # The strip moves on with the present each time that it is asked what is recorded.
    ends = [asked["end_time"] for asked in server.asked_ranges]
    assert min(abs(end - 250 - request.start_time) for end in ends) < 2
    assert min(abs(end - 150 - request.end_time) for end in ends) < 2
    assert page.get_by_test_id("mode").input_value() == "historic"
    assert f"start={request.start_time:.0f}" in page.url
    # A click is no range.
    page.mouse.click(x(150), strip["y"] + 5)
    assert len(server.requests) == 1


def test_a_catalogue_that_is_down_is_said_and_the_live_view_goes_on(live, server):
    sentence = "Recordings cannot be had now: MongoDB is down."
    server.ranges = Refusal(503, sentence, "MongoDB", 5)
    page, job = live(LIVE)
    expect(page.get_by_test_id("recordings-error")).to_have_text(f"catalogue down: {sentence}")
    expect(page.get_by_test_id("error")).to_be_empty()
    expect(page.get_by_test_id("timeline-axis")).to_be_empty()
    server.ranges = [[time.time() - 100, time.time()]]
    page.get_by_test_id("recordings-retry").click()
    expect(page.get_by_test_id("recordings-error")).to_be_empty()
    expect(page.get_by_test_id("recorded").locator("i")).to_have_count(1)
    expect(page.get_by_test_id("timeline-axis")).not_to_be_empty()
    assert list(server.jobs) == [job.id]


def test_what_was_not_recorded_is_said_with_the_servers_words(open_page, server):
    server.refusals.append(Refusal(404, "No recording found in given time range", "start_time"))
    end = int(time.time()) - 60
    page = open_page(f"?auto=1&view=0&nfft=256&start={end - 20}&end={end}")
    expect(page.get_by_test_id("error")).to_contain_text("No recording found in given time range")
    expect(page.get_by_test_id("connection")).to_have_text("error")


def test_back_to_the_present_without_a_reload(open_page, server):
    end = int(time.time()) - 60
    page = open_page(f"?auto=1&view=1&channel=7&nfft=256&lps=20&start={end - 20}&end={end}")
    first = send_rows(server)
    server.complete(first)
    expect(page.get_by_test_id("connection")).to_have_text("complete")
    page.get_by_test_id("mode").select_option("live")
    server.until(lambda: len(server.jobs) == 2, "a live job")
    assert not server.job.request.historic
    server.flow(server.job)
    expect(page.get_by_test_id("connection")).to_have_text("live")
    expect(page.get_by_test_id("complete")).to_be_empty()
    server.until(lambda: server.deleted == [first.id], "the recording's job ended")
    assert "start=" not in page.url


def test_a_time_that_cannot_be_read_is_said(open_page, server):
    page = open_page("?channel=7")
    page.get_by_test_id("mode").select_option("historic")
    page.get_by_test_id("start-time").fill("yesterday")
    page.get_by_test_id("play").click()
    expect(page.get_by_test_id("error")).to_contain_text("The start is no time; write it like")
    assert server.requests == []
    page.get_by_test_id("start-time").fill("2026-01-31 10:00:00.5")
    page.get_by_test_id("end-time").fill("2026-01-31T10:00:30Z")
    page.get_by_test_id("playrate").select_option("5")
    page.get_by_test_id("play").click()
    request = server.job.request
    assert (request.start_time, request.end_time, request.playrate) == (1769853600.5, 1769853630, None)
    assert "playrate=5" in page.url
