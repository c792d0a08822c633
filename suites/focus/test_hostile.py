"""Hostile clients: what they send is refused in one form, takes little memory, and costs live viewers no line."""

import json
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager

import anyio
import psutil
import pytest
from anyio.from_thread import start_blocking_portal

from fullspan.clients import DataStream, FocusClient, Job, LiveMetadata, StateFrame, StreamLost
from fullspan.invariants import Finding
from fullspan.pytest_plugin import Evidence
from fullspan.stack import Stack
from fullspan.verdict import Verdict
from suites.focus.hostile import (
    ASSAULTS,
    Assault,
    Target,
    answer,
    connections_left_open,
    garbage_to_the_stream_port,
    large_bodies,
)
from suites.focus.machine import Machine
from suites.focus.viewers import Viewer, contiguous, watching

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

LINES = 20
ENOUGH = 2 * LINES
WITHIN_S = 60.0
SHORT = (connections_left_open, large_bodies, garbage_to_the_stream_port)
"""One after the other in `make test`; `make soak` has each one alone."""
MOST_MORE = 100 * 2**20
"""Bytes that a process may take more under an assault; what is kept for 1000 connections and their bodies is less."""
WaitUntil = Callable[[Callable[[], bool], float, str], None]


def itself(stack: Stack) -> tuple[str, int]:
    """Return the address of the server itself, without the proxy in front of it that suites break on purpose."""
    return "127.0.0.1", stack.components["focus"].ports["http"]


class Page:
    """A viewer of a job by WebSocket, in a thread: its rows, and what it was told was dropped."""

    def __init__(self, focus: FocusClient, job: Job) -> None:
        self.viewer = Viewer(job)
        self.dropped = 0
        self._focus = focus
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def _watch(self) -> None:
        try:
            with self._focus.watch(self.viewer.job.job_id) as frames:
                for frame in frames:
                    self._take(frame)
                    if self._over.is_set():
                        return
        except StreamLost:
            self.viewer.broke_s.append(time.monotonic())

    def _take(self, frame: DataStream | StateFrame) -> None:
        now_s = time.monotonic()
        if isinstance(frame, DataStream):
            self.viewer.rows.extend(frame.row_index)
            self.viewer.seen_s.extend([now_s] * len(frame.row_index))
        elif frame.kind == "dropped":
            self.dropped += int(frame.attributes["lines"])

    def close(self) -> None:
        self._over.set()
        self._thread.join(20)


class Memory:
    """The most memory that server and analyzer had, beyond what they had before, in bytes of resident set."""

    def __init__(self, stack: Stack) -> None:
        pids = {name: stack.components[name].pid for name in ("focus", "analyzer")}
        self._processes = {name: psutil.Process(pid) for name, pid in pids.items() if pid is not None}
        self._before = self._now()
        self.more = dict.fromkeys(self._processes, 0)

    def look(self) -> None:
        for name, size in self._now().items():
            self.more[name] = max(self.more[name], size - self._before[name])

    def _now(self) -> dict[str, int]:
        return {
            name: sum(one.memory_info().rss for one in (process, *process.children(recursive=True)))
            for name, process in self._processes.items()
        }


@contextmanager
def watched(focus: FocusClient, wait_until: WaitUntil) -> Iterator[tuple[Job, list[Viewer], list[Page]]]:
    """Give a job with viewers by WebSocket and gRPC, all of whom see lines; the job ends with the context."""
    job = focus.configure(7, nfft=256, lines_per_second=LINES)
    with ExitStack() as closing:
        closing.callback(focus.cancel, job.job_id)
        pages = [Page(focus, job) for _ in range(2)]
        direct = Viewer(job)
        portal = closing.enter_context(start_blocking_portal())
        closing.callback(watching(portal, [direct]))
        for page in pages:
            closing.callback(page.close)
        viewers = [direct, *(page.viewer for page in pages)]
        wait_until(lambda: all(len(viewer.rows) > LINES for viewer in viewers), WITHIN_S, "lines at all viewers")
        yield job, viewers, pages


