"""The client of the analyzer's socket, against a server that answers, hangs, breaks off or is not there."""

import asyncio
import contextlib
import json
import socket
import time
from pathlib import Path

import pytest

from focus_server.contract import ConfigureRequest, Refusal
from focus_server.jobs import LocalAnalyzer
from focus_server.recordings import RecordingEntry

STATUS = {
    "rabbitmq": {"state": "up", "detail": ""},
    "feed": {"state": "live", "detail": "", "newest_sample_age_s": 0.2},
    "jobs": 3,
}
REQUEST = ConfigureRequest.read({"view_type": "1", "channels": {"min": 7, "max": 7}, "displayInfo": {"height": 9}})

pytestmark = pytest.mark.anyio


class Scripted:
    """Answers each request by the next of its replies: (status, document, headers), or an act on the connection."""

    def __init__(self):
        self.replies = []
        self.requests = []
        self.heads = []
        self.tasks = []

    async def __call__(self, reader, writer):
        self.tasks.append(asyncio.current_task())
        try:
            await self._answer(reader, writer)
        finally:
            writer.close()

    async def _answer(self, reader, writer):
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode()
                length = next((int(x.split(":")[1]) for x in head.lower().splitlines() if "content-length" in x), 0)
                self.heads.append(head)
                self.requests.append((head.partition(" HTTP")[0], (await reader.readexactly(length)).decode()))
                reply = self.replies.pop(0)
                if reply == "hang":
                    await asyncio.Event().wait()
                if reply == "cut":
                    break
                status, document, *headers = reply
                text = document if isinstance(document, str) else json.dumps(document)
                lines = [f"HTTP/1.1 {status} X", f"Content-Length: {len(text)}", *headers, "", text]
                writer.write("\r\n".join(lines).encode())


@contextlib.asynccontextmanager
async def listening(path, script):
    server = await asyncio.start_unix_server(script, path)
    try:
        yield
    finally:
        server.close()
        path.unlink(missing_ok=True)  # from Python 3.13 on the server has done so
        for task in script.tasks:
            task.cancel()
        await asyncio.wait(script.tasks, timeout=60)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "a.sock"


@pytest.fixture
async def analyzer(path):
    async with LocalAnalyzer(path, timeout_s=0.3, configure_timeout_s=0.4) as client:
        yield client


async def refusal_of(call) -> Refusal:
    with pytest.raises(Refusal) as caught:
        await call
    return caught.value


async def test_an_answer_becomes_a_model_and_the_request_goes_out_as_clients_write_it(path, analyzer):
    script = Scripted()
    script.replies = [(200, STATUS), (200, {"lowest_channel": 1, "highest_channel": 500}), (503, {}), (200, {})]
    async with listening(path, script):
        status = await analyzer.status()
        channels = await analyzer.channels()
        await refusal_of(analyzer.configure(REQUEST))
        await analyzer.cancel("3-14")
    assert (status.jobs, status.feed.newest_sample_age_s, channels.highest_channel) == (3, 0.2, 500)
    line, body = script.requests[2]
    sent = {"view_type": 1, "channels": {"min": 7, "max": 7}, "displayInfo": {"height": 9}}
    assert (line, json.loads(body)) == ("POST /jobs", sent)
    assert script.requests[3][0] == "DELETE /jobs/3-14"


async def test_with_recordings_a_historic_job_is_made_of_them(path, analyzer):
    entry = RecordingEntry(
        uuid="fef4a5a0-5c4f-5c4c-a3a4-35e1a5b1d1a4", base_path="/r", path="a.h5", start_ns=5, end_ns=9, site="local",
        channels=2, dx=1.5, units="1/s", dtype="int16", scale="0.5", samples=4, t0_ns=5, fs_num=10**9, fs_den=1,
        first_sample=0,
    )  # fmt: skip
    script = Scripted()
    script.replies = [(404, {"error": "No recording found in given time range", "detail": ""})] * 2
    async with listening(path, script):
        for recordings in ([entry], []):
            assert (await refusal_of(analyzer.configure(REQUEST, "k", recordings))).status == 404
    assert [line for line, _ in script.requests] == ["POST /history"] * 2
    orders = [json.loads(body) for _, body in script.requests]
    assert [ConfigureRequest.read(order["request"]) for order in orders] == [REQUEST] * 2
    assert [RecordingEntry.model_validate(one) for one in orders[0]["recordings"]] == [entry]
    assert orders[1]["recordings"] == []
    assert ["Idempotency-Key: k\r\n" in head for head in script.heads] == [True, True]


