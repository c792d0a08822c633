"""The pull interface, with a played analyzer behind it: which rows, how they are written, when it ends."""

import struct

import anyio
import grpc
import pytest
from pydantic import TypeAdapter
from starlette.responses import JSONResponse

from focus_server.api.bridge import Bridge
from focus_server.api.puller import PullLimits
from focus_server.api.pullers import Pullers
from focus_server.contract import Refusal, WaterfallBlock
from focus_server.jobs import LocalAnalyzer
from focus_server.proto import DataStream

from .conftest import client

pytestmark = pytest.mark.anyio

WAIT_S = 60
NAN = float("nan")
BLOCKS = TypeAdapter(list[WaterfallBlock])


@pytest.fixture
async def http(analyzer, address):
    """A client of a server that pulls nothing before the test and nothing after it."""
    async with client(address) as made:
        yield made
        analyzer.forget()
        assert (await made.get("/waterfall/0-1/1")).status_code == 404
        for stream in (0, 1):
            await analyzer.wait_for_streams(0, stream)


@pytest.fixture
async def pullers(analyzer, folder):
    """Make pullers: await pullers(idle_s=...)."""
    async with LocalAnalyzer(folder / "analyzer.sock") as local, Bridge(local) as bridge:
        made = []

        async def make(**limits):
            made.append(Pullers(local, bridge, PullLimits(**limits)))
            return await made[-1].__aenter__()

        yield make
        for one in made:
            await one.__aexit__(None, None, None)


def message(*rows, channels=(7, 7), values=(1.0, 2.0, 4.0)):
    data = struct.pack(f"<{len(values)}f", *values)
    low, high = channels
    return DataStream(
        start_channel=low, end_channel=high, row_index=rows, main_data=[data] * len(rows)
    ).SerializeToString()


async def until(condition, what):
    with anyio.move_on_after(WAIT_S):
        while not (found := await condition()):  # noqa: ASYNC110 - it happens in other tasks
            await anyio.sleep(0.01)
        return found
    raise AssertionError(f"not within {WAIT_S} s: {what}")


async def pulled(http, status=201, path="/waterfall/0-1/10"):
    """The first answer of another status than 200, as the contract describes it; 200 is always an empty list."""

    async def answer():
        response = await http.get(path)
        if response.status_code == 200:
            assert response.json() == []
            return None
        return response

    response = await until(answer, "rows")
    assert response.status_code == status
    if status < 300:
        assert len(BLOCKS.validate_json(response.content, strict=True)) == (status == 201)
    return response.json()


def rows_of(blocks):
    assert len(blocks) == 1
    return [row["canvasId"] for row in blocks[0]["rows"]]


def historic(analyzer, job_id="0-1", streams=1):
    job = analyzer.add_job(job_id, streams)
    job["metadata"] |= {"recording_ids": ["a"], "lines": 5}
    return job


@pytest.mark.parametrize("prefix", ["", "/focus-server"])
async def test_rows_are_given_once_oldest_first_and_no_more_than_asked_for(analyzer, http, prefix):
    analyzer.add_job()
    assert (await http.get(f"{prefix}/waterfall/0-1/2")).status_code == 200
    await analyzer.wait_for_streams(1)
    analyzer.send(message(3, 4, 6))
    [block] = await pulled(http, path=f"{prefix}/waterfall/0-1/2")
    assert (block["current_min_amp"], block["current_max_amp"]) == (1.0, 4.0)
    first, second = block["rows"]
    # line 12 begins at sample 600 of 1000 a second and has 256; the fibre began at 5 ns
    assert first == {
        "canvasId": 3,
        "startTimestamp": 600,
        "endTimestamp": 856,
        "sensors": [{"id": 6, "intensity": [1.0, 2.0, 4.0]}],
    }
    assert (second["canvasId"], second["startTimestamp"]) == (4, 650)
    assert rows_of((await http.get("/waterfall/0-1/2")).json()) == [6]
    assert (await http.get("/waterfall/0-1/2")).status_code == 200


@pytest.mark.parametrize("row_count", ["0", "-1", "-99999999999999999999"])
async def test_a_count_that_is_none_is_refused(analyzer, http, row_count):
    analyzer.add_job()
    response = await http.get(f"/waterfall/0-1/{row_count}")
    assert (response.status_code, set(response.json())) == (400, {"error", "detail"})
    assert "row_count" in response.json()["error"]
    assert (await http.get("/waterfall/0-1/many")).status_code == 422
    assert analyzer.calls == []


