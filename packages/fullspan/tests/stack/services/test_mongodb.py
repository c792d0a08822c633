"""A real MongoDB server: everything below its folder, nobody without a password, nothing in arguments, nothing left."""

from pathlib import Path
from urllib.parse import urlsplit

import psutil
import pymongo
import pytest
from pymongo.errors import OperationFailure, PyMongoError

from fullspan.errors import UsageError
from fullspan.faults import Question
from fullspan.stack.probes import NotReady, Probe
from fullspan.stack.probes.mongo import MongoProbe
from fullspan.stack.processes import kill_until_gone
from fullspan.testing import check_probe, running_mongodb

NO_LOG = Path("/dev/null")


def client(url, within_s=60):
    return pymongo.MongoClient(url, timeoutMS=within_s * 1000, directConnection=True)


@pytest.mark.anyio
async def test_a_server_from_start_to_end(tmp_path: Path):
    with running_mongodb(tmp_path / "server") as server:
        address = urlsplit(server.url)
        with client(server.url) as allowed:
            kept = allowed.prisma.get_collection("kept", write_concern=pymongo.WriteConcern(w=1, j=True))
            kept.insert_one({"_id": 1, "value": "x"})
        with client(f"mongodb://127.0.0.1:{server.port}/prisma") as stranger, pytest.raises(OperationFailure):
            stranger.prisma.kept.find_one()
        with client(server.url.replace("test:", "test:x")) as liar, pytest.raises(OperationFailure):
            liar.prisma.kept.find_one()
        found = [psutil.Process(process.pid) for process in server.processes()]
        for process in found:
            assert str(address.password) not in " ".join(process.cmdline())
            for connection in process.net_connections(kind="tcp"):
                if connection.status == psutil.CONN_LISTEN:
                    assert connection.laddr == ("127.0.0.1", server.port), "only this machine, only this port"

        question = Question.of_url(server.url, {server.port: server.port})
        assert question is not None
        assert question.until_answered(60).detail == "a MongoDB greeting came"
        server.hang()
        with question.ask() as asked:
            assert asked.answer(0.3).detail.startswith("no answer: a MongoDB greeting was awaited for")
        with client(server.url, 1.5) as waiting, pytest.raises(PyMongoError):
            waiting.prisma.kept.find_one()
        server.resume()
        assert question.until_answered(60).seen

        server.kill()
        assert not any(process.is_running() and process.status() != psutil.STATUS_ZOMBIE for process in found)
        with question.ask() as asked:
            assert "was refused" in asked.answer(1).detail

        async def start() -> None:
            server.start()

        await check_probe(MongoProbe(server.url, NO_LOG, 0), start)
        with client(server.url) as again:
            assert again.prisma.kept.find_one() == {"_id": 1, "value": "x"}
        wrong: Probe = MongoProbe(server.url.replace("test:", "test:x"), NO_LOG, 0)
        with pytest.raises(NotReady, match="OperationFailure"):
            await wrong.check()
        assert str(address.password) not in wrong.waits_for

        # Killed by somebody else, it is started again as well.
        assert kill_until_gone(server.processes, 60)
        server.start()
        with client(server.url) as asking:
            assert asking.admin.command("ping")["ok"] == 1
    assert server.processes() == []


@pytest.mark.parametrize(
    "target", ["localhost", "mongodb://u:hush@h:1", "mongodb://u:hush@h/db", "amqp://u:hush@h:1/d"]
)
def test_targets_that_cannot_be_meant(target: str):
    with pytest.raises(UsageError, match="has no address") as caught:
        MongoProbe(target, NO_LOG, 0)
    assert "hush" not in str(caught.value)
