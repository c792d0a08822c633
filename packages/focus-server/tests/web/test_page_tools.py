"""What helps an operator to look closer: the held recording, the spectrum, presets, and files of what is shown."""

import io
import time
from pathlib import Path

import h5py
import numpy as np
import pytest
import segyio
from PIL import Image
from playwright.sync_api import expect

RNG = np.random.default_rng(11)
LINES = 60


def open_recording(open_page, server, **choices):
    end = int(time.time()) - 60
    query = {"auto": 1, "view": 1, "channel": 7, "nfft": 256, "lps": 20, "start": end - 3, "end": end} | choices
    page = open_page("?" + "&".join(f"{name}={value}" for name, value in query.items()))
    return page, server.job


def position_ms(page, job):
    """Which row the picture ends with, from the time that the page says."""
    text = page.get_by_test_id("position-time").text_content()
    hours, minutes, seconds = text.removesuffix(" UTC").split(":")
    of_day = 3_600_000 * int(hours) + 60_000 * int(minutes) + 1000 * float(seconds)
    first = (1000 * (job.due_s(0) - job.nfft / 2000)) % 86_400_000
    return of_day - first


def test_a_recording_moves_at_its_speed_is_held_and_put_elsewhere(open_page, server):
    page, job = open_recording(open_page, server, playrate=0.05)
    server.send(job, list(range(LINES)), np.full((LINES, job.bins), 1e-3))
    server.complete(job)
    connection, pause = page.get_by_test_id("connection"), page.get_by_test_id("pause")
    # All of it was read, and is shown as it would have come.
    expect(connection).to_have_text("playing")
    expect(page.get_by_test_id("complete")).to_be_empty()
    pause.click()
    expect(connection).to_have_text("paused")
    held = position_ms(page, job)
    page.wait_for_timeout(300)
    assert position_ms(page, job) == held < 2900

    position = page.get_by_test_id("position")
    position.focus()
    page.keyboard.press("Home")
    assert abs(position_ms(page, job)) <= 100
    page.keyboard.press("End")
    assert abs(position_ms(page, job) - 50 * (LINES - 1)) <= 100
    page.keyboard.press("Home")
    page.get_by_test_id("playrate").select_option("10")
    pause.click()
    expect(page.get_by_test_id("complete")).to_have_text(f"complete · {LINES} lines")
    assert abs(position_ms(page, job) - 50 * (LINES - 1)) <= 100
    assert len(server.requests) == 1, "holding, seeking and another speed ask the server for nothing"


def test_a_held_picture_shows_nothing_that_comes_after(open_page, server, look):
    page, job = open_recording(open_page, server, height=LINES, lo=-80, hi=20, cmap="grayscale", playrate=0.05)
    page.get_by_test_id("canvas").wait_for()
    levels = np.linspace(-78, 18, LINES)
    server.send(job, list(range(LINES)), np.repeat(10 ** (levels / 20), job.bins).reshape(LINES, job.bins))
    server.complete(job)
    page.get_by_test_id("pause").click()
    position = page.get_by_test_id("position")
    position.focus()
    page.keyboard.press("Home")
    for _ in range(3):
        page.keyboard.press("PageUp")  # a tenth each
    shown = round(position_ms(page, job) / 50)
    assert 10 < shown < 30
    codes = np.floor(256 * (levels + 80) / 100)
    page.mouse.move(0, 0)
    seen = look(page, drawn_codes, lambda drawn: drawn[-1] == codes[shown], f"line {shown} at the bottom")
    assert seen[-1 - shown] == codes[0]