async def test_a_job_that_is_not_there_is_a_404_and_so_is_one_that_ended(analyzer, http):
    for job_id in ("0-1", "no-task"):
        response = await http.get(f"/waterfall/{job_id}/1")
        assert (response.status_code, response.json()["error"]) == (404, "Invalid job_id")
    analyzer.add_job()
    assert (await http.get("/waterfall/0-1/1")).status_code == 200
    await analyzer.wait_for_streams(1)
    assert (await http.delete("/job/0-1")).status_code == 200
    assert (await http.get("/waterfall/0-1/1")).status_code == 404
    await analyzer.wait_for_streams(0)


async def test_an_analyzer_that_is_away_is_a_503_and_nothing_is_lost(analyzer, http):
    analyzer.add_job()
    assert (await http.get("/waterfall/0-1/1")).status_code == 200
    await analyzer.wait_for_streams(1)
    analyzer.send(message(1))
    assert rows_of(await pulled(http)) == [1]
    analyzer.send(message(2))
    await analyzer.stop()
    assert (await http.get("/waterfall/0-1/1")).status_code == 503
    await analyzer.start()
    await analyzer.wait_for_streams(1)
    analyzer.send(message(2, 3))
    found = []
    while found != [2, 3]:
        found += rows_of(await pulled(http))
        assert found in ([2], [2, 3])


async def test_what_is_not_finite_is_null_and_counts_for_no_extreme(analyzer, http):
    analyzer.add_job()
    assert (await http.get("/waterfall/0-1/1")).status_code == 200
    await analyzer.wait_for_streams(1)
    analyzer.send(message(1, values=(NAN, 0.1, float("inf"))))
    [block] = await pulled(http)
    exact = struct.unpack("<f", struct.pack("<f", 0.1))[0]
    assert block["rows"][0]["sensors"] == [{"id": 6, "intensity": [None, exact, None]}]
    assert (block["current_min_amp"], block["current_max_amp"]) == (exact, exact)
    analyzer.send(message(2, values=(NAN, NAN, NAN)))
    [block] = await pulled(http)
    assert block["rows"][0]["sensors"][0]["intensity"] == [None] * 3
    assert (block["current_min_amp"], block["current_max_amp"]) == (0.0, 0.0)


async def test_the_streams_of_a_job_are_put_together(analyzer, http):
    job = analyzer.add_job(streams=2)
    job["channel_to_stream_index"] = {"7": 0, "8": 0, "9": 1}
    assert (await http.get("/waterfall/0-1/9")).status_code == 200
    for stream in (0, 1):
        await analyzer.wait_for_streams(1, stream)
    analyzer.send(message(4, 5, channels=(7, 8), values=(1, 2, 3, 4, 5, 6)))
    analyzer.send(message(4, channels=(9, 9), values=(7, 8, 9)), 1)
    [block] = await pulled(http)
    assert [(row["canvasId"], row["sensors"]) for row in block["rows"]] == [
        (4, [{"id": 6, "intensity": [1, 2, 3]}, {"id": 7, "intensity": [4, 5, 6]}, {"id": 8, "intensity": [7, 8, 9]}])
    ]
    analyzer.send(message(6, channels=(9, 9), values=(7, 8, 9)), 1)
    [block] = await pulled(http)
    assert [(row["canvasId"], row["sensors"][2]["intensity"]) for row in block["rows"]] == [(5, [None] * 3)]


async def test_the_last_height_rows_are_kept_of_a_live_job(analyzer, pullers):
    analyzer.add_job()["metadata"]["displayInfo"]["height"] = 4
    pulling = await pullers()
    assert (await pulling.pull("0-1", 1)).lines == []
    await analyzer.wait_for_streams(1)
    for row in range(19):
        analyzer.send(message(row))
    analyzer.send(message(19, values=(1.0, 2.0, 4.0, 8.0)))  # by its size it is told from the others

    async def last():
        return pulling.bytes_held == 3 * 12 + 16

    await until(last, "all rows have come")
    given = [[line.index for line in (await pulling.pull("0-1", 3)).lines] for _ in range(2)]
    assert given == [[16, 17, 18], [19]]
    assert pulling.bytes_held == 0


async def test_a_recording_waits_and_is_complete_when_all_was_given(analyzer, http):
    historic(analyzer)["metadata"]["displayInfo"]["height"] = 2
    assert (await http.get("/waterfall/0-1/3")).status_code == 200
    await analyzer.wait_for_streams(1)
    for row in range(40):
        analyzer.send(message(row))
    analyzer.send(None)
    found = []
    while len(found) < 40:
        found += rows_of(await pulled(http, path="/waterfall/0-1/3"))
    assert found == list(range(40))
    assert await pulled(http, 208) == []
    assert await pulled(http, 208) == []
    del analyzer.jobs["0-1"]
    assert (await http.get("/waterfall/0-1/1")).status_code == 404


