"""A slice of Focus brought up as a stack, with editors on its wires and an observer at each hop."""

import shutil
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from functools import partial
from importlib.resources import files
from importlib.util import find_spec
from os import getpid
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from anyio.from_thread import BlockingPortal, start_blocking_portal

from fullspan.clients import FocusClient, Job, LiveMetadata
from fullspan.errors import Inconclusive, StackError
from fullspan.faults import Evidence, Faults, Hang
from fullspan.invariants import Finding
from fullspan.invariants.streaming import BoundedRecovery, sweep
from fullspan.ledger import Journey, Ledger, Moment, Stage, reconcile
from fullspan.ledger.hops import HopRunner
from fullspan.selftest.defect import Defect, Diagnosis, Result
from fullspan.selftest.diagnosis import diagnose, diagnosis_of
from fullspan.selftest.focus_calls import CALLED, CLEAN_CALLS, Called, CallWire, ask_for_jobs
from fullspan.selftest.focus_catalogue import CLEAN, FOCUS, Planted
from fullspan.selftest.focus_hops import Frames, Seen, block_tap, row_stream
from fullspan.selftest.focus_values import TOLERANCE_DB, Samples, blocks_of, row_at
from fullspan.selftest.focus_views import CLEAN_VIEW, OLD_NS, VIEWS, WITHIN_NS, Looks, Viewed
from fullspan.selftest.wire import AmqpEditor, Edit, WebSocketEditor
from fullspan.settings import Settings
from fullspan.stack import Stack, open_stack
from fullspan.stack.load import project_here
from fullspan.stack.proxy import LinkProxy
from fullspan.stack.proxy.flow import Tamper
from fullspan.timeline import Event, Timeline
from fullspan.verdict import Verdict, combine

__all__ = ["FocusSlice", "all_of_focus", "focus_attached", "focus_up"]

HOPS: Final = ("block", "row", "frame")
CHANNEL: Final = 7
LINES_PER_SECOND: Final = 20
NFFT: Final = 256
SECONDS: Final = 1.0  # rows that are due before and after what is planted
LATE_AFTER_NS: Final = 3_000_000_000
"""The analyzer waits for two seconds for a block that does not come; what follows it is late by that."""
READY_WITHIN_S: Final = 60.0
POLL_S: Final = 0.05


class Switch:
    """An edit that can be changed while connections are open; by itself it lets everything pass."""

    def __init__(self) -> None:
        self.edit: Edit | None = None

    def __call__(self, name: str, payload: bytes) -> list[bytes]:
        """Edit a message as it is planted at present."""
        return [payload] if self.edit is None else self.edit(name, payload)


