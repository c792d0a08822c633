"""The page while its stream is late, cut, silent or gone: what an operator reads then, and how it comes back."""

import re

import numpy as np
import pytest
from playwright.sync_api import expect

LIVE = "?auto=1&channel=7&nfft=256&lps=20"

# Everything that an element has said since, with the wall time in ms; a state of 250 ms is not to be missed.
RECORD = """(id) => {
  const element = document.querySelector(`[data-testid=${id}]`);
  const said = [];
  (window.said ??= {})[id] = said;
  new MutationObserver(() => said.push([Date.now(), element.textContent]))
    .observe(element, { childList: true, characterData: true, subtree: true });
}"""


def record(page, test_id):
    page.evaluate(RECORD, test_id)


def said(page, test_id):
    """What the element has said, one pair (ms since 1970, text) for each change."""
    return page.evaluate("(id) => window.said[id]", test_id)


@pytest.fixture
def live(open_page, server):
    """Open a live page; gives it and a function that sends what is due by now."""

    def open_():
        page = open_page(LIVE)
        job = server.job
        sent = 0

        def send_what_is_due():
            nonlocal sent
            rows = list(range(sent, max(sent + 1, job.row_due() + 1)))
            sent = rows[-1] + 1
            server.send(job, rows, np.full((len(rows), job.bins), 1e-3))
            return rows[-1]

        send_what_is_due()
        expect(page.get_by_test_id("connection")).to_have_text("live")
        return page, job, send_what_is_due

    return open_


def test_lines_that_stop_are_said_to_be_behind_within_2_to_2_and_a_half_seconds(live):
    page, job, send_what_is_due = live()
    behind = page.get_by_test_id("behind")
    expect(behind).to_be_empty()
    record(page, "behind")
    newest = send_what_is_due()
    expect(behind).to_have_text("behind by 3 s")
    texts = said(page, "behind")
    # Whatever was late before the last line came does not count.
    since_due_s = [(at / 1000 - job.due_s(newest), text) for at, text in texts]
    assert [text for _, text in since_due_s] == ["behind by 2 s", "behind by 3 s"]
    assert 1.9 < since_due_s[0][0] < 2.5
    assert 2.9 < since_due_s[1][0] < 3.5
    expect(page.get_by_test_id("connection")).to_have_text("live")

    send_what_is_due()
    expect(behind).to_be_empty()


def test_a_connection_that_is_cut_comes_back_with_the_same_job(live, server):
    page, job, send_what_is_due = live()
    connection = page.get_by_test_id("connection")
    record(page, "connection")
    server.close(job, 1012, "the server restarts")
    server.until(lambda: server.connections == 2, "the page to connect again")
    assert server.job is job
    expect(page.get_by_test_id("connection-detail")).to_have_text("waiting for the next line")
    send_what_is_due()
    expect(connection).to_have_text("live")
    assert [text for _, text in said(page, "connection")] == ["reconnecting", "connecting", "live"]
    expect(page.get_by_test_id("note")).to_have_text(re.compile(r"^Reconnected after \d+\.\d s\.$"))
    assert list(server.jobs) == [job.id]


def test_a_server_that_dies_is_waited_for(live, server):
    page, job, send_what_is_due = live()
    connection = page.get_by_test_id("connection")
    server.stop()
    expect(connection).to_have_text("reconnecting")
    expect(page.get_by_test_id("connection-detail")).to_have_text(re.compile(r"; next try in \d\.\d s$"))
    server.start()
    assert server.job is job
    send_what_is_due()
    expect(connection).to_have_text("live")


def test_a_job_that_expired_during_an_outage_is_replaced(live, server):
    page, job, _ = live()
    server.stop()
    expect(page.get_by_test_id("connection")).to_have_text("reconnecting")
    del server.jobs[job.id]
    server.start()
    server.until(lambda: server.jobs, "a job that takes the place of the one that is gone")
    assert server.requests[-1] == server.requests[0]
    assert server.keys[-1] != server.keys[0]
    server.send(server.job, [0], np.full((1, server.job.bins), 1e-3))
    expect(page.get_by_test_id("connection")).to_have_text("live")
    expect(page.get_by_test_id("note")).to_contain_text(f"Job {job.id} had ended meanwhile")


def test_what_the_server_says_is_shown(live, server):
    page, job, send_what_is_due = live()
    connection = page.get_by_test_id("connection")
    server.tell(job, type="filling", seconds_left=65.5)
    expect(connection).to_have_text("filling")
    expect(page.get_by_test_id("connection-detail")).to_have_text(re.compile(r"^first line in 6[456] s$"))
    server.tell(job, type="dropped", lines=12)
    send_what_is_due()
    expect(connection).to_have_text("live")
    expect(page.get_by_test_id("missing")).to_contain_text("(12 dropped)")
    server.send_bytes(job, b"\x0b")
    expect(connection).to_have_text("error")
    expect(page.get_by_test_id("error")).to_have_text("A message of the stream could not be read.")
    server.until(lambda: server.deleted == [job.id], "the job to be ended")
