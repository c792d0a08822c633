"""The bridge from gRPC to WebSocket: same bytes for all, nobody waits for anybody, and the end is said."""

import contextlib
import json
import os
import socket
import sys
import time

import anyio
import grpc
import pytest
from anyio.streams.buffered import BufferedByteReceiveStream
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from focus_server.api.bridge import Bridge, TrunkLimits, ViewerLimits
from focus_server.jobs import LocalAnalyzer
from focus_server.proto import DataStream

pytestmark = pytest.mark.anyio

WAIT_S = 60
MEGABYTE = 2**20


def message(row, size=0):
    """A serialised message with one row of `size` bytes beside its numbers."""
    return DataStream(start_channel=7, end_channel=7, row_index=[row], main_data=[bytes(size)]).SerializeToString()


def watch(address, job_id="0-1", stream=0, **options):
    options = {"compression": None, "proxy": None, "max_size": None, **options}
    return connect(f"ws://{address}/ws/jobs/{job_id}/streams/{stream}", **options)


async def frames_until_closed(viewer):
    """The text frames and the number of binary ones until the server closes, and its close code and reason."""
    texts, binaries = [], 0
    with anyio.fail_after(WAIT_S):
        try:
            while True:
                frame = await viewer.recv()
                if isinstance(frame, str):
                    texts.append(json.loads(frame))
                else:
                    binaries += 1
        except ConnectionClosed as closed:
            return texts, binaries, closed.rcvd.code, closed.rcvd.reason


async def text_frame(viewer, kind):
    """The next text frame of a kind; binary frames and others before it are passed over."""
    with anyio.fail_after(WAIT_S):
        while True:
            frame = await viewer.recv()
            if isinstance(frame, str) and json.loads(frame)["type"] == kind:
                return json.loads(frame)


async def binary_frame(viewer):
    with anyio.fail_after(WAIT_S):
        while isinstance(frame := await viewer.recv(), str):
            pass
        return frame


async def test_two_viewers_share_one_stream_and_get_its_bytes(analyzer, address):
    analyzer.add_job()
    async with watch(address) as first, watch(address) as second:
        await analyzer.wait_for_streams()
        for row in range(5):
            analyzer.send(message(row))
        for viewer in (first, second):
            assert [await binary_frame(viewer) for _ in range(5)] == [message(row) for row in range(5)]
        assert len(analyzer.streams[0]) == 1
    await analyzer.wait_for_streams(0)


async def test_a_later_viewer_begins_with_the_newest_message(analyzer, address):
    analyzer.add_job()
    async with watch(address) as first:
        await analyzer.wait_for_streams()
        analyzer.send(message(1))
        analyzer.send(message(2))
        assert [await binary_frame(first) for _ in range(2)] == [message(1), message(2)]
        async with watch(address) as second:
            assert await binary_frame(second) == message(2)


async def test_streams_of_a_job_are_apart(analyzer, address):
    analyzer.add_job(streams=2)
    async with watch(address, stream=0) as first, watch(address, stream=1) as second:
        await analyzer.wait_for_streams(stream=0)
        await analyzer.wait_for_streams(stream=1)
        analyzer.send(message(1), stream=1)
        analyzer.send(message(2), stream=0)
        assert await binary_frame(first) == message(2)
        assert await binary_frame(second) == message(1)


@contextlib.asynccontextmanager
async def viewer_that_does_not_read(address):
    """A viewer with a small receive buffer that takes nothing from its socket until `resume` is called."""
    host, port = address.split(":")
    with socket.socket() as raw:
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        raw.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            raw.connect((host, int(port)))
        await anyio.wait_writable(raw)
        async with watch(address, sock=raw, max_queue=1, close_timeout=0.1) as viewer:
            viewer.transport.pause_reading()
            yield viewer


async def test_a_slow_viewer_loses_its_own_lines_only_and_is_told(analyzer, address):
    analyzer.add_job()
    sent = 24
    async with watch(address) as quick, viewer_that_does_not_read(address) as slow:
        await analyzer.wait_for_streams()
        for row in range(sent):
            analyzer.send(message(row, MEGABYTE))
            assert DataStream.FromString(await binary_frame(quick)).row_index == [row]
        slow.transport.resume_reading()
        rows, dropped = [], 0
        with anyio.fail_after(WAIT_S):
            while not rows or rows[-1] < sent - 1:
                frame = await slow.recv()
                if isinstance(frame, str):
                    dropped += json.loads(frame)["lines"] if json.loads(frame)["type"] == "dropped" else 0
                else:
                    rows += DataStream.FromString(frame).row_index
        assert dropped > 0
        assert len(rows) + dropped == sent
        assert rows == sorted(set(rows))


async def test_filling_is_told_with_the_seconds_left(analyzer, address):
    analyzer.add_job()
    analyzer.state = {**analyzer.state, "state": "filling", "ready_in_s": 3.25}
    async with watch(address) as viewer:
        assert await text_frame(viewer, "filling") == {"type": "filling", "seconds_left": 3.2}


