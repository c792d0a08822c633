"""Every call of the typed clients, on the running system: the blocking one, the asynchronous one, and the commands."""

import time
from collections.abc import Callable, Iterator
from itertools import islice

import anyio
import numpy as np
import pytest

from fullspan.clients import (
    AsyncFocusClient,
    AsyncFocusCommands,
    DataStream,
    FocusClient,
    FocusCommands,
    Job,
    LiveMetadata,
    PulledRow,
    Refused,
    StateFrame,
    StreamLost,
    Watch,
    rows_of,
)
from fullspan.stack import Stack

WITHIN_S = 30.0
NFFT, LINES = 256, 20
WaitUntil = Callable[[Callable[[], bool], float, str], None]


@pytest.fixture
def job(focus: FocusClient, live: LiveMetadata) -> Iterator[Job]:
    """A live job of five channels."""
    assert not live.waiting
    made = focus.configure((11, 15), view=0, nfft=NFFT, lines_per_second=LINES, band=(10, 100), height=400)
    yield made
    try:
        focus.cancel(made.job_id)
    except Refused as refused:
        if refused.status != 404:  # the test has ended it
            raise


@pytest.fixture
def commands(stack: Stack) -> Iterator[FocusCommands]:
    with FocusCommands(stack.endpoint("rabbitmq.amqp")) as publisher:
        yield publisher


def test_the_fibre_and_the_server_are_described(focus: FocusClient, live: LiveMetadata) -> None:
    assert focus.ack() is None
    channels = focus.channels()
    assert (channels.lowest, channels.highest) == (1, live.number_of_channels)
    assert focus.sensors() == tuple(range(live.number_of_channels))
    assert live.prr > 0
    health = focus.health()
    assert health.healthy
    assert health.dependencies == {"mongodb": "up", "rabbitmq": "up", "analyzer": "up", "live_feed": "live"}
    described = focus.openapi()
    assert described["info"]["version"] == focus.info()
    assert "<html" in focus.recordings_page()


@pytest.mark.parametrize(
    ("channels", "wishes", "streams", "bins"),
    [
        (7, {"nfft": 512, "overlap": 0.5, "duration_s": 4, "height": 80}, 1, 257),
        ((7, 10), {"view": 0, "nfft": 128, "lines_per_second": 10, "band": (100, 200)}, 3, None),
        ((1, 30), {"view": 2, "lines_per_second": 20}, 1, 0),
    ],
)
def test_a_job_of_every_view(
    focus: FocusClient,
    live: LiveMetadata,
    channels: int | tuple[int, int],
    wishes: dict[str, object],
    streams: int,
    bins: int | None,
) -> None:
    job = focus.configure(channels, **wishes)  # type: ignore[arg-type]
    low, high = (channels, channels) if isinstance(channels, int) else channels
    assert (job.view_type, job.stream_amount) == (wishes.get("view", 1), streams)
    assert sorted(job.channel_to_stream) == list(range(low, high + 1))
    assert len(job.frequencies) == bins or bins is None
    assert focus.metadata(job.job_id) == job
    [listed] = [one for one in focus.jobs() if one.job_id == job.job_id]
    assert (listed.mode, listed.channels, listed.view_type) == ("live", (low, high), job.view_type)
    assert (job.historic, job.lines) == (False, None)
    with focus.stream(job, silence_s=WITHIN_S) as stream:
        rows = [row for message in islice(stream, 3) for row in rows_of(message)]
    inside = len([c for c, s in job.channel_to_stream.items() if s == 0])
    shape = (1, high - low + 1) if bins == 0 else (inside, len(job.frequencies))
    assert {row.values.shape for row in rows} == {shape}
    assert all(np.isfinite(row.values).all() and row.first_channel == low for row in rows)
    assert [row.index for row in rows] == sorted({row.index for row in rows})
    focus.cancel(job.job_id)
    with pytest.raises(Refused, match="Invalid job_id"):
        focus.metadata(job.job_id)


