"""Other channels for a job that lives: each row is whole and right for the channels that its message names."""

import asyncio

import grpc
import numpy as np
import pytest

from focus_server.analyzer.commands.command import read_command
from focus_server.analyzer.commands.orders import Orders
from focus_server.errors import CommandError
from focus_server.fiber import group_count

pytestmark = pytest.mark.anyio

CHANNELS, SAMPLES = 130, 6000
LINE = {"nfftSelection": 256, "lines_per_second": 20}


@pytest.fixture(scope="module")
def fibre(source):
    return source(np.random.default_rng(8).normal(0, 2000, (CHANNELS, SAMPLES)).astype(np.int16), scale="0.5")


def blocks(fibre, first, end):
    return [fibre.block(number, group) for number in range(first, end) for group in range(group_count(fibre.channels))]


@pytest.fixture
def ruled(bench, fibre):
    """A bench that has the first two seconds, and commands to it: made, command = await ruled(**settings)."""

    async def make(**settings):
        made = await bench(**settings)
        made.announce(fibre)
        made.give(*blocks(fibre, 0, 20))
        orders = Orders(made.jobs, made.feed, made.settings.compute_cores)

        async def command(key, body=b"{}"):
            await orders.obey(read_command(key, body))

        return made, command

    return make


def roi(start, end):
    return b'{"start": %d, "end": %d}' % (start, end)


def metadata(made, answer):
    return made.jobs.get(answer["job_id"]).record.answer.model_dump(mode="json", by_alias=True)


def channels_of(rows):
    """row index -> the channels that its message names."""
    return {
        index: (message.start_channel, message.end_channel) for message in rows.messages for index in message.row_index
    }


def check_values(oracle, fibre, answer, rows):
    """Every row agrees with SciPy for the channels of its message."""
    grid = answer["metadata"]["grid"]
    for index, (low, high) in channels_of(rows).items():
        first = (grid["first_line"] + index) * grid["hop"]
        part = fibre.data[low - 1 : high, first : first + grid["nfft"]]
        wanted = oracle.amplitude(part, 1000, grid["nfft"], grid["hop"], scale=float(fibre.scale))[..., 0, :]
        assert oracle.deviation_db(rows.values[index], wanted) < 0.01, (index, low, high)