async def test_a_pause_of_the_rows_is_told(analyzer, address):
    analyzer.add_job()
    async with watch(address) as viewer:
        await analyzer.wait_for_streams()
        analyzer.send(message(1))
        gap = await text_frame(viewer, "gap")
        assert gap["seconds"] >= 1.0
        analyzer.send(message(2))
        assert await binary_frame(viewer) == message(2)


async def test_the_end_of_the_data_is_complete(analyzer, address):
    analyzer.add_job()
    async with watch(address) as viewer:
        await analyzer.wait_for_streams()
        analyzer.send(message(1))
        analyzer.send(None)
        assert await frames_until_closed(viewer) == ([{"type": "complete"}], 1, 1000, "complete")


async def test_a_cancelled_job_is_complete(analyzer, address):
    analyzer.add_job()
    async with watch(address) as viewer:
        await analyzer.wait_for_streams()
        analyzer.send(message(1))
        assert await binary_frame(viewer) == message(1)
        del analyzer.jobs["0-1"]
        analyzer.send(grpc.StatusCode.NOT_FOUND)
        texts, _, code, _ = await frames_until_closed(viewer)
        assert texts[-1] == {"type": "complete"}
        assert code == 1000


async def test_a_job_that_ends_before_its_first_row_is_complete_too(analyzer, address):
    analyzer.add_job()
    async with watch(address) as viewer:
        await analyzer.wait_for_streams()
        del analyzer.jobs["0-1"]
        analyzer.send(grpc.StatusCode.NOT_FOUND)
        texts, binaries, code, _ = await frames_until_closed(viewer)
    assert (texts[-1], binaries, code) == ({"type": "complete"}, 0, 1000)


def add_playback(analyzer, streams=1):
    analyzer.add_job(streams=streams)["metadata"]["recording_ids"] = ["fef4a5a0-5c4f-5c4c-a3a4-35e1a5b1d1a4"]


async def test_each_viewer_of_a_historic_job_gets_its_own_stream_from_the_start(analyzer, address):
    add_playback(analyzer)
    async with watch(address) as first:
        await analyzer.wait_for_streams(1)
        analyzer.send(message(0))
        assert await binary_frame(first) == message(0)
        async with watch(address) as second:
            await analyzer.wait_for_streams(2)
            analyzer.send(message(1))
            analyzer.send(None)
            assert await binary_frame(second) == message(1)
            for viewer, binaries in ((first, 1), (second, 0)):
                assert await frames_until_closed(viewer) == ([{"type": "complete"}], binaries, 1000, "complete")


async def test_a_slow_viewer_of_a_historic_job_gets_everything_and_the_analyzer_waits(analyzer, address):
    add_playback(analyzer)
    sent = 60
    taken = analyzer.count_taken()
    async with viewer_that_does_not_read(address) as slow:
        await analyzer.wait_for_streams()
        for row in range(sent):
            analyzer.send(message(row, MEGABYTE))
        analyzer.send(None)
        await until_still(lambda: taken[0])
        assert taken[0] < sent / 2
        slow.transport.resume_reading()
        rows = []
        with anyio.fail_after(WAIT_S), contextlib.suppress(ConnectionClosed):
            while True:
                frame = await slow.recv()
                rows += [frame] if isinstance(frame, str) else DataStream.FromString(frame).row_index
        assert rows == [*range(sent), '{"type": "complete"}']


async def until_still(number, still_s=0.5):
    """Wait until a number has not changed for so long."""
    with anyio.fail_after(WAIT_S):
        last, since = number(), time.monotonic()
        while time.monotonic() - since < still_s:
            await anyio.sleep(0.02)
            if number() != last:
                last, since = number(), time.monotonic()


async def test_a_historic_job_goes_on_after_a_restart_of_the_analyzer_with_what_is_new(analyzer, address):
    add_playback(analyzer)
    async with watch(address) as viewer:
        await analyzer.wait_for_streams()
        analyzer.send(message(0))
        analyzer.send(message(1))
        assert [await binary_frame(viewer) for _ in range(2)] == [message(0), message(1)]
        await analyzer.stop()
        await text_frame(viewer, "gap")
        await analyzer.start()
        await analyzer.wait_for_streams()
        for row in range(4):  # it plays from the start again
            analyzer.send(message(row))
        analyzer.send(None)
        assert [await binary_frame(viewer) for _ in range(2)] == [message(2), message(3)]
        assert await frames_until_closed(viewer) == ([{"type": "complete"}], 0, 1000, "complete")


async def test_a_historic_job_that_is_ended_midway_is_not_complete(analyzer, address):
    add_playback(analyzer)
    async with watch(address) as viewer:
        await analyzer.wait_for_streams()
        del analyzer.jobs["0-1"]
        analyzer.send(grpc.StatusCode.NOT_FOUND)
        texts, _, code, reason = await frames_until_closed(viewer)
    assert (texts[-1]["type"], code, reason) == ("error", 4404, "job ended")
    assert "before its recordings were played to the end" in texts[-1]["error"]


