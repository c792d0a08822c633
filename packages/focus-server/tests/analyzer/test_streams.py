"""Jobs over real gRPC: rows, viewers, ends. Blocks are given by hand, so that late and missing ones are exact."""

import asyncio
import dataclasses
import socket

import grpc
import numpy as np
import pytest

from focus_server.contract import Refusal
from focus_server.fiber import group_count

pytestmark = pytest.mark.anyio

CHANNELS, SAMPLES = 130, 8000
BLOCKS = SAMPLES // 100


@pytest.fixture(scope="module")
def fibre(source):
    return source(np.random.default_rng(3).normal(0, 2000, (CHANNELS, SAMPLES)).astype(np.int16), scale="0.125")


def blocks(fibre, first, end):
    return [fibre.block(number, group) for number in range(first, end) for group in range(group_count(fibre.channels))]


@pytest.fixture
async def filled(bench, fibre):
    """A bench that has the first two seconds."""
    made = await bench()
    made.announce(fibre)
    made.give(*blocks(fibre, 0, 20))
    return made


def expected(oracle, fibre, answer, rows, channels, fs=1000):
    """SciPy's rows [line, channel, bin] for those that were read, which follow each other."""
    grid = answer["metadata"]["grid"]
    first = (grid["first_line"] + rows.order[0]) * grid["hop"]
    end = (grid["first_line"] + rows.order[-1]) * grid["hop"] + grid["nfft"]
    low, high = channels
    part = fibre.data[low - 1 : high, first:end]
    return oracle.amplitude(part, fs, grid["nfft"], grid["hop"], scale=float(fibre.scale)).swapaxes(0, 1)