def drawn_codes(page):
    """Read the grey code in the middle of each line of the picture, from the screen; -1 where there is none."""
    shot = Image.open(io.BytesIO(page.get_by_test_id("canvas").screenshot()))
    image = np.asarray(shot.convert("RGB")).astype(int)
    height, width, _ = image.shape
    middle = image[((np.arange(LINES) + 0.5) / LINES * height).astype(int), width // 2]
    return np.where(middle[:, 0] == middle[:, 1], middle[:, 0], -1)


def test_lines_of_a_recording_that_are_not_kept_are_said(open_page, server):
    page, job = open_recording(open_page, server, playrate=0.05, height=LINES // 3)
    note = page.get_by_test_id("note")
    server.send(job, list(range(LINES // 3)), np.full((LINES // 3, job.bins), 1e-3))
    expect(page.get_by_test_id("rate")).not_to_have_text("–")
    expect(page.get_by_test_id("newest")).not_to_have_text("–")
    expect(note).to_be_empty()
    server.send(job, [LINES // 3], np.full((1, job.bins), 1e-3))
    expect(note).to_have_text(
        "The recording has more than the 20 lines kept: its oldest are gone. Ask for fewer lines/s or a shorter time."
    )


def spectrum_of(page):
    return page.get_by_test_id("spectrum-title")


def hover(page, x, y):
    box = page.get_by_test_id("canvas").bounding_box()
    page.mouse.move(box["x"] + x * box["width"], box["y"] + y * box["height"])


def test_the_spectrum_is_of_the_channel_under_the_cursor(open_page, server, look):
    page = open_page("?auto=1&view=0&cmin=60&cmax=70&nfft=256&lps=20&height=50")
    job = server.job
    page.get_by_test_id("spectrum-toggle").click()
    rows = np.full((50, 11, job.bins), 1e-3)
    server.send_whole(job, list(range(50)), rows)
    hover(page, 4.5 / 11, 0.5)
    expect(spectrum_of(page)).to_contain_text("Channel 64 at ")
    expect(page.locator("#spectrum-unit")).to_have_text("PSD, dB re 1 counts/√Hz, over Hz")
    flat = np.unique(line_heights(page))
    rows[49, 4, 30:60] = 1.0
    server.send_whole(job, [50], rows[49:])
    hover(page, 4.6 / 11, 0.5)
    expect(spectrum_of(page)).to_contain_text("Channel 64 at ")
    stands_out = lambda heights: len(np.unique(heights)) > len(flat)  # noqa: E731
    look(page, line_heights, stands_out, "the peak of the newest line to stand out")
    page.get_by_test_id("view").select_option("2")
    server.until(lambda: len(server.requests) == 2, "a waterfall")
    server.send(server.job, [0], np.full((1, 11), 1e-3))
    hover(page, 4.5 / 11, 0.5)
    expect(spectrum_of(page)).to_contain_text(
        "A waterfall carries no spectrum. Press Enter on the picture to open channel 64."
    )
    page.get_by_test_id("canvas").dblclick(position={"x": 10, "y": 50})
    server.until(lambda: len(server.requests) == 3, "the channel's own window")
    assert server.requests[2]["view_type"] == "1"
    assert server.requests[2]["channels"] == {"min": 60, "max": 60}


def line_heights(page):
    """At which heights the line of the spectrum is, where it is."""
    return np.array(
        page.get_by_test_id("spectrum-line").evaluate(
            """(canvas) => {
              const { width, height } = canvas;
              const { data } = canvas.getContext("2d").getImageData(0, 0, width, height);
              const found = [];
              for (let i = 3; i < data.length; i += 4) if (data[i] > 128) found.push(Math.floor(i / 4 / width));
              return found;
            }"""
        )
    )


def test_presets_are_applied_kept_and_forgotten(open_page, server):
    page = open_page("?auto=1&view=1&channel=7&nfft=256")
    server.until(lambda: len(server.requests) == 1, "the first job")
    expect(page.locator(".channel-hint").first).to_have_text("1 to 500")
    preset = page.get_by_test_id("preset")
    preset.select_option("Whole fibre, waterfall")
    server.until(lambda: len(server.requests) == 2, "the preset's job")
    assert server.requests[1]["view_type"] == "2"
    assert server.requests[1]["channels"] == {"min": 1, "max": 500}
    page.get_by_test_id("view").select_option("1")
    page.get_by_test_id("nfft").select_option("4096")
    page.get_by_test_id("cmap").select_option("jet")
    page.get_by_test_id("preset-keep").click()
    page.get_by_test_id("preset-name").fill("pump <b>4</b>")
    page.get_by_test_id("preset-save").click()
    expect(preset).to_have_value("pump <b>4</b>")
    page.get_by_test_id("nfft").select_option("128")
    page.reload()
    preset.select_option("pump <b>4</b>")
    expect(page.get_by_test_id("nfft")).to_have_value("4096")
    expect(page.get_by_test_id("cmap")).to_have_value("jet")
    assert page.get_by_test_id("channel").input_value() == "7"
    page.get_by_test_id("preset-forget").click()
    expect(preset.locator("option", has_text="pump")).to_have_count(0)


@pytest.fixture
def exported(open_page, server, tmp_path):
    """Show known amplitudes with a gap and a dead channel; gives the job, them, and a function that saves a file."""
    page = open_page(f"?auto=1&view=0&cmin=60&cmax=70&nfft=256&lps=20&height={LINES}")
    job = server.job
    levels = 10 ** (RNG.uniform(-4, 0, (LINES, 11)))
    rows = np.repeat(levels[:, :, None] / np.sqrt(job.bins * 1000 / 256), job.bins, axis=2)
    rows[:, 3, :] = np.nan
    levels[:, 3] = np.nan
    there = [row for row in range(LINES) if row != 20]
    server.send_whole(job, there, rows[there].astype(np.float32))
    levels[20] = np.nan
    expect(page.get_by_test_id("fs")).to_contain_text("1000")
    expect(page.get_by_test_id("newest")).not_to_have_text("–")

    def save(kind):
        with page.expect_download() as download:
            page.get_by_test_id(f"export-{kind}").click()
        path = tmp_path / download.value.suggested_filename
        download.value.save_as(path)
        return path

    return job, levels, save


def test_what_is_shown_is_saved_as_hdf5(exported):
    job, levels, save = exported
    path = save("hdf5")
    assert path.suffix == ".h5"
    with h5py.File(path) as file:
        assert np.allclose(file["amplitude"][:], levels, rtol=1e-5, equal_nan=True)
        assert file["amplitude"].attrs["unit"] == b"counts"
        assert file["channel"][:].tolist() == list(range(60, 71))
        assert file["distance"][:].tolist() == [100 + 4 * (channel - 1) for channel in range(60, 71)]
        assert file["row"][:].tolist() == list(range(LINES))
        centres = [1e9 * (job.due_s(row) - job.nfft / 2000) for row in range(LINES)]
        assert abs(file["time"][:] - np.array(centres)).max() < 2000
        assert file.attrs["job"] == job.id.encode()
        assert file.attrs["line_seconds"] == 0.05
        assert "Channels 60 to 70" in file.attrs["title"].decode()


def test_what_is_shown_is_saved_as_segy(exported):
    job, levels, save = exported
    path = save("segy")
    with segyio.open(path, ignore_geometry=True) as file:
        assert (file.tracecount, len(file.samples)) == (11, LINES)
        assert np.allclose(file.trace.raw[:], levels.T, rtol=1e-5, equal_nan=True)
        assert file.bin[segyio.BinField.Format] == 5
        assert file.bin[segyio.BinField.Interval] % 2**16 == 50_000, "its reader takes it as signed"
        header = file.header[4]
        assert header[segyio.TraceField.TraceNumber] == 64
        assert header[segyio.TraceField.GroupX] / -header[segyio.TraceField.SourceGroupScalar] == 352
        first = time.gmtime(job.due_s(0) - job.nfft / 2000)
        assert header[segyio.TraceField.YearDataRecorded] == first.tm_year
        assert header[segyio.TraceField.DayOfYear] == first.tm_yday
        assert header[segyio.TraceField.SecondOfMinute] == first.tm_sec
        text = file.text[0].decode("ascii")
        assert f"C 3 JOB {job.id}" in text
        assert "C39 SEG-Y REV2.0" in text


def test_what_is_shown_is_saved_as_an_image_with_its_axes(exported):
    _, _, save = exported
    image = np.asarray(Image.open(io.BytesIO(Path(save("png")).read_bytes())).convert("RGB"))
    height, width, _ = image.shape
    assert width > 1000 < 3 * height
    colours = len(np.unique(image[height // 3 : height // 2, width // 4 : width // 2].reshape(-1, 3), axis=0))
    assert colours > 20, "the picture"
    left = image[height // 4 : 3 * height // 4, 16:80]
    assert len(np.unique(left.reshape(-1, 3), axis=0)) > 10, "the labels of the time axis"
