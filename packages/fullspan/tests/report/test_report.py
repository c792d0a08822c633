"""The report of a bundle, as text and as the browser shows it."""

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Page

from fullspan.bundle import Bundle, ResultsRecord
from fullspan.errors import UsageError
from fullspan.report import write_report
from fullspan.timeline import Event
from fullspan.verdict import Verdict
from packages.fullspan.tests.report.sample import SCRIPT, WALL, ZERO, sample_bundle

LIMIT_BYTES = 10_000_000


class Window:
    """The browser's one page, because each more costs as much as half a browser."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self._said: list[str] = []
        page.on("console", lambda message: self._said.append(message.text))
        page.on("pageerror", lambda error: self._said.append(str(error)))
        page.on("request", lambda request: self._said.append(request.url))

    def show(self, path: Path, scheme="light", width=1280) -> Page:
        self.page.set_viewport_size({"width": width, "height": 900})
        self.page.emulate_media(color_scheme=scheme)
        if self.page.url != path.as_uri():
            self._said.clear()
            self.page.goto(path.as_uri())
        return self.page

    @property
    def said(self) -> list[str]:
        """What the page asked for or complained about beyond its own file."""
        own = self.page.url.partition("#")[0]
        return [what for what in self._said if what != own and not what.startswith("data:")]


@pytest.fixture(scope="module")
def window(browser):
    page = browser.new_page()
    yield Window(page)
    page.close()


@pytest.fixture(scope="module")
def report(tmp_path_factory) -> Path:
    """The report of the sample, for all who only look at it."""
    return write_report(sample_bundle(tmp_path_factory.mktemp("sample")).path)


@pytest.mark.parametrize("verdict", [Verdict.PASS, Verdict.FAIL, Verdict.INCONCLUSIVE])
def test_the_verdict_comes_first(window, tmp_path, report, verdict):
    if verdict is not Verdict.FAIL:
        report = write_report(sample_bundle(tmp_path, verdict).path)
    page = window.show(report)
    assert page.inner_text("body").split()[1].lower() == verdict.value
    assert window.said == []


def test_it_holds_what_the_bundle_holds(tmp_path):
    bundle = sample_bundle(tmp_path)
    text = write_report(bundle.path).read_text()
    for test in bundle.results().tests:
        assert test.nodeid.rpartition("::")[2] in text
        assert all((figure.name in text) is not bool(figure.table) for figure in test.figures)
        assert all(finding.summary in text for finding in test.findings)
        assert all(fault.bit_detail in text and fault.heal_detail in text for fault in test.faults)
        assert all(total.title in text for total in test.totals)
    assert "1-7/0/345" in text
    assert "3,120" in text
    assert len(text) < LIMIT_BYTES


def test_a_recovery_is_a_table_with_never_and_empty_places(window, report):
    page = window.show(report)
    rows = page.locator("table.recovery tr").all()
    cells = [[cell.inner_text() for cell in row.locator("th, td").all()] for row in rows]
    assert cells == [
        ["", "seconds after it was injected", "seconds after it was healed"],
        ["Layer", "detected", "degraded", "first good", "within SLA", "data complete", "screen fresh"],
        ["row", "", "1.00", "0.40", "2.30", "never", ""],
        ["page", "2.10", "", "", "", "", "2.90"],
    ]


def test_latency_gaps_and_debt_lie_on_the_axis_of_the_faults(window, report):
    page = window.show(report)
    pictures = page.locator("svg[aria-label^='Timeline']").all()
    assert len(pictures) == 2, "the run, and the test in which something was broken"
    for picture in pictures:
        names = [name.text_content() for name in picture.locator("text.lane").all()]
        assert names[0] == "faults"
        assert [name for name in names if name in ("latency", "gaps", "debt")] == ["latency", "gaps", "debt"]
        band = picture.locator("rect.band").bounding_box()
        silent = picture.locator("rect.bar.silent").first.bounding_box()
        assert band is not None
        assert silent is not None
        assert abs(band["x"] - silent["x"]) < 4, "a hop is silent from the injection on"
        assert abs(band["x"] + band["width"] - silent["x"] - silent["width"]) < 4, "until the heal"
        assert picture.locator("path.line").count() == 6
        lost = [title.text_content() or "" for title in picture.locator("g:has(rect.lost) > title").all()]
        assert len(lost) == 3
        assert all("2 never seen: 1-7/0/560 to 561" in title for title in lost)
        assert "pixel 5.66 s" in (picture.text_content() or "")
    assert window.said == []


def test_what_components_used_lies_on_the_axis_of_the_faults(window, report):
    page = window.show(report)
    picture = page.locator("svg[aria-label='What the components used']")
    lanes = picture.locator("text.lane").all_text_contents()
    assert lanes == ["faults", "tests", "processor", "memory", "handles", "threads", "disk"]
    assert picture.locator("path.line").count() == 5 * 4
    assert picture.locator("title", has_text="rabbitmq, processor: 0 % to 180 %").count() == 1
    whole = page.locator("svg[aria-label='Timeline of the run']")
    assert picture.locator("rect.band").get_attribute("x") == whole.locator("rect.band").get_attribute("x")
    page.locator("summary", has_text="In numbers").press("Enter")
    row = page.locator("table.used tr", has_text="rabbitmq").inner_text().split("\t")
    assert (row[0], row[2], row[4]) == ("rabbitmq", "180 %", "90 MB")


def test_a_click_on_a_violation_shows_its_records_journey(window, report):
    page = window.show(report)
    violation = page.locator("details.violation").first
    journey = violation.locator("ol.journey")
    assert not journey.is_visible()
    violation.locator("summary").click()
    assert journey.is_visible()
    steps = [(step.get_attribute("class"), step.inner_text().split("\n")) for step in journey.locator("li").all()]
    assert steps == [
        ("good", ["block", "20 ms after due"]),
        ("never first", ["row", "never seen"]),
        ("never", ["frame", "never seen"]),
        ("never", ["pixel", "never seen"]),
    ]
    assert "First bad hop: row" in violation.inner_text()
    rows = [row.locator("td").all_inner_texts() for row in violation.locator("tbody tr").all()]
    assert [row[1] for row in rows] == ["local/3/559", "local/3/560", *["1-7/0/560"] * 3]
    violation.locator("summary").click()
    page.locator("a[href^='#violation-']").click()
    assert journey.is_visible(), "the finding leads to it"
    violation.locator("summary").click()
    assert window.said == []


def test_alike_violations_are_counted_not_listed(tmp_path):
    bundle = sample_bundle(tmp_path)
    test = bundle.results().tests[1].nodeid
    record = bundle.violations(test)
    many = [record.violations[0].model_copy(update={"key": f"1-7/0/{number}"}) for number in range(150)]
    bundle.write_violations(record.model_copy(update={"violations": many, "total": 9000}))
    text = write_report(bundle.path).read_text()
    assert text.count('<details class="violation">') == 6
    assert "8,994 more are in the bundle" in text


def test_what_was_exercised_is_told_of_all_there_is(window, report):
    page = window.show(report)
    rows = [row.inner_text().split("\t") for row in page.locator("table.exercised tbody tr").all()]
    assert rows[:4] == [
        ["components", "rabbitmq", "ran", "hang"],
        ["analyzer", "ran", ""],
        ["focus-server", "ran", ""],
        ["recorder", "never ran", ""],
    ]
    assert rows[4] == ["links", "analyzer-broker: analyzer → rabbitmq.amqp", "41.3 MB in 3 connections", ""]
    assert rows[6] == ["server-catalogue: focus → mongodb.mongo", "carried nothing", ""]
    assert [row[-3] for row in rows[7:]] == ["block", "row", "frame", "pixel"]
    assert "3 of 4 components ran, 1 of 4 were broken on purpose · 2 of 3 links carried traffic" in page.inner_text(
        "main"
    )
    assert page.locator("tr.unused").count() == 2


def test_print_shows_the_journeys_and_fits_the_paper(window, report):
    page = window.show(report, width=794)
    page.emulate_media(media="print")
    try:
        assert page.locator("ol.journey").first.is_visible()
        assert page.evaluate("document.documentElement.scrollWidth") <= 794
    finally:
        page.emulate_media(media="screen")


def test_a_large_run_stays_below_ten_megabytes(tmp_path):
    bundle = sample_bundle(tmp_path)
    said = "said in a long run, with some words to take room in the page"
    events = [Event(ZERO + number * 1_000_000, WALL + number * 1_000_000, "say", said) for number in range(12_000)]
    bundle.timeline.path.write_text("".join(f"{event.to_json()}\n" for event in events))
    results = bundle.results()
    bad = results.tests[1]
    noise = np.random.default_rng(1).integers(0, 255, (900, 900), np.uint8)
    out = io.BytesIO()
    Image.fromarray(noise).save(out, "png")
    shots = [bundle.attach(f"noise-{number}.png", out.getvalue()) for number in range(20)]
    many = [
        bad.model_copy(update={"nodeid": f"{bad.nodeid}[{number}]", "details": "x" * 60_000}) for number in range(60)
    ]
    many[0] = many[0].model_copy(update={"attachments": shots})
    bundle.write_results(ResultsRecord(tests=many))
    for component in range(20):
        log = tmp_path / "long.log"
        log.write_text(f"{'word ' * 1_000}\n" * 100)
        bundle.add_log(f"component-{component}", log)
    report = write_report(bundle.path)
    assert report.stat().st_size < LIMIT_BYTES
    text = report.read_text()
    assert "The last 5,000 of 12,000 events" in text
    assert "left out" in text


def test_what_looks_like_a_script_stays_text(window, tmp_path):
    bundle = sample_bundle(tmp_path)
    log = tmp_path / "planted.log"
    log.write_text(f"{SCRIPT}\n")
    bundle.add_log("planted", log)
    report = write_report(bundle.path)
    page = window.show(report)
    assert "planted" not in page.title()
    assert page.locator("script").count() == 0
    assert SCRIPT in (page.text_content("body") or "")
    assert window.said == []
    assert "default-src 'none'" in (page.get_attribute("meta[http-equiv='Content-Security-Policy']", "content") or "")


@pytest.mark.parametrize(("scheme", "width"), [("light", 1280), ("dark", 1280), ("light", 820)])
def test_it_fits_the_window_light_and_dark(window, report, scheme, width):
    page = window.show(report, scheme, width)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    back = page.evaluate("getComputedStyle(document.body).backgroundColor")
    bright = sum(int(part) for part in back.strip("rgba()").split(",")[:3]) / 3
    assert bright > 200 if scheme == "light" else bright < 60


def test_secrets_of_the_run_are_not_in_it(tmp_path):
    bundle = sample_bundle(tmp_path)
    bundle.redact.add(["correct-horse-battery"])
    log = tmp_path / "web.log"
    log.write_text("login with correct-horse-battery\n")
    bundle.add_log("web", log)
    bundle.timeline.add("say", "the word is correct-horse-battery")
    text = write_report(bundle.path).read_text()
    assert "correct-horse-battery" not in text
    assert "login with [redacted]" in text


def test_a_run_that_was_cut_off_has_a_report_too(window, tmp_path):
    bundle = sample_bundle(tmp_path)
    bundle.write_results(ResultsRecord())
    bundle.write_run(bundle.run().model_copy(update={"verdict": None, "summary": "", "ended_wall_ns": None}))
    page = window.show(write_report(bundle.path))
    assert "the run has not come to its end" in page.inner_text("body")
    assert window.said == []


def test_a_folder_without_a_bundle_is_refused(tmp_path):
    with pytest.raises(UsageError, match="holds no bundle"):
        write_report(tmp_path)
    assert Bundle.create(tmp_path, "x").path.exists()