@dataclass(slots=True)
class FocusSlice:
    """The slice while it is up; `plant` has one job watched at every hop while a defect is planted."""

    stack: Stack
    folder: Path
    base_url: str
    frames: Switch
    blocks: Switch
    calls_url: str
    calls: CallWire
    rounds: int = 0

    def plant(self, planted: Planted = CLEAN) -> Result:
        """Plant a defect and say what was found.

        Raises StackError when the slice itself does not do what it must, Inconclusive when no row was in flight.
        """
        with self._watched(planted.off_channel) as watched:
            reason = self._break(planted)
            last = row_at(watched.job, time.time_ns() + round(SECONDS * 1e9))
            # What is lost or held back never comes, or comes late: the limit of lateness ends the wait for it.
            until = time.monotonic() + SECONDS + LATE_AFTER_NS / 1e9 + 1.0
            while watched.frame.newest < last and time.monotonic() < until:
                time.sleep(POLL_S)
            if reason is not None:
                return Result(planted.defect, Diagnosis(Verdict.INCONCLUSIVE), reason)
            return _judged(planted, watched, range(watched.first, last + 1))

    def look(self, viewed: Viewed = CLEAN_VIEW) -> Result:
        """Look at what a page is shown, while the source is silent and after it, and say what was found.

        Without a defect both the page's word and its recovery are judged. Raises StackError as `plant` does.
        """
        with self._watched() as watched:
            looks = Looks(watched.job)
            self.frames.edit = viewed.frames() if viewed.frames else None
            try:
                if not viewed.silence:
                    until = time.monotonic() + SECONDS
                    while time.monotonic() < until:
                        looks.look(*watched.page.shown)
                        time.sleep(POLL_S)  # the pace of the looks: nothing is waited for
                    return _result(viewed, [looks.judged()])
                evidence = self._silence(watched, looks)
            finally:
                self.frames.edit = None
            if evidence.verdict is not Verdict.PASS:
                return Result(viewed.defect, Diagnosis(evidence.verdict), evidence.reason)
            [recovery] = sweep([BoundedRecovery(HOPS, [evidence], WITHIN_NS, LATE_AFTER_NS)], watched.runner.ledger)
            kinds = viewed.defect.expected.kinds
            return _result(viewed, [one for one in (looks.judged(), recovery) if one.name in kinds or not kinds])

    def _silence(self, watched: "Watched", looks: Looks) -> Evidence:
        """Have the source silent until all that is shown is old, and wait until all should have recovered.

        In between old rows come after all: that they are old the page sees by their own times, and is not told.
        """
        ledger = watched.runner.ledger
        with Faults(self.stack, Timeline(self.folder / "timeline.jsonl")) as faults:
            with faults.active(Hang("interrogator")):
                self._wait(lambda: looks.look(*watched.page.shown) > OLD_NS, "old rows at the page")
            evidence = faults.evidence[-1]
        due_ns = evidence.healed_mono_ns + WITHIN_NS
        self._wait(
            lambda: all(any(seen.seen_ns >= due_ns for seen in ledger.observations(hop)[-1:]) for hop in HOPS),
            "records after the silence",
        )
        looks.look(*watched.page.shown)
        return evidence

    def call(self, called: Called = CLEAN_CALLS) -> Result:
        """Ask for jobs by calls, of which not all are answered, and say what was found."""
        self.rounds += 1
        token = f"{getpid():08x}{time.monotonic_ns():016x}{self.rounds:04x}"
        with FocusClient(self.stack.endpoint("focus.http")) as client:
            self._live(client)
            return ask_for_jobs(client, self.calls_url, self.calls, token, called)

    @contextmanager
    def _watched(self, off_channel: int = 0) -> Iterator["Watched"]:
        """Have a job watched at every hop, from when its rows arrive."""
        with FocusClient(self.stack.endpoint("focus.http")) as client, HopRunner(Ledger()) as runner:
            live = self._live(client)
            samples = Samples(CHANNEL, float(live.fiber_source["scale"]))
            site = str(live.document.get("site", "local"))
            runner.start(block_tap(self.stack.endpoint("rabbitmq.amqp"), site, 0, samples))
            job = client.configure(CHANNEL + off_channel, nfft=NFFT, lines_per_second=LINES_PER_SECOND, height=100)
            try:
                row, frame = Seen("row", job, samples), Seen("frame", job, samples)
                host, port = self.stack.via("analyzer-stream", job.host, job.stream_port)
                runner.start(row_stream(job, (host, port), row))
                page = runner.start(Frames(self.base_url, job, frame))
                first = row_at(job, Moment.now().wall_ns) + 2 + job.grid.nfft // job.grid.hop
                self._wait(lambda: min(row.newest, frame.newest) >= first, f"rows of job {job.job_id} at the page")
                yield Watched(runner, job, samples, site, row, frame, page, first)
            finally:
                client.cancel(job.job_id)

    def _break(self, planted: Planted) -> str | None:
        """Plant the defect, for as long as it lasts; return why a fault was none, if it was."""
        self.frames.edit = planted.frames() if planted.frames else None
        self.blocks.edit = planted.blocks() if planted.blocks else None
        with Faults(self.stack, Timeline(self.folder / "timeline.jsonl")) as faults:
            with faults.active(planted.fault()) if planted.fault else nullcontext():
                threading.Event().wait(planted.seconds or SECONDS)  # the length of the defect: nothing is waited for
            self.frames.edit = self.blocks.edit = None
            useless = [evidence.reason for evidence in faults.evidence if evidence.verdict is not Verdict.PASS]
        return useless[0] if useless else None

    def _live(self, client: FocusClient) -> LiveMetadata:
        live: list[LiveMetadata] = []

        def is_there() -> bool:
            live[:] = [client.live_metadata()]
            return not live[0].waiting

        self._wait(is_there, "live blocks at the server")
        return live[0]

    def _wait(self, done: Callable[[], bool], what: str) -> None:
        deadline = time.monotonic() + READY_WITHIN_S
        while not done():
            if time.monotonic() > deadline:
                raise StackError(f"The slice of Focus gave no sign of {what} within {READY_WITHIN_S:g} s.")
            time.sleep(POLL_S)


@dataclass(frozen=True, slots=True)
class Watched:
    """One job and who watches it; `first` is the first row that all of them must see."""

    runner: HopRunner
    job: Job
    samples: Samples
    site: str
    row: Seen
    frame: Seen
    page: Frames
    first: int