async def test_every_row_agrees_with_scipy_and_none_is_missing(filled, fibre, watch, oracle):
    answer = await filled.create(channels=(7, 7), nfftSelection=256, lines_per_second=20)
    rows = await watch(answer)
    for number in range(20, BLOCKS):
        filled.give(*blocks(fibre, number, number + 1))
        await asyncio.sleep(0)
    await rows.read_to((SAMPLES - 256) // 50 - answer["metadata"]["grid"]["first_line"])
    assert rows.order == list(range(rows.order[-1] + 1))
    wanted = expected(oracle, fibre, answer, rows, (7, 7))
    assert oracle.deviation_db(rows.stack(), wanted) < 0.01
    message = rows.messages[0]
    assert (message.start_channel, message.end_channel, message.job_id) == (7, 7, 1)
    assert message.global_minimum == rows.values[0].min()


async def test_stamps_are_the_centres_of_the_windows(filled, fibre, watch):
    answer = await filled.create(nfftSelection=256, lines_per_second=20)
    rows = await watch(answer)
    filled.give(*blocks(fibre, 20, 30))
    await rows.read_to(10)
    first = answer["metadata"]["grid"]["first_line"]
    for index in rows.order:
        assert rows.stamps[index] == fibre.t0_ns // 10**6 + (first + index) * 50 + 128


async def test_a_new_stream_gets_the_newest_complete_line_at_once(filled, fibre, watch):
    answer = await filled.create(nfftSelection=1024, lines_per_second=1)
    assert (await watch(answer)).order == [0]
    later = await filled.create(nfftSelection=256, lines_per_second=20)
    filled.give(*blocks(fibre, 20, 40))
    newest = (4000 - 256) // 50 - later["metadata"]["grid"]["first_line"]
    assert (await watch(later)).order == [newest]


async def test_a_second_viewer_gets_the_newest_line_too_and_then_the_same_bytes(filled, fibre, watch):
    answer = await filled.create(nfftSelection=256, lines_per_second=20)
    first = await watch(answer)
    filled.give(*blocks(fibre, 20, 30))
    newest = (3000 - 256) // 50 - answer["metadata"]["grid"]["first_line"]
    await first.read_to(newest)
    second = await watch(answer)
    assert second.order == [newest]
    filled.give(*blocks(fibre, 30, 40))
    for rows in (first, second):
        await rows.read_to(newest + 20)
    assert second.order == list(range(newest, newest + 21))
    for index in second.order:
        np.testing.assert_array_equal(first.values[index], second.values[index])
    assert filled.jobs.state(answer["job_id"]).viewers == 2


async def test_many_jobs_share_a_grid_and_each_gets_its_channels(filled, fibre, watch, oracle):
    ranges = [(low, low + size) for low in (1, 30, 60, 64) for size in (0, 5, 66)]
    answers = [await filled.create(channels=channels, nfftSelection=512) for channels in ranges]
    watched = [await watch(answer) for answer in answers]
    filled.give(*blocks(fibre, 20, 40))
    for channels, answer, rows in zip(ranges, answers, watched, strict=True):
        await rows.read_to((4000 - 512) // 256 - answer["metadata"]["grid"]["first_line"])
        assert oracle.deviation_db(rows.stack(), expected(oracle, fibre, answer, rows, channels)) < 0.01


async def test_multichannel_streams_carry_consecutive_groups(filled, fibre, watch, oracle):
    band = {"min": 50, "max": 400}
    answer = await filled.create(view=0, channels=(11, 60), nfftSelection=256, frequencyRange=band)
    watched = [await watch(answer, stream) for stream in range(3)]
    filled.give(*blocks(fibre, 20, 40))
    bins = slice(13, 103)
    assert answer["frequencies_amount"] == 90
    for (low, high), rows in zip([(11, 27), (28, 44), (45, 60)], watched, strict=True):
        await rows.read_to((4000 - 256) // 128 - answer["metadata"]["grid"]["first_line"])
        message = rows.messages[0]
        assert (message.start_channel, message.end_channel) == (low, high)
        assert (message.data_shape_x, message.data_shape_z) == (90, high - low + 1)
        wanted = expected(oracle, fibre, answer, rows, (low, high))[..., bins]
        assert oracle.deviation_db(rows.stack(), wanted, first_bin=13) < 0.01


async def test_nan_channels_are_nan_and_the_others_agree(bench, source, watch, oracle):
    data = np.random.default_rng(4).standard_normal((70, 6000)).astype(np.float32)
    data[[6, 65]] = np.nan
    fibre = source(data)
    made = await bench()
    made.announce(fibre)
    made.give(*blocks(fibre, 0, 20))
    answer = await made.create(view=0, channels=(1, 70), nfftSelection=512)
    watched = [await watch(answer, stream) for stream in range(3)]
    made.give(*blocks(fibre, 20, 60))
    for (low, high), rows in zip([(1, 24), (25, 47), (48, 70)], watched, strict=True):
        await rows.read_to((6000 - 512) // 256 - answer["metadata"]["grid"]["first_line"])
        found = rows.stack()
        broken = [channel - low for channel in (7, 66) if low <= channel <= high]
        assert np.isnan(found[:, broken]).all()
        wanted = expected(oracle, fibre, answer, rows, (low, high))
        good = [index for index in range(high - low + 1) if index not in broken]
        assert oracle.deviation_db(found[:, good], wanted[:, good]) < 0.01


async def test_with_a_hop_beyond_the_window_rows_are_mean_powers(filled, fibre, watch, oracle):
    answer = await filled.create(channels=(1, 2), nfftSelection=256, lines_per_second=1)
    rows = await watch(answer)
    filled.give(*blocks(fibre, 20, BLOCKS))
    await rows.read_to(6)
    first = answer["metadata"]["grid"]["first_line"]
    for index in rows.order:
        begin = (first + index) * 1000
        starts = [begin + start for start in (0, 248, 496, 744)]
        windows = np.stack([fibre.data[:2, start : start + 256] for start in starts], axis=1)
        power = oracle.amplitude(windows, 1000, 256, 256, scale=0.125)[..., 0, :] ** 2
        assert oracle.deviation_db(rows.values[index], np.sqrt(power.mean(axis=1))) < 0.01


async def test_waterfall_rows_have_one_value_for_each_channel(filled, fibre, watch):
    answer = await filled.create(view=2, channels=(3, 120))
    assert (answer["frequencies_amount"], answer["lines_dt"]) == (0, 0.05)
    rows = await watch(answer)
    filled.give(*blocks(fibre, 20, 30))
    await rows.read_to(19)
    first = answer["metadata"]["grid"]["first_line"]
    for index in rows.order:
        begin = (first + index) * 50
        wanted = fibre.data[2:120, begin : begin + 50].astype(np.float64).std(axis=1) * 0.125
        np.testing.assert_allclose(rows.values[index][0], wanted, rtol=1e-6)
        assert rows.stamps[index] == fibre.t0_ns // 10**6 + begin + 25


async def test_while_the_ring_fills_the_state_says_for_how_long(bench, fibre, watch):
    made = await bench()
    made.announce(fibre)
    made.give(*blocks(fibre, 0, 5))
    answer = await made.create(nfftSelection=2048)
    assert answer["metadata"]["ready_in_s"] == 1.548
    rows = await watch(answer, first=False)
    assert made.jobs.state(answer["job_id"]).state == "filling"
    made.give(*blocks(fibre, 5, 21))
    await rows.read_to(0)
    state = made.jobs.state(answer["job_id"])
    assert (state.state, state.ready_in_s, state.viewers) == ("live", 0, 1)


async def test_a_late_block_is_taken_in_order_and_its_lines_are_sent(filled, fibre, watch, oracle):
    answer = await filled.create(channels=(70, 70), nfftSelection=256, lines_per_second=20)
    rows = await watch(answer)
    late = fibre.block(25, 1)
    filled.give(*(block for block in blocks(fibre, 20, 40) if (block.group, block.seq) != (1, 25)))
    first = answer["metadata"]["grid"]["first_line"]
    await rows.read_to((2500 - 256) // 50 - first)
    assert rows.order[-1] == (2500 - 256) // 50 - first
    filled.give(late)
    await rows.read_to((4000 - 256) // 50 - first)
    assert rows.order == list(range(rows.order[-1] + 1))
    assert oracle.deviation_db(rows.stack(), expected(oracle, fibre, answer, rows, (70, 70))) < 0.01
    assert filled.jobs.state(answer["job_id"]).missing_lines == 0


async def test_a_block_that_does_not_come_is_given_up_and_its_lines_are_skipped_and_counted(bench, fibre, watch):
    made = await bench(give_up_s=0.3)
    made.announce(fibre)
    made.give(*blocks(fibre, 0, 20))
    alone = await made.create(channels=(70, 70), nfftSelection=256, lines_per_second=20)
    mixed = await made.create(channels=(60, 70), nfftSelection=256, lines_per_second=20)
    watched = [await watch(alone), await watch(mixed)]
    made.give(*(block for block in blocks(fibre, 20, 40) if (block.group, block.seq) != (1, 25)))
    first = alone["metadata"]["grid"]["first_line"]
    newest = (4000 - 256) // 50 - first
    for rows in watched:
        await rows.read_to(newest)
    without = [line - first for line in range(-(-(2500 - 255) // 50), 2599 // 50 + 1)]
    assert watched[0].order == [index for index in range(newest + 1) if index not in without]
    assert watched[1].order == list(range(newest + 1))
    for index, values in watched[1].values.items():
        assert np.isnan(values[5:]).all() == (index in without)
        assert np.isfinite(values[:5]).all()
    assert made.jobs.state(alone["job_id"]).missing_lines == len(without)
    assert made.jobs.state(mixed["job_id"]).missing_lines == 0


async def test_doubled_blocks_change_nothing(filled, fibre, watch, oracle):
    answer = await filled.create(channels=(70, 70), nfftSelection=256)
    rows = await watch(answer)
    for number in range(20, 40):
        filled.give(*blocks(fibre, number, number + 1), *blocks(fibre, number - 1, number + 1))
    await rows.read_to((4000 - 256) // 128 - answer["metadata"]["grid"]["first_line"])
    assert oracle.deviation_db(rows.stack(), expected(oracle, fibre, answer, rows, (70, 70))) < 0.01


async def test_a_slow_viewer_loses_lines_that_are_counted_and_slows_nobody(bench, fibre, watch):
    made = await bench(viewer_wait_bytes=300_000)
    made.announce(fibre)
    made.give(*blocks(fibre, 0, 20))
    answer = await made.create(channels=(1, 130), nfftSelection=1024, overlap=0.98)
    slow, fast = await watch(answer), await watch(answer)
    newest = (SAMPLES - 1024) // 20 - answer["metadata"]["grid"]["first_line"]
    for number in range(20, BLOCKS):
        made.give(*blocks(fibre, number, number + 1))
        due = ((number + 1) * 100 - 1024) // 20 - answer["metadata"]["grid"]["first_line"]
        await fast.read(lambda rows, due=due: due < 0 or (rows.order and rows.order[-1] >= due))
    assert fast.order == list(range(newest + 1))
    await slow.read_to(newest)
    lost = newest + 1 - len(slow.order)
    assert lost > 0
    assert made.jobs.state(answer["job_id"]).dropped_lines == lost
    assert made.jobs.state(answer["job_id"]).missing_lines == 0


async def test_an_interrogator_that_was_restarted_leaves_a_gap_and_goes_on(bench, fibre, watch):
    made = await bench(give_up_s=0.2)
    made.announce(fibre)
    made.give(*blocks(fibre, 0, 20))
    answer = await made.create(channels=(7, 7), nfftSelection=256, lines_per_second=20)
    rows = await watch(answer)
    again = dataclasses.replace(fibre, epoch=2)
    made.announce(again)
    made.give(*(block for block in again.blocks(first_block=60) if block.seq < 20))
    first = answer["metadata"]["grid"]["first_line"]
    await rows.read_to((8000 - 256) // 50 - first)
    gap = 6000 // 50 - first
    assert rows.order == [0, *range(gap, (8000 - 256) // 50 - first + 1)]
    assert made.jobs.state(answer["job_id"]).missing_lines == gap - 1


async def test_another_fibre_ends_the_jobs_with_the_reason(filled, fibre, watch):
    answer = await filled.create()
    rows = await watch(answer)
    filled.announce(dataclasses.replace(fibre, scale="0.5"))
    code, reason = await rows.end()
    assert code is grpc.StatusCode.NOT_FOUND
    assert "The fibre changed (scale from 0.125 to 0.5)" in reason
    with pytest.raises(Refusal) as refused:
        filled.jobs.get(answer["job_id"])
    assert (refused.value.status, refused.value.error, refused.value.detail) == (404, "Invalid job_id", reason)
    assert [(job.job_id, job.state) for job in filled.jobs.summaries()] == [(answer["job_id"], "ended")]


async def test_a_removed_job_ends_its_streams_and_closes_its_port(filled, watch, until):
    answer = await filled.create()
    rows = await watch(answer)
    filled.jobs.cancel(answer["job_id"])
    assert await rows.end() == (grpc.StatusCode.NOT_FOUND, f"Job {answer['job_id']} was removed.")
    assert filled.jobs.summaries() == []
    await until(lambda: port_is_closed(answer["stream_port"]), "the port is closed")
    assert not list(filled.settings.state_dir.glob("jobs/*.json"))


async def test_when_the_analyzer_stops_viewers_are_told(filled, watch):
    answer = await filled.create()
    rows = await watch(answer)
    await filled.jobs.close()
    code, reason = await rows.end()
    assert code is grpc.StatusCode.UNAVAILABLE
    assert "analyzer stops" in reason


@pytest.mark.parametrize("message", [b"\xff" * 20, b"\x08", b"\x08\xff\xff\xff\xff\x0f", b"\x0a\x7f"])
async def test_a_message_that_is_no_request_is_an_invalid_argument_and_no_defect(filled, message, caplog):
    answer = await filled.create()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{answer['stream_port']}") as channel:
        call = channel.unary_stream("/pandadatastream.DataStreamService/StreamData")(message)
        async with asyncio.timeout(60):
            assert await call.code() is grpc.StatusCode.INVALID_ARGUMENT
            assert "does not exist" in await call.details()
    assert caplog.records == []


@pytest.mark.parametrize(("stream", "words"), [(1, "only stream 0"), (-1, "does not exist")])
async def test_a_stream_that_does_not_exist(filled, watch, stream, words):
    code, reason = await (await watch(await filled.create(), stream, first=False)).end()
    assert code is grpc.StatusCode.INVALID_ARGUMENT
    assert words in reason


async def test_a_job_that_nobody_watches_expires(bench, fibre, watch, until):
    made = await bench(job_unconnected_s=2.0, job_idle_s=1.2)
    made.announce(fibre)
    made.give(*blocks(fibre, 0, 20))
    never, watched = await made.create(), await made.create()
    rows = await watch(watched)
    await until(lambda: len(made.jobs) == 1, "the job that was never watched is gone")
    assert made.jobs.get(watched["job_id"]).viewers == 1
    with pytest.raises(Refusal):
        made.jobs.get(never["job_id"])
    rows._call.cancel()
    await until(lambda: len(made.jobs) == 0, "the job that nobody watches any more is gone")


async def test_a_job_whose_row_numbers_are_used_up_ends(filled, watch):
    answer = await filled.create()
    rows = await watch(answer)
    job = filled.jobs.get(answer["job_id"])
    assert job.end_line - job.first_line - 1 == 2**31 - 1
    job.streams[0].next_line = job.end_line
    code, reason = await rows.end()
    assert code is grpc.StatusCode.NOT_FOUND
    assert "no row numbers left" in reason


async def test_windows_serials_and_ports(filled):
    answers = [await filled.create() for _ in range(3)]
    assert [answer["job_id"] for answer in answers] == ["0-1", "1-2", "2-3"]
    assert len({answer["stream_port"] for answer in answers}) == 3
    filled.jobs.cancel("1-2")
    assert (await filled.create())["job_id"] == "1-4"


async def test_fixed_ports_are_the_first_free_ones(bench, fibre):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        made = await bench(fixed_ports=True, first_stream_port=port)
        made.announce(fibre)
        made.give(*blocks(fibre, 0, 20))
        assert (await made.create())["stream_port"] > port


async def test_a_key_makes_one_job(filled):
    first = await filled.create(key="k", channels=(3, 4))
    assert await filled.create(key="k", channels=(3, 4)) == first
    assert len(filled.jobs) == 1
    with pytest.raises(Refusal, match="another request") as refused:
        await filled.create(key="k", channels=(3, 5))
    assert refused.value.status == 409


async def test_beyond_the_limit_a_job_is_refused(bench, fibre):
    made = await bench(max_jobs=2)
    made.announce(fibre)
    made.give(*blocks(fibre, 0, 20))
    await made.create()
    await made.create()
    with pytest.raises(Refusal, match="All 2 jobs") as refused:
        await made.create()
    assert (refused.value.status, refused.value.retry_after) == (503, 5)
    assert len(made.jobs) == 2


async def test_a_taken_port_loses_a_job_that_is_taken_up_again(bench, fibre, filled):
    answer = await filled.create()
    stays = await filled.create()
    await filled.jobs.close()
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", answer["stream_port"]))
        taken.listen()
        again = await bench()
        assert {job.job_id: job.state for job in again.jobs.summaries()} == {
            answer["job_id"]: "lost",
            stays["job_id"]: "filling",
        }
        with pytest.raises(Refusal, match="Invalid job_id") as refused:
            again.jobs.get(answer["job_id"])
        assert f"Port {answer['stream_port']} is taken" in refused.value.detail


def port_is_closed(port):
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) != 0