async def test_a_playback_that_was_not_to_be_found_asks_to_connect_again(analyzer):
    add_playback(analyzer)
    await analyzer.stop()
    async with LocalAnalyzer(analyzer.socket_path) as orchestrator, Bridge(orchestrator) as bridge:
        async with bridge.viewer("0-1", 0) as viewer:
            with anyio.fail_after(WAIT_S):
                assert json.loads(await viewer.next())["type"] == "gap"
                await analyzer.start()
                end = await viewer.next()
        assert (end.code, end.reason) == (1013, "connect again")


async def test_a_second_loss_is_given_its_own_time(analyzer):
    analyzer.add_job()
    limits = TrunkLimits(give_up_s=0.6, longest_pause_s=0.1)
    async with (
        LocalAnalyzer(analyzer.socket_path) as orchestrator,
        Bridge(orchestrator, None, limits) as bridge,
        bridge.viewer("0-1", 0) as viewer,
    ):
        for _ in range(3):
            await analyzer.wait_for_streams()
            await anyio.sleep(0.3)  # silent, but open
            await analyzer.stop()
            with anyio.fail_after(WAIT_S):
                assert json.loads(await viewer.next())["reason"].startswith("The analyzer is not reachable")
            await analyzer.start()
        await analyzer.wait_for_streams()


@pytest.mark.parametrize(
    ("job_id", "stream", "code"), [("0-9", 0, 4404), ("x", 0, 4404), ("0-1", 7, 4400), ("0-1", "x", 4400)]
)
async def test_what_does_not_exist_is_an_error_frame_and_a_code(analyzer, address, job_id, stream, code):
    analyzer.add_job()
    async with watch(address, job_id, stream) as viewer:
        texts, binaries, closed_with, _ = await frames_until_closed(viewer)
    assert [text["type"] for text in texts] == ["error"]
    assert texts[0]["error"]
    assert (binaries, closed_with) == (0, code)


async def test_a_restart_of_the_analyzer_is_followed(analyzer, address):
    analyzer.add_job()
    async with watch(address) as viewer:
        await analyzer.wait_for_streams()
        analyzer.send(message(1))
        assert await binary_frame(viewer) == message(1)
        await analyzer.stop()
        assert "not reachable" in (await text_frame(viewer, "gap"))["reason"]
        await analyzer.start()
        await analyzer.wait_for_streams()
        analyzer.send(message(1))  # an analyzer begins with its newest row, which the viewer has had
        analyzer.send(message(2))
        analyzer.send(message(2))
        assert [await binary_frame(viewer) for _ in range(2)] == [message(2), message(2)]


async def test_an_analyzer_that_stays_away_ends_the_stream(analyzer):
    analyzer.add_job()
    limits = TrunkLimits(give_up_s=0.3)
    async with (
        LocalAnalyzer(analyzer.socket_path) as orchestrator,
        Bridge(orchestrator, None, limits) as bridge,
        bridge.viewer("0-1", 0) as viewer,
    ):
        await analyzer.wait_for_streams()
        await analyzer.stop()
        with anyio.fail_after(WAIT_S):
            assert json.loads(await viewer.next())["type"] == "gap"
            end = await viewer.next()
    assert end.code == 1013
    assert json.loads(end.frame)["error"] == "The analyzer has not been reachable for 0.3 s."


async def test_the_last_viewer_closes_the_stream_and_the_next_opens_it_again(analyzer):
    analyzer.add_job()
    async with LocalAnalyzer(analyzer.socket_path) as orchestrator, Bridge(orchestrator, ViewerLimits()) as bridge:
        for _ in range(3):
            async with bridge.viewer("0-1", 0), bridge.viewer("0-1", 0):
                await analyzer.wait_for_streams()
            await analyzer.wait_for_streams(0)


@pytest.mark.timed
async def test_a_signal_ends_the_server_in_time_although_a_viewer_is_stuck(analyzer):
    analyzer.add_job()
    environment = {**os.environ, "FOCUS_ANALYZER_SOCKET": str(analyzer.socket_path)}
    command = [sys.executable, "-m", "focus_server", "serve", "--port", "0"]
    async with await anyio.open_process(command, env=environment, stdout=None) as process:
        log = BufferedByteReceiveStream(process.stderr)
        ready = json.loads(await log.receive_until(b"\n", 4096))
        async with viewer_that_does_not_read(f"127.0.0.1:{ready['port']}"):
            await analyzer.wait_for_streams()
            for row in range(20):
                analyzer.send(message(row, MEGABYTE))
            begin = time.monotonic()
            process.terminate()
            with anyio.fail_after(WAIT_S):
                assert await process.wait() == 0
            assert time.monotonic() - begin < 2
