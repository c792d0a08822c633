"""The drawn timeline: what the bars say, and that the page is one document that may run nothing."""

import re
import xml.etree.ElementTree as ET
from html.parser import HTMLParser

import pytest

from focus_server.api.timeline import HEADERS, timeline_page

from .conftest import client

S = 1_000_000_000
T0 = 1_700_000_000 * S  # 2023-11-14 22:13:20


def drawing(page):
    return ET.fromstring(re.search(r"<svg.*</svg>", page, re.DOTALL)[0])  # noqa: S314 - our own page


def bars(page):
    return [bar for bar in drawing(page).iter("rect") if bar.get("class") == "bar"]


def test_bars_stand_where_the_recordings_are():
    ranges = [(T0 - 50 * S, T0 + 100 * S), (T0 + 500 * S, T0 + 750 * S)]
    page = timeline_page(ranges, T0, T0 + 1000 * S, T0 + 1000 * S)
    places = [(float(bar.get("x")), float(bar.get("width"))) for bar in bars(page)]
    assert places == [(0.0, 100.0), (500.0, 250.0)]
    assert [bar.find("title").text for bar in bars(page)] == [
        "2023-11-14 22:13:20 to 2023-11-14 22:15:00 UTC, 100.0 s",
        "2023-11-14 22:21:40 to 2023-11-14 22:25:50 UTC, 4 min",
    ]
    assert "<p>2 ranges, 6 min in all; as of 2023-11-14 22:30:00 UTC.</p>" in page
    assert re.findall(r"<tr><td>(\S+ \S+)</td>", page) == ["2023-11-14 22:21:40", "2023-11-14 22:12:30"]


def test_ticks_are_round_times():
    page = timeline_page([], T0, T0 + 600 * S, T0 + 600 * S)
    labels = [text.text for text in drawing(page).iter("text")]
    assert labels == ["22:14", "22:16", "22:18", "22:20", "22:22"]


def test_the_shortest_recording_is_seen_and_stays_inside():
    end = T0 + 86_400 * S
    [bar] = bars(timeline_page([(end - 1, end)], T0, end, end))
    assert float(bar.get("width")) == 1.5
    assert float(bar.get("x")) == 998.5


def test_nothing_is_said():
    page = timeline_page([], T0, T0 + S, T0)
    assert "There is no recording in this time." in page
    assert bars(page) == []


def test_many_ranges_are_all_drawn_and_the_newest_are_listed():
    ranges = [(T0 + k * 10 * S, T0 + (k * 10 + 5) * S) for k in range(1000)]
    page = timeline_page(ranges, T0, T0 + 10_000 * S, T0)
    assert len(bars(page)) == 1000
    assert page.count("<tr><td>") == 200
    assert "the newest 200 of 1000" in page


@pytest.mark.parametrize("end_s", [1e-9, 1, 3600, 86_400, 40 * 86_400, 253_000_000_000])
def test_any_span_has_a_bounded_number_of_ticks(end_s):
    page = timeline_page([(0, 1)], 0, max(1, int(end_s * S)), 0)
    assert len(list(drawing(page).iter("text"))) <= 10


def test_the_page_loads_and_runs_nothing():
    page = timeline_page([(T0, T0 + S)], T0, T0 + S, T0)

    class Tags(HTMLParser):
        found: list[tuple[str, str | None]] = []  # noqa: RUF012 - one parser for one page

        def handle_starttag(self, tag, attributes):
            self.found += [(tag, name) for name, _ in attributes] or [(tag, None)]

    Tags().feed(page)
    tags = {tag for tag, _ in Tags.found}
    assert tags.isdisjoint({"script", "link", "img", "iframe", "form", "object", "base"})
    assert {name for _, name in Tags.found}.isdisjoint({"style", "src", "href", "onclick", "onload"})
    assert "prefers-color-scheme: dark" in page
    assert "default-src 'none'" in HEADERS["Content-Security-Policy"]
    assert "unsafe" not in HEADERS["Content-Security-Policy"]


@pytest.mark.anyio
async def test_without_a_catalogue_there_is_no_page(analyzer, address):
    async with client(address) as http:
        for response in (
            await http.get("/get_recordings_timeline"),
            await http.post("/recordings_in_time_range", json={"start_time": 1, "end_time": 2}),
        ):
            assert (response.status_code, response.headers["Retry-After"]) == (503, "60")
            assert response.json()["detail"] == "MongoDB: not configured"