async def test_an_analyzer_that_is_not_there_is_a_503_and_works_again_when_it_comes(path, analyzer):
    refusal = await refusal_of(analyzer.status())
    assert (refusal.status, refusal.retry_after) == (503, 1)
    assert refusal.error == "The analyzer is not running; try again when it is."
    assert str(path) not in refusal.body.model_dump_json()
    script = Scripted()
    script.replies = [(200, STATUS)]
    async with listening(path, script):
        assert (await analyzer.status()).jobs == 3


async def test_a_socket_nobody_listens_on_is_the_same_503(path, analyzer):
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    assert (await refusal_of(analyzer.jobs())).status == 503


async def test_a_hanging_analyzer_is_a_503_in_time(path, analyzer):
    script = Scripted()
    script.replies = ["hang", "hang"]
    async with listening(path, script):
        begin = time.monotonic()
        reading = await refusal_of(analyzer.live_metadata())
        making = await refusal_of(analyzer.configure(REQUEST))
        took_s = time.monotonic() - begin
    assert (reading.status, reading.retry_after) == (503, 2)
    assert reading.error == "The analyzer did not answer in time; try again."
    assert making.error.endswith("Whether a job was made is unknown; GET /jobs tells.")
    assert took_s >= 0.7  # two deadlines, and what hangs would hang for ever


async def test_a_lost_connection_is_tried_again_only_where_that_is_safe(path, analyzer):
    script = Scripted()
    script.replies = ["cut", (200, STATUS), "cut", (200, {}), "cut"]
    async with listening(path, script):
        assert (await analyzer.status()).jobs == 3
        await analyzer.cancel("0-1")
        refusal = await refusal_of(analyzer.configure(REQUEST))
    assert refusal.error.startswith("The analyzer stopped before it answered; try again. Whether a job was made")
    assert [line for line, _ in script.requests].count("POST /jobs") == 1


async def test_with_a_key_making_a_job_may_be_tried_again(path, analyzer):
    script = Scripted()
    refusal = {"error": "No.", "detail": ""}
    script.replies = ["cut", (400, refusal)]
    async with listening(path, script):
        assert (await refusal_of(analyzer.configure(REQUEST, "once-7"))).error == "No."
    assert ["Idempotency-Key: once-7\r\n" in head for head in script.heads] == [True, True]


async def test_refusals_of_the_analyzer_pass_unchanged(path, analyzer):
    script = Scripted()
    body = {"error": "waiting for fiber: no live block has arrived.", "detail": "feed"}
    script.replies = [(503, body, "Retry-After: 7"), (404, {"error": "Invalid job_id", "detail": "gone"})]
    async with listening(path, script):
        waiting = await refusal_of(analyzer.configure(REQUEST))
        gone = await refusal_of(analyzer.job("0-1"))
    assert (waiting.status, waiting.error, waiting.detail, waiting.retry_after) == (503, *body.values(), 7)
    assert (gone.status, gone.error, gone.retry_after) == (404, "Invalid job_id", None)


@pytest.mark.parametrize("reply", [(200, "no JSON"), (200, {"jobs": "many"}), (500, "Internal Server Error")])
async def test_what_cannot_be_understood_is_a_502(path, analyzer, reply):
    script = Scripted()
    script.replies = [reply]
    async with listening(path, script):
        refusal = await refusal_of(analyzer.status())
    assert refusal.status == 502
    assert "same version" in refusal.error


async def test_a_socket_path_longer_than_the_kernel_takes(tmp_path, monkeypatch):
    folder = tmp_path / ("d" * 120)
    async with LocalAnalyzer(folder / "a.sock") as client:
        assert (await refusal_of(client.status())).status == 503
        for _ in range(2):  # the second time the folder is another one of the same name
            folder.mkdir()
            monkeypatch.chdir(folder)
            script = Scripted()
            script.replies = [(200, STATUS)]
            async with listening(Path("a.sock"), script):
                assert (await client.status()).jobs == 3
            monkeypatch.chdir(tmp_path)
            folder.rmdir()
            assert (await refusal_of(client.status())).status == 503