@pytest.mark.parametrize(
    "assaults",
    [
        pytest.param(SHORT, id="short-ones"),
        *(pytest.param([it], marks=pytest.mark.soak, id=it.__name__.replace("_", "-")) for it in ASSAULTS),
    ],
)
def test_an_assault_costs_viewers_no_line_and_the_server_little_memory(
    stack: Stack,
    focus: FocusClient,
    live: LiveMetadata,
    evidence: Evidence,
    wait_until: WaitUntil,
    machine: Machine,
    assaults: Sequence[Assault],
) -> None:
    assert not live.waiting
    with watched(focus, wait_until) as (job, viewers, pages):
        target = Target(*itself(stack), job)
        jobs = {it.job_id for it in focus.jobs()}
        memory, began = Memory(stack), time.monotonic()
        asked_s: list[float] = []
        for assault in assaults:
            evidence.say(f"{assault.__name__} begins")
            asked_s += under(assault, target, focus, memory)
        seen = [len(viewer.rows) for viewer in viewers]
        on = lambda: all(len(v.rows) > n + ENOUGH for v, n in zip(viewers, seen, strict=True))  # noqa: E731
        wait_until(on, WITHIN_S, "lines that go on after the assault")
        took_s = time.monotonic() - began
        after = {it.job_id for it in focus.jobs()}
    evidence.say(f"it took {took_s:.1f} s and met {dict(target.met)}")
    evidence.finding(contiguous("lines during the assault", viewers, began, time.monotonic(), ENOUGH))
    dropped = sum(page.dropped for page in pages) + sum(len(viewer.broke_s) for viewer in viewers[1:])
    verdict = Verdict.FAIL if dropped or after != jobs else Verdict.PASS
    summary = f"{dropped} lines dropped or viewers lost, {len(after ^ jobs)} jobs came or went"
    evidence.finding(Finding("viewers and jobs are untouched", verdict, summary, len(viewers)))
    for name, more in memory.more.items():
        evidence.figure(f"{name}: more memory at most", round(more / 2**20, 1), "MB")
        verdict = Verdict.FAIL if more > MOST_MORE else Verdict.PASS
        summary = f"{more / 2**20:.1f} MB more, allowed are {MOST_MORE / 2**20:.0f} MB"
        evidence.finding(Finding(f"memory of {name} is bounded", verdict, summary, 1))
    evidence.figures("others are answered meanwhile", asked_s, "s")
    slowest = max(asked_s)
    verdict = Verdict.PASS if slowest < 5 else Verdict.FAIL
    summary = f"{len(asked_s)} calls of another client were answered within {slowest:.2f} s"
    evidence.finding(machine.judge(Finding("others are answered", verdict, summary, len(asked_s))))
    assert not target.met.keys() & {"500", "502", "UNKNOWN", "INTERNAL", "silence"}, target.met
    evidence.require()


def under(assault: Assault, target: Target, focus: FocusClient, memory: Memory) -> list[float]:
    """Let an assault happen; meanwhile ask the server like anybody else. Returns how long each answer took, in s."""
    took_s: list[float] = []
    with start_blocking_portal() as portal:
        done = portal.start_task_soon(assault, target)
        while True:
            over = done.done()
            began = time.monotonic()
            focus.ack()
            took_s.append(time.monotonic() - began)
            memory.look()
            if over:
                done.result()
                return took_s
            time.sleep(0.1)  # the pace of the other client


