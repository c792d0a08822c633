"""One picture in a real browser, with an observer at every hop from the broker to the screen."""

import time
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from urllib.parse import urlencode

import numpy as np
from numpy.typing import NDArray
from playwright.sync_api import Browser, Page, ViewportSize

from fullspan.clients import DataStream, Job, LiveMetadata, open_stream
from fullspan.errors import Inconclusive
from fullspan.ledger import Moment, Observation
from fullspan.ledger.hops import AmqpMessage, AmqpTap, CanvasReader, GrpcStream, HopRunner, PageFrames, Shot
from fullspan.stack import Stack
from suites.focus.grid import Grid, group_of
from suites.focus.oracle import Fibre, band_level, deviation_db, lut_codes
from suites.focus.strip import PictureRow, read_rows

EXCHANGE = "prisma"
SHOT_EVERY_S = 0.2
LATEST_S = 60.0
OPEN_WITHIN_MS = 60_000
NEIGHBOURS = (-1, 1, -2, 2)
CHANNEL = 711
"""What a picture of one channel shows, when nothing else is asked for."""
WINDOW: ViewportSize = {"width": 640, "height": 480}


@dataclass(frozen=True, slots=True)
class View:
    """What is asked of LiveView; the band between `low_db` and `high_db` is spread over the colour table.

    One channel's spectrum is asked for, or with `last_channel` one level for each channel of the range; live, or what
    was recorded `between` two times (epoch seconds).
    """

    channel: int
    low_db: float
    high_db: float
    nfft: int = 256
    lines_per_second: int = 20
    height: int = 240
    last_channel: int | None = None
    between: tuple[float, float] | None = None

    @property
    def channels(self) -> tuple[int, int]:
        """The first and the last channel."""
        return self.channel, self.channel if self.last_channel is None else self.last_channel

    @property
    def groups(self) -> range:
        """The groups of blocks that carry the channels."""
        low, high = self.channels
        return range(group_of(low), group_of(high) + 1)

    def address(self, base: str) -> str:
        """Return LiveView's address for this view as a proof picture."""
        query: dict[str, object] = {
            "proof": 1,
            "nfft": self.nfft,
            "lps": self.lines_per_second,
            "height": self.height,
            "lo": self.low_db,
            "hi": self.high_db,
            "cmap": "grayscale",
        }
        if self.last_channel is None:
            query |= {"view": 1, "channel": self.channel}
        else:
            query |= {"view": 0, "cmin": self.channel, "cmax": self.last_channel}
        if self.between is not None:
            query |= {"start": self.between[0], "end": self.between[1]}
        return f"{base}/liveView?{urlencode(query)}"


@dataclass(frozen=True, slots=True)
class Spoken:
    """What the page said about its age, from one moment on."""

    since: Moment
    text: str


@dataclass(slots=True)
class Screen:
    """What was read from the screen so far: each line's codes when it was first seen, and the latest screenshot."""

    codes: dict[int, NDArray[np.uint8]] = field(default_factory=dict)
    changed: set[int] = field(default_factory=set)  # lines whose codes were not the same in every screenshot
    coloured: set[int] = field(default_factory=set)  # lines with a pixel that is no gray
    shot: Shot | None = None
    shots: int = 0

    def note(self, row: PictureRow) -> bool:
        """Take in one line; tell whether it is new."""
        if row.colours_differ:
            self.coloured.add(row.row_index)
        known = self.codes.get(row.row_index)
        if known is None:
            self.codes[row.row_index] = row.codes
            return True
        if not np.array_equal(known, row.codes):
            self.changed.add(row.row_index)
        return False


