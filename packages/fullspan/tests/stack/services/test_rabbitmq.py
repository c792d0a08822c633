"""A real RabbitMQ: everything below its folder, nothing in arguments, nothing left."""

import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import psutil
import pytest

from fullspan.stack.processes import RUN_TAG, look_up, tagged, wait_until
from fullspan.stack.services.rabbitmq import RABBITMQ, Broker
from fullspan.stack.services.rabbitmq_plugins import link_plugins
from fullspan.testing import running_rabbitmq


def test_a_broker_from_start_to_end(tmp_path: Path):
    with running_rabbitmq(tmp_path / "broker") as broker:
        address = urlsplit(broker.management_url)
        auth = (str(address.username), str(address.password))
        base = f"http://127.0.0.1:{address.port}/api"
        assert httpx.get(f"{base}/whoami", auth=auth).json()["tags"] == ["administrator"]
        assert httpx.get(f"{base}/whoami", auth=("test", "wrong")).status_code == 401
        processes = [psutil.Process(process.pid) for process in broker.processes()]
        assert {process.name() for process in processes} >= {"beam.smp", "epmd"}
        for process in processes:
            assert str(address.password) not in " ".join(process.cmdline())
            for connection in process.net_connections(kind="tcp"):
                if connection.status == psutil.CONN_LISTEN:
                    assert connection.laddr[0] in ("127.0.0.1", "::1"), "only this machine"
        first = broker.pid
        httpx.put(f"{base}/queues/%2F/kept", auth=auth, json={"durable": True}).raise_for_status()
        # The broker's own database writes with a delay; what is not on disk a kill takes with it.
        data = tmp_path / "broker" / "mnesia"
        assert wait_until(lambda: any(b"kept" in file.read_bytes() for file in data.rglob("*.[DL]*")), 20, 0.1)

        broker.hang()
        assert {process.state for process in broker.processes()} == {"T"}
        broker.resume()
        broker.kill()
        assert look_up(first) is None
        assert not any(process.is_running() and process.status() != psutil.STATUS_ZOMBIE for process in processes)

        broker.start()
        assert broker.pid != first
        assert urlsplit(broker.management_url).port == address.port
        assert wait_until(lambda: httpx.get(f"{base}/queues/%2F/kept", auth=auth).status_code == 200, 30, 0.2)
        broker.stop()
        assert broker.processes() == []


def test_nothing_is_left_when_the_test_process_is_killed(tmp_path: Path):
    code = (
        "import sys, pathlib, time\n"
        "from fullspan.testing import running_rabbitmq\n"
        "with running_rabbitmq(pathlib.Path(sys.argv[1])) as broker:\n"
        "    print(broker.tag, flush=True)\n"
        "    time.sleep(60)\n"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "broker")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as user:
        assert user.stdout is not None
        tag = user.stdout.readline().strip()
        assert len(tagged(RUN_TAG, tag)) >= 3
        user.kill()
    assert wait_until(lambda: not tagged(RUN_TAG, tag), 10, 0.1)


def test_only_the_plugins_that_are_needed_are_linked(tmp_path: Path):
    assert link_plugins(Path(RABBITMQ.find()), tmp_path / "plugins")
    names = {path.name.rpartition("-")[0] for path in (tmp_path / "plugins").iterdir()}
    assert names >= {"rabbit", "rabbit_common", "rabbitmq_management", "rabbitmq_management_agent", "cowboy", "ranch"}
    assert not names & {"rabbitmq_shovel", "rabbitmq_federation", "rabbitmq_stream", "eetcd"}


def test_plugins_that_are_packed_or_elsewhere_are_left_alone(tmp_path: Path):
    server = tmp_path / "sbin" / "rabbitmq-server"
    server.parent.mkdir()
    server.touch()
    (tmp_path / "plugins").mkdir()
    (tmp_path / "plugins" / "rabbit-3.8.ez").touch()
    assert not link_plugins(server, tmp_path / "linked")
    assert not (tmp_path / "linked").exists()


def test_the_files_hold_the_password_for_the_owner_only(tmp_path: Path):
    broker = Broker(tmp_path, 1, 2)
    broker.write_configuration("me", 'pa"ss\\wörd#')
    holding = [path for path in tmp_path.rglob("*") if path.is_file() and path.name == "advanced.config"]
    assert [path.stat().st_mode & 0o777 for path in holding] == [0o600]
    numbers = ",".join(str(byte) for byte in 'pa"ss\\wörd#'.encode())
    assert f"{{default_pass, <<{numbers}>>}}" in holding[0].read_text()


@pytest.mark.parametrize("missing", ["FULLSPAN_RABBITMQ_USER", "FULLSPAN_RABBITMQ_PASSWORD"])
def test_user_and_password_must_be_in_the_environment(tmp_path: Path, missing: str):
    environment = {"FULLSPAN_RABBITMQ_USER": "u", "FULLSPAN_RABBITMQ_PASSWORD": "p", "PATH": ""}
    del environment[missing]
    command = [sys.executable, "-m", "fullspan.stack.services.rabbitmq", "--folder", str(tmp_path)]
    command += ["--amqp-port", "1", "--management-port", "2"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 3
    assert f"{missing} is not set." in done.stderr
