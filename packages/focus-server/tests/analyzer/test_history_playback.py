"""Playing a historic job: the same bytes each time, for every viewer from the start, waiting for the slow ones."""

import asyncio
import time

import grpc
import numpy as np
import pytest

from focus_server.analyzer.history.cursor import Cursor, Stopped
from focus_server.contract import Refusal
from fullspan.clients.focus_stream import open_stream

pytestmark = pytest.mark.anyio

OK = (grpc.StatusCode.OK, "")


def noise(channels, samples, dtype=np.int16):
    return (np.random.default_rng(5).standard_normal((channels, samples)) * 500).astype(dtype)


@pytest.fixture(scope="module")
def recordings(shared_archive, source):
    """Four recordings of a second of three channels."""
    return shared_archive.write(source(noise(3, 4000)))


def values(rows):
    return [message.SerializeToString() for message in rows.messages]


def without_job(rows):
    for message in rows.messages:
        message.ClearField("job_id")
    return values(rows)


async def test_it_ends_with_ok_and_is_finished(bench, watch, recordings):
    made = await bench()
    answer = await made.play(recordings, 0, 4, nfftSelection=256)
    assert made.jobs.state(answer["job_id"]).state == "ready"
    (summary,) = made.jobs.summaries()
    assert (summary.mode, summary.state, summary.nfft, summary.viewers) == ("historic", "ready", 256, 0)
    rows = await watch(answer, first=False)
    assert await rows.end() == OK
    assert rows.order == list(range(answer["metadata"]["lines"]))
    assert len(rows.messages) == 1
    state = made.jobs.state(answer["job_id"])
    assert (state.state, state.viewers, state.missing_lines, state.dropped_lines) == ("finished", 0, 0, 0)


async def test_each_pass_and_each_job_give_the_same_bytes(bench, watch, archive, source):
    data = noise(70, 6000)
    data[:, ::7] *= 20
    recordings = archive.write(source(data), lost=[(2500, 2600, 1, 70), (3500, 3700, 1, 64)])
    made = await bench()
    fields = {"channels": (1, 70), "nfftSelection": 512, "overlap": 0.9}
    answers = [await made.play(recordings, 0.3, 5.9, **fields) for _ in range(2)]
    viewers = [await watch(answer, first=False) for answer in (answers[0], answers[0], answers[1])]
    for end in await asyncio.gather(*(rows.end() for rows in viewers)):
        assert end == OK
    again = await watch(answers[0], first=False)
    assert await again.end() == OK
    sizes = [sum(map(len, message.main_data)) for message in again.messages]
    full = 2**20 // (70 * 257 * 4 + 32) * 70 * 257 * 4
    assert max(sizes) == full > 2**19
    assert values(viewers[0]) == values(viewers[1]) == values(again)
    assert without_job(viewers[0]) == without_job(viewers[2])
    assert viewers[0].order[0] == 0
    assert made.jobs.state(answers[0]["job_id"]).missing_lines == answers[0]["metadata"]["lines"] - len(again.order)


async def test_a_later_viewer_begins_at_the_start_while_the_first_one_plays(bench, watch, recordings):
    made = await bench()
    answer = await made.play(recordings, 0, 4, nfftSelection=128, playrate=8)
    first = await watch(answer)
    await first.read_to(10)
    second = await watch(answer, first=False)
    await second.read_to(0)
    assert made.jobs.state(answer["job_id"]).state == "playing"
    assert made.jobs.state(answer["job_id"]).viewers == 2
    assert await asyncio.gather(first.end(), second.end()) == [OK, OK]
    assert first.order == second.order == list(range(answer["metadata"]["lines"]))