class LivePicture:
    """LiveView in proof mode; `open` it, `watch` it, then read ledger, screen and what the page said."""

    def __init__(self, stack: Stack, page: Page, runner: HopRunner, fibre: Fibre, site: str, view: View) -> None:
        self.stack = stack
        self.page = page
        self.fibre = fibre
        self.site = site
        self.view = view
        self.screen = Screen()
        self.behind: list[Spoken] = []
        self.ready: Moment | None = None
        self._runner = runner
        self._canvas = CanvasReader(page, '[data-testid="canvas"]')
        self._early: list[tuple[bytes, Moment]] = []
        self._expected: dict[int, NDArray[np.float64]] = {}
        self._job: Job | None = None

    @property
    def job(self) -> Job:
        """The job that the page made."""
        if self._job is None:
            raise Inconclusive("The page has not made a job yet.")
        return self._job

    @property
    def grid(self) -> Grid:
        """The grid of the job's lines."""
        return Grid.of(self.job)

    def open(self, base: str | None = None, blocks: str = "*") -> None:
        """Start the observers and the page; return once each later record will be seen at every hop.

        `blocks` is the group whose blocks are observed, all of them by default; of a recording none is.
        """
        if self.view.between is None:
            self._tap(blocks)
        self._runner.start(PageFrames(self.page, "/ws/jobs/", self._frame))
        with self.page.expect_response(
            lambda response: response.url.endswith("/configure") and response.request.method == "POST",
            timeout=OPEN_WITHIN_MS,
        ) as configured:
            self.page.goto(self.view.address(base or self.stack.endpoint("focus.http")))
        if configured.value.status != 200:
            raise AssertionError(f"POST /configure answered {configured.value.status}: {configured.value.text()}")
        self._job = Job.read(configured.value.json())
        host, port = self.stack.via("analyzer-stream", self.job.host, self.job.stream_port)
        for stream in range(self.job.stream_amount):
            self._runner.start(GrpcStream(partial(open_stream, host, port, stream), self._row))
        for payload, moment in self._early:
            self._runner.ledger.observe_all(self._rows("frame", DataStream.FromString(payload), moment))
        self._early.clear()
        self.ready = Moment.now()

    def _tap(self, blocks: str) -> None:
        tap = AmqpTap(self.stack.endpoint("rabbitmq.amqp"), EXCHANGE, f"fiber.{self.site}.{blocks}", self._block)
        self._runner.start(tap)

    def watch(self, until: Callable[[], bool], within_s: float, every_s: float = SHOT_EVERY_S) -> bool:
        """Take a screenshot each `every_s` seconds until a condition holds; False when it does not within the time."""
        deadline = time.monotonic() + within_s
        while not until():
            if time.monotonic() > deadline:
                return False
            began = time.monotonic()
            self.look()
            self.page.wait_for_timeout(max(1.0, 1000 * (every_s - (time.monotonic() - began))))
        return True

    def watch_to_its_end(self, until_wall_ns: int, every_s: float = SHOT_EVERY_S) -> bool:
        """Watch until the last line due by a time is on the screen; False when it never came.

        Whether lines come is one question, how late they are is another: this waits for long.
        """
        last = self.grid.row_at(until_wall_ns)
        within_s = max(0.0, (until_wall_ns - time.time_ns()) / 1e9) + LATEST_S
        return self.watch(lambda: max(self.screen.codes, default=-1) >= last, within_s, every_s)

    def look(self) -> None:
        """Take one screenshot, note its lines, and what the page says about its age."""
        before = self.screen.shot
        said = self.page.get_by_test_id("behind").text_content() or ""
        if said != (self.behind[-1].text if self.behind else ""):
            self.behind.append(Spoken(Moment.now(), said))
        shot = self._canvas.read()
        self.screen.shot = shot
        self.screen.shots += 1
        seen: set[int] = set()
        for row in read_rows(shot.pixels):
            if self.screen.note(row) or row.row_index in seen:
                self._runner.ledger.observe(self._pixel(row, shot, before))
            seen.add(row.row_index)

    def newest_age_s(self) -> float:
        """Return how old the newest line on the latest screenshot is, as line latency."""
        if self.screen.shot is None or not self.screen.codes:
            return float("inf")
        newest = max(self.screen.codes)
        return (time.time_ns() - self.grid.due_ns(newest)) / 1e9

    def key(self, row: int, stream: int = 0) -> str:
        """Return the ledger's key of a row of a stream; on the screen a row has the key of stream 0."""
        return f"{self.job.job_id}/{stream}/{row}"

    def keys(self, row: int) -> list[str]:
        """Return the keys of a row in all streams."""
        return [self.key(row, stream) for stream in range(self.job.stream_amount)]

    def expected(self, row: int) -> NDArray[np.float64]:
        """Return SciPy's amplitude of one row over the view's channels and the job's bins, [channel, bin]."""
        if row not in self._expected:
            grid = self.grid
            first, _ = grid.samples(row)
            line = self.fibre.amplitudes(*self.view.channels, first, 1, grid.nfft, grid.hop)[0]
            low = self.first_bin
            self._expected[row] = line[:, low : low + len(self.job.frequencies)]
        return self._expected[row]

    @property
    def first_bin(self) -> int:
        """Return the number of the job's first bin."""
        return round(self.job.frequencies[0] * self.grid.nfft / float(self.grid.fs))

    def expected_codes(self, row: int) -> NDArray[np.int64]:
        """Return the colour table's indices that a row must have on the screen."""
        amplitude = self.expected(row)
        single = self.view.last_channel is None
        drawn = amplitude[0] if single else band_level(amplitude, self.grid.fs, self.grid.nfft)
        return lut_codes(drawn, self.view.low_db, self.view.high_db)

    def _block(self, message: AmqpMessage, moment: Moment) -> Observation:
        header = message.headers
        group = int(message.routing_key.rpartition(".")[2])
        sequence, first = _integer(header, "seq"), _integer(header, "first_sample")
        channels = _integer(header, "ch_last") - _integer(header, "ch_first") + 1
        samples = len(message.body) // (channels * (2 if header["dtype"] == "int16" else 4))
        rate = _integer(header, "fs_num") / _integer(header, "fs_den")
        return Observation(
            hop="block",
            key=f"{self.site}/{group}/{sequence}",
            sequence=sequence,
            event_ns=_integer(header, "t0_ns") + round((first + samples) * 1e9 / rate),
            seen_ns=moment.mono_ns,
            seen_wall_ns=moment.wall_ns,
            digest=f"{zlib.crc32(message.body):08x}",
            attributes={"first_sample": first, "samples": samples, "epoch": str(header["epoch"])},
        )

    def _frame(self, payload: bytes | str, moment: Moment) -> Iterable[Observation]:
        if isinstance(payload, str):
            return ()
        if self._job is None:
            self._early.append((payload, moment))
            return ()
        return self._rows("frame", DataStream.FromString(payload), moment)

    def _row(self, message: DataStream, moment: Moment) -> Iterable[Observation]:
        return self._rows("row", message, moment)

    def _rows(self, hop: str, message: DataStream, moment: Moment) -> Iterable[Observation]:
        stream = self.job.channel_to_stream[message.start_channel]
        part = slice(message.start_channel - self.view.channel, message.end_channel - self.view.channel + 1)
        for row, stamp, data in zip(message.row_index, message.timestamp_in_milis, message.main_data, strict=True):
            values = np.frombuffer(data, "<f4").reshape(message.data_shape_z or 1, -1)
            off_time = stamp != self.grid.stamp_ms(row)
            yield Observation(
                hop=hop,
                key=self.key(row, stream),
                sequence=row,
                event_ns=self.grid.due_ns(row),
                seen_ns=moment.mono_ns,
                seen_wall_ns=moment.wall_ns,
                digest=f"{zlib.crc32(data):08x}",
                deviation=float("inf") if off_time else deviation_db(values, self.expected(row)[part], self.first_bin),
                attributes={"stamp_ms": stamp},
            )

    def _pixel(self, row: PictureRow, shot: Shot, before: Shot | None) -> Observation:
        deviation = self._code_difference(row.codes, row.row_index)
        attributes: dict[str, str | int] = {}
        if before is not None:
            attributes["not_before_ns"] = before.begin.wall_ns
        if deviation > 1:
            near = [row.row_index + step for step in NEIGHBOURS if row.row_index + step >= 0]
            equal = [other for other in near if self._code_difference(row.codes, other) <= 1]
            attributes |= {"equals": self.key(equal[0])} if equal else {}
        return Observation(
            hop="pixel",
            key=self.key(row.row_index),
            sequence=row.row_index,
            event_ns=self.grid.due_ns(row.row_index),
            seen_ns=shot.end.mono_ns,
            seen_wall_ns=shot.end.wall_ns,
            deviation=deviation,
            attributes=attributes,
        )

    def _code_difference(self, codes: NDArray[np.uint8], row: int) -> float:
        expected = self.expected_codes(row)
        if codes.shape != expected.shape:
            return float("inf")
        return float(np.abs(codes.astype(np.int64) - expected).max())