async def test_a_recording_whose_job_ends_is_a_404(analyzer, http):
    historic(analyzer)
    assert (await http.get("/waterfall/0-1/1")).status_code == 200
    await analyzer.wait_for_streams(1)
    analyzer.send(message(0))
    assert rows_of(await pulled(http)) == [0]
    del analyzer.jobs["0-1"]
    analyzer.send(grpc.StatusCode.NOT_FOUND)
    assert (await pulled(http, 404))["error"] == "Invalid job_id"


async def test_what_nobody_pulls_any_more_is_forgotten(analyzer, pullers):
    analyzer.add_job()
    pulling = await pullers(idle_s=0.2)
    assert (await pulling.pull("0-1", 1)).lines == []
    assert len(pulling) == 1

    async def forgotten():
        return len(pulling) == 0

    await until(forgotten, "the puller ends")
    await analyzer.wait_for_streams(0)
    assert pulling.bytes_held == 0
    assert (await pulling.pull("0-1", 1)).lines == []
    await analyzer.wait_for_streams(1)


async def test_what_was_read_of_a_recording_is_given_although_its_job_has_expired(analyzer, pullers):
    historic(analyzer)
    pulling = await pullers()
    await pulling.pull("0-1", 1)
    await analyzer.wait_for_streams(1)
    analyzer.send(message(0, 1))
    analyzer.send(None)
    await analyzer.wait_for_streams(0)
    del analyzer.jobs["0-1"]
    given = []

    async def complete():
        pulled = await pulling.pull("0-1", 1)
        given.extend(line.index for line in pulled.lines)
        return pulled.complete

    await until(complete, "the end of the recording")
    assert given == [0, 1]
    with pytest.raises(Refusal, match="Invalid job_id"):
        await pulling.pull("0-1", 1)
    assert len(pulling) == 0


async def test_nothing_is_given_of_a_recording_whose_job_a_client_ended(analyzer, http):
    historic(analyzer)
    assert (await http.get("/waterfall/0-1/1")).status_code == 200
    await analyzer.wait_for_streams(1)
    analyzer.send(message(0, 1))
    analyzer.send(None)
    assert rows_of(await pulled(http, path="/waterfall/0-1/1")) == [0]
    assert (await http.delete("/job/0-1")).status_code == 200
    assert (await http.get("/waterfall/0-1/1")).status_code == 404


async def test_a_played_recording_that_nobody_asks_for_ends_with_its_job(analyzer, pullers):
    historic(analyzer)
    pulling = await pullers()
    await pulling.pull("0-1", 1)
    await analyzer.wait_for_streams(1)
    analyzer.send(None)

    async def complete():
        return (await pulling.pull("0-1", 1)).complete

    await until(complete, "the end of the recording")
    assert len(pulling) == 1
    del analyzer.jobs["0-1"]

    async def ended():
        return len(pulling) == 0

    await until(ended, "the puller ends")


async def test_pullers_end_with_the_server(analyzer, folder):
    analyzer.add_job()
    async with LocalAnalyzer(folder / "analyzer.sock") as local, Bridge(local) as bridge:
        async with Pullers(local, bridge) as pulling:
            await pulling.pull("0-1", 1)
            await analyzer.wait_for_streams(1)
        assert len(pulling) == 0
        await analyzer.wait_for_streams(0)


async def test_all_pullers_together_are_bounded(analyzer, pullers):
    pulling = await pullers(all_bytes=10 * 12)
    for serial in (1, 2):
        analyzer.add_job(f"0-{serial}")
        await pulling.pull(f"0-{serial}", 1)
    await analyzer.wait_for_streams(2)
    taken = analyzer.count_taken()
    for row in range(30):
        analyzer.send(message(row))

    async def all_sent():
        return taken == [60]

    await until(all_sent, "all rows have come")
    assert pulling.bytes_held <= 11 * 12
    for serial in (1, 2):
        last = []

        async def newest(job_id=f"0-{serial}", last=last):
            last.extend(line.index for line in (await pulling.pull(job_id, 30)).lines)
            return last and last[-1] == 29

        await until(newest, "the last row")


async def test_two_calls_at_once_begin_one_puller(analyzer, pullers):
    analyzer.add_job()
    pulling = await pullers()
    async with anyio.create_task_group() as tasks:
        for _ in range(5):
            tasks.start_soon(pulling.pull, "0-1", 1)
    await analyzer.wait_for_streams(1)
    assert len(pulling) == 1


async def test_a_refusal_that_may_pass_keeps_the_puller(analyzer, pullers):
    analyzer.add_job()
    pulling = await pullers()
    await pulling.pull("0-1", 1)
    await analyzer.wait_for_streams(1)
    analyzer.answers["GET /jobs/0-1/state"] = JSONResponse({"error": "busy", "detail": ""}, 503)
    with pytest.raises(Refusal, match="busy"):
        await pulling.pull("0-1", 1)
    assert len(pulling) == 1