async def test_a_slow_viewer_gets_everything_and_nothing_piles_up(bench, until, archive, source):
    """Some 90 MB, of which no more is made than gRPC and the sockets take while nobody reads: some 25 MB."""
    recordings = archive.write(source(noise(98, 10_000)), recording_s=5)
    made = await bench()
    answer = await made.play(recordings, 0, 10, channels=(1, 98), nfftSelection=1024, overlap=0.98)
    lines = answer["metadata"]["lines"]
    assert lines * 98 * 513 * 4 > 85_000_000
    job = made.jobs.get(answer["job_id"])
    async with open_stream("127.0.0.1", answer["stream_port"], 0) as call:
        order = list((await call.read()).row_index)
        await until(standstill(job), "the playback waits for its viewer")
        assert position(job) < lines // 3
        while (message := await call.read()) is not grpc.aio.EOF:
            order += message.row_index
    assert order == list(range(lines))
    assert made.jobs.state(answer["job_id"]).dropped_lines == 0


def position(job):
    """How many lines have been made for the only viewer."""
    (playback,) = job._playbacks
    return playback._cursor._line - job.first_line


def standstill(job):
    """True when nothing was made for half a second."""
    last = [time.monotonic(), None]

    def look():
        if not job.viewers or position(job) != last[1]:
            last[:] = time.monotonic(), position(job) if job.viewers else None
        return time.monotonic() - last[0] > 0.5

    return look


async def test_a_slow_viewer_does_not_slow_another(bench, watch, archive, source):
    recordings = archive.write(source(noise(98, 10_000)), recording_s=5)
    made = await bench()
    answer = await made.play(recordings, 0, 10, channels=(1, 98), nfftSelection=1024, overlap=0.97)
    async with open_stream("127.0.0.1", answer["stream_port"], 0) as stuck:
        assert (await stuck.read()).row_index[0] == 0
        rows = await watch(answer, first=False)
        assert await rows.end() == OK
        assert rows.order == list(range(answer["metadata"]["lines"]))