@contextmanager
def page_in(browser: Browser) -> Iterator[Page]:
    """Give a page of its own in a browser, whose pixels are the screen's."""
    context = browser.new_context(viewport=WINDOW, device_scale_factor=1)
    yield context.new_page()
    context.close()


def site_of(live: LiveMetadata) -> str:
    """Return the site whose blocks a live feed is made of."""
    return str(live.document.get("site", "local"))


def _integer(header: Mapping[str, object], name: str) -> int:
    value = header[name]
    if not isinstance(value, int):
        raise TypeError(f"header {name} of a block is {value!r}, not an integer")
    return value


def choose_view(
    fibre: Fibre,
    channel: int,
    live: LiveMetadata,
    nfft: int = 256,
    last_channel: int | None = None,
    between: tuple[float, float] | None = None,
) -> View:
    """Spread the levels that the fibre will show in the next seconds, or showed then, over the colour table."""
    last = channel if last_channel is None else last_channel
    if not last <= live.number_of_channels:
        raise Inconclusive(f"The fibre has {live.number_of_channels} channels, the proof needs channel {last}.")
    wall_ns = time.time_ns() if between is None else round(between[0] * 1e9)
    first = int((wall_ns - fibre.t0_ns) * fibre.fs / 10**9)
    seconds = 30.0 if between is None else between[1] - between[0]
    hop = round(float(fibre.fs) / 20)
    shown = fibre.amplitudes(channel, last, first, int(seconds * 20), nfft, hop)
    drawn = shown if last_channel is None else band_level(shown, fibre.fs, nfft)
    with np.errstate(divide="ignore"):
        levels = 20 * np.log10(drawn)
    low, high = np.percentile(levels, [1.0, 99.0])
    return View(channel, float(np.floor(low)), float(np.ceil(high)), nfft, last_channel=last_channel, between=between)