async def test_rows_go_on_with_the_new_channels_and_metadata_follow(ruled, fibre, watch, oracle, until):
    made, command = await ruled()
    answer = await made.create(view=0, channels=(1, 10), **LINE)
    watched = [await watch(answer, stream) for stream in range(3)]
    await command(f"{answer['job_id']}.roi", roi(60, 130))
    made.give(*blocks(fibre, 20, 60))
    last = (SAMPLES - 256) // 50 - answer["metadata"]["grid"]["first_line"]
    for rows, old, new in zip(watched, [(1, 4), (5, 7), (8, 10)], [(60, 83), (84, 107), (108, 130)], strict=True):
        await rows.read_to(last)
        assert rows.order == list(range(last + 1))
        assert channels_of(rows) == {0: old} | dict.fromkeys(range(1, last + 1), new)
        check_values(oracle, fibre, answer, rows)
    now = metadata(made, answer)
    assert now["channel_to_stream_index"] == {str(c): (c - 60) // 24 if c < 108 else 2 for c in range(60, 131)}
    assert (now["channel_amount"], now["stream_amount"]) == (71, 3)
    same = ("frequencies_list", "lines_dt", "stream_port", "metadata", "job_id", "view_type")
    assert [now[name] for name in same] == [answer[name] for name in same]
    (summary,) = made.jobs.summaries()
    assert (summary.channels.min, summary.channels.max) == (60, 130)
    state = made.jobs.state(answer["job_id"])
    assert (state.missing_lines, state.dropped_lines, state.viewers) == (0, 0, 3)
    later = await watch(answer, 1)
    assert channels_of(later) == {last: (84, 107)}


async def test_whenever_it_comes_no_row_is_lost_doubled_or_torn(ruled, fibre, watch, oracle):
    """Also while the thread beside the loop makes lines of the earlier channels."""
    made, command = await ruled()
    answer = await made.create(channels=(1, 40), **LINE)
    rows = await watch(answer)
    chance = np.random.default_rng(2)
    for number in range(20, 60):
        made.give(*blocks(fibre, number, number + 1))
        for _ in range(chance.integers(8)):
            await asyncio.sleep(0)
        low = int(chance.integers(1, CHANNELS))
        await command("roi", roi(low, min(CHANNELS, low + int(chance.integers(60)))))
    last = (SAMPLES - 256) // 50 - answer["metadata"]["grid"]["first_line"]
    await rows.read_to(last)
    assert rows.order == list(range(last + 1))
    assert len(set(channels_of(rows).values())) > 10
    check_values(oracle, fibre, answer, rows)
    assert made.jobs.state(answer["job_id"]).missing_lines == 0


async def test_a_waterfall_and_channel_0(ruled, fibre, watch):
    made, command = await ruled()
    answer = await made.create(view=2, channels=(50, 60))
    rows = await watch(answer)
    await command("roi", roi(0, 3))
    made.give(*blocks(fibre, 20, 30))
    await rows.read_to(10)
    message = rows.messages[-1]
    assert (message.start_channel, message.end_channel, message.data_shape_x) == (1, 3, 3)
    assert not message.HasField("data_shape_z")
    begin = (answer["metadata"]["grid"]["first_line"] + 10) * 50
    part = fibre.data[0:3, begin : begin + 50] * float(fibre.scale)
    np.testing.assert_allclose(rows.values[10].reshape(-1), part.std(axis=1), rtol=1e-5)


async def test_channels_that_the_job_cannot_have_are_refused_and_change_nothing(ruled, fibre):
    made, command = await ruled(compute_cores=0.002)
    answer = await made.create(view=0, channels=(1, 10), **LINE)
    await made.create(channels=(2, 2), **LINE)
    before = metadata(made, answer)
    for body, said in (
        (roi(9, 8), "start not above end"),
        (roi(-1, 8), "1 to 130"),
        (roi(1, 131), "1 to 130"),
        (roi(5, 6), "3 streams"),
        (roi(1, 130), "processor cores"),
    ):
        with pytest.raises(CommandError, match=said) as refused:
            await command(f"{answer['job_id']}.roi", body)
        assert refused.value.reason == "refused"
    assert metadata(made, answer) == before
    await command(f"{answer['job_id']}.roi", roi(128, 130))
    assert metadata(made, answer)["channel_to_stream_index"] == {"128": 0, "129": 1, "130": 2}


async def test_a_single_stream_of_many_channels_keeps_its_one_stream(ruled, fibre, watch):
    made, command = await ruled()
    answer = await made.create(view=0, channels=(7, 7), **LINE)
    rows = await watch(answer)
    await command("roi", roi(1, 130))
    made.give(*blocks(fibre, 20, 25))
    await rows.read_to(3)
    assert channels_of(rows)[3] == (1, 130)
    assert metadata(made, answer)["stream_amount"] == 1


async def test_a_playback_goes_on_where_it_is_and_a_later_one_plays_the_new_channels(
    ruled, fibre, archive, watch, oracle
):
    recordings = archive.write(fibre)
    made, command = await ruled()
    answer = await made.play(recordings, 0, 6, channels=(1, 20), **LINE, playrate=6)
    rows = await watch(answer)
    await command("roi", roi(100, 130))
    assert await rows.end() == (grpc.StatusCode.OK, "")
    lines = answer["metadata"]["lines"]
    assert rows.order == list(range(lines))
    found = channels_of(rows)
    assert found[0] == (1, 20)
    assert found[lines - 1] == (100, 130)
    check_values(oracle, fibre, answer, rows)
    again = await watch(answer, first=False)
    assert await again.end() == (grpc.StatusCode.OK, "")
    assert channels_of(again) == dict.fromkeys(range(lines), (100, 130))
    check_values(oracle, fibre, answer, again)


async def test_a_key_asks_for_the_job_as_it_was_asked_for_and_gets_it_as_it_is(ruled):
    made, command = await ruled()
    answer = await made.create(key="mine", channels=(1, 4), **LINE)
    await command("roi", roi(20, 29))
    again = await made.create(key="mine", channels=(1, 4), **LINE)
    assert again == metadata(made, answer)
    assert again["channel_amount"] == 10
