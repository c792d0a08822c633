"""A slice of Focus brought up as a stack, with editors on its wires and an observer at each hop."""

import shutil
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from importlib.resources import files
from importlib.util import find_spec
from os import getpid
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from anyio.from_thread import BlockingPortal, start_blocking_portal

from fullspan.clients import FocusClient, Job, LiveMetadata
from fullspan.errors import Inconclusive, StackError
from fullspan.faults import Faults
from fullspan.ledger import Journey, Ledger, Moment, Stage, reconcile
from fullspan.ledger.hops import HopRunner
from fullspan.selftest.defect import Diagnosis, Result
from fullspan.selftest.diagnosis import diagnose
from fullspan.selftest.focus_catalogue import CLEAN, FOCUS, Planted
from fullspan.selftest.focus_hops import Frames, Seen, block_tap, row_stream
from fullspan.selftest.focus_values import TOLERANCE_DB, Samples, blocks_of, row_at
from fullspan.selftest.wire import AmqpEditor, Edit, WebSocketEditor
from fullspan.settings import Settings
from fullspan.stack import Stack, open_stack
from fullspan.stack.load import project_here
from fullspan.stack.proxy import LinkProxy
from fullspan.timeline import Event, Timeline
from fullspan.verdict import Verdict

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

    def plant(self, planted: Planted = CLEAN) -> Result:
        """Plant a defect and say what was found.

        Raises StackError when the slice itself does not do what it must, Inconclusive when no row was in flight.
        """
        with FocusClient(self.stack.endpoint("focus.http")) as client, HopRunner(Ledger()) as runner:
            live = self._live(client)
            samples = Samples(CHANNEL, float(live.fiber_source["scale"]))
            site = str(live.document.get("site", "local"))
            runner.start(block_tap(self.stack.endpoint("rabbitmq.amqp"), site, 0, samples))
            job = client.configure(
                CHANNEL + planted.off_channel, nfft=NFFT, lines_per_second=LINES_PER_SECOND, height=100
            )
            try:
                return self._watch(planted, runner, job, samples, site)
            finally:
                client.cancel(job.job_id)

    def _watch(self, planted: Planted, runner: HopRunner, job: Job, samples: Samples, site: str) -> Result:
        row, frame = Seen("row", job, samples), Seen("frame", job, samples)
        host, port = self.stack.via("analyzer-stream", job.host, job.stream_port)
        runner.start(row_stream(job, (host, port), row))
        runner.start(Frames(self.base_url, job, frame))
        first = row_at(job, Moment.now().wall_ns) + 2 + job.grid.nfft // job.grid.hop
        self._wait(lambda: min(row.newest, frame.newest) >= first, f"rows of job {job.job_id} at the page")
        reason = self._break(planted)
        last = row_at(job, time.time_ns() + round(SECONDS * 1e9))
        # What is lost or held back never comes, or comes late: the limit of lateness ends the wait for it.
        until = time.monotonic() + SECONDS + LATE_AFTER_NS / 1e9 + 1.0
        while frame.newest < last and time.monotonic() < until:
            time.sleep(POLL_S)
        if reason is not None:
            return Result(planted.defect, Diagnosis(Verdict.INCONCLUSIVE), reason)
        return _judged(planted, runner.ledger, job, samples, site, (row, frame), range(first, last + 1))

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


def _judged(
    planted: Planted, ledger: Ledger, job: Job, samples: Samples, site: str, seen: Sequence[Seen], rows: range
) -> Result:
    """Follow every row of the window from its blocks to the page."""
    judged = Ledger()
    judged.observe_all(ledger.observations("block"))
    for hop in seen:
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
        with start_blocking_portal() as portal, _edited(portal, AmqpEditor, blocks) as broker:
            text = files(__package__).joinpath("focus.yaml").read_text(encoding="utf-8")
            text = text.replace("name: selftest", f"name: selftest-{folder.name}").replace("SAMPLE_FILE", str(sample))
            (folder / "focus.yaml").write_text(text.replace("EDITOR_PORT", str(broker.address[1])), encoding="utf-8")
            with open_stack(str(folder / "focus.yaml"), on_event=on_event) as stack:
                broker.upstream = _address(stack.endpoint("rabbitmq.amqp"))
                with _edited(portal, WebSocketEditor, frames) as page:
                    page.upstream = _address(stack.endpoint("focus.http"))
                    yield FocusSlice(stack, folder, f"http://127.0.0.1:{page.address[1]}", frames, blocks)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def focus_attached(stack: Stack, folder: Path) -> Iterator[FocusSlice]:
    """Use a Focus that runs already; what the broker sends to its analyzer cannot be edited there."""
    frames = Switch()
    with start_blocking_portal() as portal, _edited(portal, WebSocketEditor, frames) as page:
        page.upstream = _address(stack.endpoint("focus.http"))
        yield FocusSlice(stack, folder, f"http://127.0.0.1:{page.address[1]}", frames, Switch())


@contextmanager
def _edited(
    portal: BlockingPortal, editor: Callable[[Edit], Callable[[bytes], bytes]], switch: Switch
) -> Iterator[LinkProxy]:
    """Have a proxy that edits what comes down; where it leads to is said later, and until then it refuses."""

    async def begin() -> LinkProxy:
        proxy = LinkProxy("planted", "127.0.0.1", 1, tamper_down=lambda: editor(switch))
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


def all_of_focus(focus: FocusSlice, tell: Callable[[str], object], chosen: Sequence[Planted] = FOCUS) -> list[Result]:
    """Plant one defect after the other into the slice, after a run without any."""
    results = []
    for planted in (CLEAN, *chosen):
        tell(f"Focus, {planted.defect.where}: {planted.defect.story}")
        results.append(focus.plant(planted))
    return results