def test_the_same_rows_come_by_grpc_by_websocket_and_by_pull(focus: FocusClient, job: Job) -> None:
    pulling = focus.waterfall(job.job_id, 20, WITHIN_S)
    first = next(pulling)
    with focus.stream(job, silence_s=WITHIN_S) as stream, focus.watch(job.job_id, silence_s=WITHIN_S) as watch:
        direct = taken(iter(stream), 30)
        bridged = taken((it for it in watch if isinstance(it, DataStream)), 30)
    common = direct.keys() & bridged.keys()
    assert len(common) >= 20
    assert all(np.array_equal(direct[row], bridged[row]) for row in common)
    pulled = {row.number: row for row in (first, *islice(pulling, 40))}
    same = pulled.keys() & direct.keys()
    assert len(same) >= 15
    assert {sensor for row in pulled.values() for sensor in row.sensors} == set(range(10, 15))
    for number in same:
        assert close(pulled[number], direct[number])
    assert all(row.end_ms > row.start_ms for row in pulled.values())


def taken(messages: Iterator[DataStream], count: int) -> dict[int, np.ndarray]:
    """The first rows of a stream by their numbers."""
    found: dict[int, np.ndarray] = {}
    for message in messages:
        found |= {row.index: row.values for row in rows_of(message)}
        if len(found) >= count:
            break
    return found


def close(row: PulledRow, values: np.ndarray) -> bool:
    """Tell whether a pulled row has the values of the stream's channels, the first of which is sensor 10."""
    return all(np.allclose(row.sensors[10 + n], channel, rtol=1e-5) for n, channel in enumerate(values))


def test_a_key_makes_one_job(focus: FocusClient, live: LiveMetadata) -> None:
    key = f"clients-{time.time_ns()}"
    first, again, other = (focus.configure(9, nfft=NFFT, key=k) for k in (key, key, None))
    assert first == again
    assert other.job_id != first.job_id
    for job in (first, other):
        focus.cancel(job.job_id)


def test_the_older_form(focus: FocusClient, live: LiveMetadata) -> None:
    task = f"older_{time.time_ns()}"
    assert focus.config(task, (4, 6), height=60, nfft=NFFT, band=(0, 100), duration_s=5) == task
    job = focus.metadata(task)
    assert (sorted(job.channel_to_stream), job.view_type, job.grid.nfft) == ([5, 6, 7], 0, NFFT)
    rows = list(islice(focus.waterfall(task, 10, WITHIN_S), 12))
    assert [row.number for row in rows] == sorted({row.number for row in rows})
    assert {tuple(sorted(row.sensors)) for row in rows} == {(4, 5, 6)}
    assert {len(values) for row in rows for values in row.sensors.values()} == {len(job.frequencies)}
    focus.cancel(task)
    with pytest.raises(Refused, match="404"):
        focus.pull(task, 1)


def test_a_recording_is_played_and_pulled_to_its_end(
    focus: FocusClient, live: LiveMetadata, wait_until: WaitUntil
) -> None:
    def recorded() -> list[tuple[float, float]]:
        now = time.time()
        return [(start, end) for start, end in focus.recordings(now - 600, now) if end - start >= 4]

    jobs: list[Job] = []

    def play() -> bool:
        """Play the first recording; one that is still running is listed already, but only whole files are played."""
        for start, _ in recorded():
            try:
                between = (start + 1, start + 3)
                jobs.append(focus.configure((1, 4), view=0, nfft=NFFT, lines_per_second=LINES, between=between))
            except Refused as refused:
                if refused.status != 404:
                    raise
            else:
                return True
        return False

    wait_until(play, 3 * WITHIN_S, "four seconds of a recording that can be played")
    (job,) = jobs
    assert job.historic
    with focus.stream(job, silence_s=WITHIN_S) as stream:
        streamed = [row.index for message in stream for row in rows_of(message)]
    assert streamed == list(range(job.lines or 0))
    pulled = [row.number for row in focus.waterfall(job.job_id, 7, WITHIN_S)]
    assert pulled == streamed
    assert focus.pull(job.job_id, 7).complete
    focus.cancel(job.job_id)
    with pytest.raises(Refused, match="No recording found in given time range"):
        focus.configure(1, between=(1000.0, 1010.0))


def test_commands_change_a_job_and_its_viewers_are_told(
    focus: FocusClient, job: Job, commands: FocusCommands, wait_until: WaitUntil
) -> None:
    with focus.watch(job.job_id, silence_s=WITHIN_S) as watch:
        next(watch)
        commands.caxis(-12.5, 3.5, job.job_id)
        told = display_frame(watch)
    commands.colormap("viridis", job.job_id)
    commands.roi(20, 23, job.job_id)
    commands.keepalive("the suite", job.job_id)
    commands.monitor_queues(job.job_id)
    wait_until(lambda: sorted(focus.metadata(job.job_id).channel_to_stream) == [20, 21, 22, 23], WITHIN_S, "the region")
    changed = focus.metadata(job.job_id)
    assert changed.display["caxis"] == {"min": -12.5, "max": 3.5}
    assert changed.display["colormap"] == "viridis"
    assert told.attributes["caxis"] == {"min": -12.5, "max": 3.5}
    assert (changed.stream_amount, changed.channel_amount) == (job.stream_amount, 4)
    with focus.stream(changed, silence_s=WITHIN_S) as stream:
        wait_until(lambda: next(stream).start_channel == 20, WITHIN_S, "rows of the region")