def _judged(planted: Planted, watched: Watched, rows: range) -> Result:
    """Follow every row of the window from its blocks to the page."""
    job, samples, site = watched.job, watched.samples, watched.site
    judged = Ledger()
    judged.observe_all(watched.runner.ledger.observations("block"))
    for hop in (watched.row, watched.frame):
        for observation, data in hop.found:
            judged.observe(replace(observation, deviation=samples.deviation_db(job, observation.sequence, data)))
    journeys = []
    for row in rows:
        key = f"{job.job_id}/0/{row}"
        blocks = [f"{site}/0/{block}" for block in blocks_of(job, row)]
        stages = [Stage("block", blocks), Stage("row", [key], tolerance=TOLERANCE_DB), Stage("frame", [key])]
        journeys.append(Journey(key, stages))
    if not journeys:
        raise Inconclusive("No row was due while every observer was looking.")
    found, said = diagnose(reconcile(judged, journeys, LATE_AFTER_NS), 1, HOPS, compared=HOPS[1:])
    return Result(planted.defect, found, said)


def _result(viewed: Viewed, findings: Sequence[Finding]) -> Result:
    """Return what the worst of the findings says."""
    worst = next(one for one in findings if one.verdict is combine(each.verdict for each in findings))
    return Result(viewed.defect, diagnosis_of(worst), f"{worst.name}: {worst.summary}")


@contextmanager
def focus_up(on_event: Callable[[Event], object] = lambda _event: None) -> Iterator[FocusSlice]:
    """Bring the slice up below the project's `var/`, and take it down; nothing of it stays.

    Raises Inconclusive when the Focus Server is not installed, or the sample recording is not there.
    """
    var = Settings.load().var_of(project_here())
    sample = var / "data" / "sample.npy"
    if find_spec("focus_server") is None:
        raise Inconclusive("The slice of Focus is left out: focus-server is not installed.")
    if not sample.is_file():
        raise Inconclusive(f"The slice of Focus is left out: {sample} is not there.", "`make setup` gets it.")
    folder = var / "selftest" / f"{getpid()}-{time.monotonic_ns()}"
    folder.mkdir(parents=True)
    frames, blocks = Switch(), Switch()
    try:
        with start_blocking_portal() as portal, _edited(portal, lambda: AmqpEditor(blocks)) as broker:
            text = files(__package__).joinpath("focus.yaml").read_text(encoding="utf-8")
            text = text.replace("name: selftest", f"name: selftest-{folder.name}").replace("SAMPLE_FILE", str(sample))
            (folder / "focus.yaml").write_text(text.replace("EDITOR_PORT", str(broker.address[1])), encoding="utf-8")
            with open_stack(str(folder / "focus.yaml"), on_event=on_event) as stack:
                broker.upstream = _address(stack.endpoint("rabbitmq.amqp"))
                with _on_the_page(portal, stack, folder, frames, blocks) as focus:
                    yield focus
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def focus_attached(stack: Stack, folder: Path) -> Iterator[FocusSlice]:
    """Use a Focus that runs already; what the broker sends to its analyzer cannot be edited there."""
    with start_blocking_portal() as portal, _on_the_page(portal, stack, folder, Switch(), Switch()) as focus:
        yield focus


@contextmanager
def _on_the_page(
    portal: BlockingPortal, stack: Stack, folder: Path, frames: Switch, blocks: Switch
) -> Iterator[FocusSlice]:
    """Have editors on the two ways to the server: the page's, and that of the calls."""
    calls = CallWire()
    with (
        _edited(portal, lambda: WebSocketEditor(frames)) as page,
        _edited(portal, lambda: calls.down, lambda: calls.up) as caller,
    ):
        page.upstream = caller.upstream = _address(stack.endpoint("focus.http"))
        page_url, calls_url = (f"http://127.0.0.1:{proxy.address[1]}" for proxy in (page, caller))
        yield FocusSlice(stack, folder, page_url, frames, blocks, calls_url, calls)


@contextmanager
def _edited(portal: BlockingPortal, down: Tamper, up: Tamper | None = None) -> Iterator[LinkProxy]:
    """Have a proxy that edits what comes down, or goes up; where it leads to is said later, till then it refuses."""

    async def begin() -> LinkProxy:
        proxy = LinkProxy("planted", "127.0.0.1", 1, tamper_up=up, tamper_down=down)
        await proxy.start()
        return proxy

    proxy = portal.call(begin)
    try:
        yield proxy
    finally:
        portal.call(proxy.aclose)


def _address(url: str) -> tuple[str, int]:
    parts = urlsplit(url)
    return parts.hostname or "", parts.port or 0


def all_of_focus(focus: FocusSlice, tell: Callable[[str], object]) -> list[Result]:
    """Plant one defect after the other into the slice, of each way to look at it after a run without any."""
    results = []
    looks: list[tuple[Defect, Callable[[], Result]]] = [
        *((one.defect, partial(focus.plant, one)) for one in (CLEAN, *FOCUS)),
        *((one.defect, partial(focus.look, one)) for one in (CLEAN_VIEW, *VIEWS)),
        *((one.defect, partial(focus.call, one)) for one in (CLEAN_CALLS, *CALLED)),
    ]
    for defect, look in looks:
        tell(f"Focus, {defect.where}: {defect.story}")
        results.append(look())
    return results