JSON = "Content-Type: application/json"
GOOD = '{"view_type": 1, "channels": {"min": 7, "max": 7}, "displayInfo": {"height": 9}}'
SMUGGLED = "0\r\n\r\nGET /jobs HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
HOSTILE = [
    ("GET", "/metadata/0-999999999999999999", [], "", {404}),
    ("GET", "/metadata/%7B%22$ne%22:null%7D", [], "", {404}),
    ("GET", "/metadata/<script>alert(1)</script>", [], "", {404}),
    ("GET", "/metadata/..%2f..%2fstatus", [], "", {404}),
    ("GET", "/metadata/0-1%00", [], "", {404}),
    ("GET", "/waterfall/0-999999999/-1", [], "", {400}),
    ("GET", "/waterfall/0-999999999/1e9", [], "", {422}),
    ("GET", "/waterfall/0-999999999/" + "9" * 5000, [], "", {404, 422}),
    ("DELETE", "/job/*", [], "", {404}),
    ("DELETE", "/job/", [], "", {404, 405}),
    ("GET", "/liveView/../../../../../../etc/passwd", [], "", {404}),
    ("GET", "/liveView/..%2f..%2f..%2f..%2fetc%2fpasswd", [], "", {404}),
    ("GET", "/liveView/%2e%2e/%2e%2e/settings.py", [], "", {404}),
    ("GET", "/liveView/..%5c..%5csettings.py", [], "", {404}),
    ("GET", "/liveView//etc/passwd", [], "", {404}),
    ("GET", "/liveView/%00", [], "", {404}),
    ("GET", "/liveView/" + "a" * 5000, [], "", {404}),
    ("GET", "//etc/passwd", [], "", {404}),
    ("GET", "http://evil.example/jobs", [], "", {404}),
    ("GET", "/focus-server/../jobs", [], "", {404}),
    ("TRACE", "/jobs", [], "", {405}),
    ("CONNECT", "/jobs", [], "", {400, 405}),
    ("FROBNICATE", "/jobs", [], "", {405}),
    ("POST", "/configure", [JSON], "{", {422}),
    ("POST", "/configure", [JSON], '{"view_type": {"$gt": ""}}', {422}),
    ("POST", "/configure", [JSON], '{"view_type": "<script>alert(1)</script>"}', {422}),
    ("POST", "/configure", [JSON], GOOD.replace("1", '"; DROP TABLE jobs; --"', 1), {422}),
    ("POST", "/configure", ["Content-Type: text/plain"], GOOD, {415}),
    ("POST", "/configure", ["Content-Type: application/x-www-form-urlencoded"], "a=1", {415}),
    ("POST", "/configure", [JSON, "Origin: http://evil.example"], GOOD, {403}),
    ("POST", "/configure", [JSON, "Origin: null"], GOOD, {403}),
    ("POST", "/configure", [JSON, "Idempotency-Key: a b"], GOOD, {400}),
    ("POST", "/configure", [JSON, "Idempotency-Key: " + "k" * 129], GOOD, {400}),
    ("POST", "/configure", [JSON, "Content-Encoding: gzip"], "\x1f\x8b\x08", {422}),
    ("POST", "/configure", [JSON, "Transfer-Encoding: chunked", "Transfer-Encoding: identity"], SMUGGLED, {400, 501}),
    ("POST", "/recordings_in_time_range", [JSON], '{"start_time": {"$gt": 0}, "end_time": {"$gt": 0}}', {422}),
    ("POST", "/recordings_in_time_range", [JSON], '{"start_time": -1e308, "end_time": 1e308}', {400}),
    ("POST", "/recordings_in_time_range", [JSON], '{"start_time": 0, "end_time": 1e309}', {422}),
    ("GET", "/get_recordings_timeline?start_time=<script>&end_time=2", [], "", {400, 422}),
    ("GET", "/get_recordings_timeline?start_time=nan&end_time=inf", [], "", {422}),
    ("DELETE", "/job/0-1", ["Origin: http://evil.example"], "", {403}),
    ("POST", "/config/..%2f..%2fa", [JSON], "{}", {400, 404}),
    ("POST", "/config/" + "a" * 257, [JSON], "{}", {400}),
    ("GET", "/ack", ["Host: evil.example"], "", {400, 403}),
    ("GET", "/ack", ["Expect: 100-continue", "Transfer-Encoding: gzip"], "", {400, 501}),
]
INSIDE = [b"traceback", b'file "', b"/usr/", b"/home/", b"site-packages", b"amqp://", b"mongodb://", b"root:"]
"""What an answer may not tell; nor may it give back a script."""


@pytest.mark.parametrize(("method", "path", "lines", "body", "statuses"), HOSTILE, ids=lambda it: str(it)[:40])
def test_what_is_hostile_is_refused_in_the_one_form(
    stack: Stack, focus: FocusClient, method: str, path: str, lines: list[str], body: str, statuses: set[int]
) -> None:
    host, port = itself(stack)
    jobs = [job.job_id for job in focus.jobs()]
    target = Target(host, port, None)
    length = [] if any("Transfer-Encoding" in line for line in lines) else [f"Content-Length: {len(body)}"]
    head = [f"{method} {path} HTTP/1.1", f"Host: {host}:{port}", "Connection: close", *lines, *length, "", ""]
    status, _, content = anyio.run(answer, target, ("\r\n".join(head) + body).encode("latin-1"))
    assert status in statuses, content
    document = json.loads(content)
    assert set(document) == {"error", "detail"}
    assert document["error"]
    assert not [word for word in (*INSIDE, b"<script") if word in content.lower()]
    assert [job.job_id for job in focus.jobs()] == jobs


def test_headers_that_proxies_trust_are_not_trusted(stack: Stack, focus: FocusClient) -> None:
    tricks = {
        "X-Forwarded-Host": "evil.example",
        "X-Forwarded-Proto": "https",
        "X-Original-URL": "/jobs",
        "X-HTTP-Method-Override": "DELETE",
        "Forwarded": "for=1.2.3.4;host=evil.example",
    }
    answered = focus.raw("GET", "/ack", headers=tricks)
    assert (answered.status_code, answered.json()) == (200, {})
    led = focus.raw("GET", "/liveView?a=%0d%0aSet-Cookie:%20a=1", headers=tricks)
    assert led.status_code == 307
    assert "evil.example" not in led.headers["Location"]
    assert "Set-Cookie" not in led.headers
    assert "\r" not in led.headers["Location"]