def display_frame(watch: Watch) -> StateFrame:
    """The next frame that tells how to draw."""
    return next(frame for frame in watch if isinstance(frame, StateFrame) and frame.kind == "display")


def test_streams_that_end_say_why(focus: FocusClient, job: Job) -> None:
    with focus.stream(job, 0, silence_s=WITHIN_S) as stream:
        next(stream)
        focus.cancel(job.job_id)
        with pytest.raises(StreamLost) as lost:
            list(stream)
    assert (lost.value.code, f"Job {job.job_id}" in lost.value.reason) == ("NOT_FOUND", True)
    with focus.watch(job.job_id, silence_s=WITHIN_S) as watch, pytest.raises(StreamLost, match="4404: Invalid job_id"):
        list(watch)


def test_the_asynchronous_clients_do_the_same(stack: Stack, live: LiveMetadata) -> None:
    anyio.run(use_asynchronously, stack.endpoint("focus.http"), stack.endpoint("rabbitmq.amqp"))


async def use_asynchronously(base: str, amqp_url: str) -> None:
    with anyio.fail_after(3 * WITHIN_S):
        async with AsyncFocusClient(base, viewer="suite") as focus, AsyncFocusCommands(amqp_url) as commands:
            await focus.ack()
            assert (await focus.health()).healthy
            assert (await focus.sensors())[-1] + 1 == (await focus.channels()).highest
            job = await focus.configure((3, 4), view=0, nfft=NFFT, lines_per_second=LINES)
            assert await focus.metadata(job.job_id) == job
            assert job.job_id in [one.job_id for one in await focus.jobs()]
            numbers = []
            async with focus.stream(job, 1) as stream:
                async for message in stream:
                    numbers += [row.index for row in rows_of(message)]
                    if len(numbers) > 5:
                        break
            async for row in focus.waterfall(job.job_id):
                assert set(row.sensors) == {2, 3}
                if row.number > numbers[-1]:
                    break
            async with focus.watch(job.job_id) as watch:
                await commands.colormap("jet", job.job_id)
                async for frame in watch:
                    if isinstance(frame, StateFrame) and frame.kind == "display":
                        assert frame.attributes["colormap"] == "jet"
                        break
            await focus.cancel(job.job_id)


def test_the_figures_tell_what_was_done(focus: FocusClient, job: Job, wait_until: WaitUntil) -> None:
    wait_until(lambda: focus.metrics().value("focus_viewers") == 0, WITHIN_S, "the end of all other viewers")
    before = focus.metrics()
    with focus.watch(job.job_id, silence_s=WITHIN_S) as watch:
        list(islice((it for it in watch if isinstance(it, DataStream)), 10))
        during = focus.metrics()
    wait_until(lambda: focus.metrics().value("focus_viewers") == 0, WITHIN_S, "the viewer's end")

    def grown(name: str, **labels: str) -> float:
        return during.value(name, **labels) - before.value(name, **labels)

    assert during.value("focus_viewers") == 1
    assert grown("focus_sent_frames_total", kind="rows") >= 10
    assert grown("focus_sent_bytes_total", kind="rows") > 0
    assert grown("focus_lines_made_total", mode="live") >= 10
    assert grown("focus_compute_seconds_total", mode="live") > 0
    assert grown("focus_blocks_total", fate="taken") > 0
    assert grown("focus_requests_total", route="/metrics", status="200") == 1
    assert during.value("focus_jobs", mode="live") >= 1
    assert during.value("focus_streams", mode="live") >= job.stream_amount
    assert during.value("focus_jobs_made_total", mode="live") >= 1
    assert 0 <= during.value("focus_feed_age_seconds") < during.value("focus_ring_age_seconds")
    assert during.value("focus_dependency_up") == 4
    assert during.value("focus_request_seconds_count", route="/configure") >= 1