@pytest.mark.timed
@pytest.mark.parametrize("playrate", [2, 4])
async def test_the_play_rate_is_kept(bench, watch, recordings, playrate):
    """Line p is due p*hop/fs/playrate after the first one, and comes then, a tenth of a second late at most."""
    made = await bench()
    answer = await made.play(recordings, 0, 4, nfftSelection=256, overlap=0.5, playrate=playrate)
    began_s, late = time.monotonic(), []
    rows = await watch(answer, first=False)
    await rows.read_to(0)
    first_s = time.monotonic()
    for index in range(1, answer["metadata"]["lines"]):
        await rows.read_to(index)
        due_s = rows.order[-1] * 0.128 / playrate
        assert time.monotonic() - began_s >= due_s
        late.append(time.monotonic() - first_s - due_s)
    assert sorted(late)[len(late) // 2] < 0.1
    assert await rows.end() == OK
    assert max(len(message.row_index) for message in rows.messages) == max(1, int(0.1 * playrate * 1000 / 128))


async def test_a_file_that_is_deleted_while_it_is_played_is_a_gap(bench, watch, archive, source, capsys):
    recordings = archive.write(source(noise(2, 40_000)))
    made = await bench()
    answer = await made.play(recordings, 0, 40, nfftSelection=256, overlap=0.5, playrate=20)
    rows = await watch(answer)
    for lost in (recordings[30], recordings[31]):
        lost.file().unlink()
    recordings[33].file().write_bytes(b"no recording")
    assert await rows.end() == OK
    lost = [(30_000, 32_000), (33_000, 34_000)]
    expected = [
        line
        for line in range(answer["metadata"]["lines"])
        if not any(line * 128 < end and begin < line * 128 + 256 for begin, end in lost)
    ]
    assert rows.order == expected
    missing = answer["metadata"]["lines"] - len(expected)
    assert made.jobs.state(answer["job_id"]).missing_lines == missing > 20
    assert capsys.readouterr().out.count("recording.unreadable") == 3


async def test_a_long_time_without_recordings_is_passed_over(bench, watch, archive, source):
    """Lines of a day, and recordings of a second at its beginning and near its end."""
    fibre = source(noise(1, 1000))
    made = await bench()
    answer = await made.play(
        [*archive.write(fibre), archive.moved(fibre, 80_000_000)], 0, 86_400, nfftSelection=128, overlap=0.5
    )
    rows = await watch(answer, first=False)
    assert await rows.end() == OK
    assert answer["metadata"]["lines"] == (86_400_000 - 128) // 64 + 1
    assert rows.order == [*range(14), *range(1_250_000, 1_250_014)]
    assert made.jobs.state(answer["job_id"]).missing_lines == answer["metadata"]["lines"] - 28


async def test_nothing_recorded_is_a_404_and_makes_nothing(bench, recordings):
    made = await bench()
    for start_s, end_s in ((10, 20), (0, 0.1)):
        with pytest.raises(Refusal) as refused:
            await made.play(recordings, start_s, end_s)
        assert (refused.value.status, refused.value.error) == (404, "No recording found in given time range")
    assert len(made.jobs) == 0


async def test_a_key_makes_one_historic_job(bench, recordings):
    made = await bench()
    first = await made.play(recordings, 0, 4, key="k")
    assert await made.play(recordings, 0, 4, key="k") == first
    with pytest.raises(Refusal, match="another request"):
        await made.play(recordings, 0, 3, key="k")


async def test_a_removed_job_ends_its_playback_at_once(bench, watch, recordings, until):
    made = await bench()
    answer = await made.play(recordings, 0, 4, playrate=0.01)
    rows = await watch(answer)
    made.jobs.cancel(answer["job_id"])
    code, reason = await rows.end()
    assert (code, "was removed" in reason) == (grpc.StatusCode.NOT_FOUND, True)
    await until(lambda: not made.jobs.summaries(), "nothing is left of it")


async def test_what_nobody_wants_any_more_is_not_made(bench, recordings, monkeypatch):
    """A line of many samples is made of some channels after others; between two of them it may stop."""
    monkeypatch.setattr("focus_server.analyzer.history.cursor._BLOCK_SAMPLES", 256)
    made = await bench()
    answer = await made.play(recordings, 0, 4, nfftSelection=256, channels=(1, 3))
    job = made.jobs.get(answer["job_id"])
    cursor = Cursor(job._score(0), recordings, 0.1)
    assert len(cursor._steps._blocks) == 3
    cursor.stop()
    with pytest.raises(Stopped):
        cursor.next()


async def test_jobs_expire_never_watched_left_or_finished(bench, watch, recordings, until):
    made = await bench(job_finished_s=1, job_unconnected_s=2, job_idle_s=4)
    left = await made.play(recordings, 0, 4, playrate=0.01)
    begun = await watch(left)
    playing = await made.play(recordings, 0, 4, playrate=0.01)
    stays = await watch(playing)
    finished = await made.play(recordings, 0, 4)
    assert await (await watch(finished, first=False)).end() == OK
    assert not gone(made, finished)
    finished_s = time.monotonic()
    begun._call.cancel()
    await until(lambda: gone(made, finished), "the finished job is gone")
    assert time.monotonic() - finished_s > 0.9
    assert not gone(made, left)
    never = await made.play(recordings, 0, 4)
    made_s = time.monotonic()
    await until(lambda: gone(made, never), "the job that was never watched is gone")
    assert time.monotonic() - made_s > 1.9
    await until(lambda: gone(made, left), "the job that was left midway is gone")
    assert time.monotonic() - finished_s > 3.9
    assert not gone(made, playing)
    assert stays.order == [0]


def gone(made, answer):
    return answer["job_id"] not in {job.id for job in made.jobs.living()}


async def test_live_jobs_and_other_fibres_do_not_touch_it(bench, watch, archive, source, recordings):
    """Another fibre ends live jobs; a historic one goes on, and costs nothing of the live budget."""
    made = await bench(compute_cores=0.0001)
    answer = await made.play(recordings, 0, 4, nfftSelection=256, playrate=8)
    rows = await watch(answer)
    made.announce(source(noise(5, 100), t0_ns=1))
    made.announce(source(noise(6, 100), t0_ns=2))
    assert await rows.end() == OK
    assert rows.order == list(range(answer["metadata"]["lines"]))
