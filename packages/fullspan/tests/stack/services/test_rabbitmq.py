"""A real RabbitMQ: everything below its folder, nothing in arguments, nothing left."""

import subprocess
import sys
from pathlib import Path
from urllib.parse import SplitResult, urlsplit

import httpx
import psutil
import pytest

from fullspan.stack.processes import RUN_TAG, look_up, tagged, wait_until
from fullspan.stack.services.rabbitmq import RABBITMQ, Broker
from fullspan.stack.services.rabbitmq_plugins import link_plugins
from fullspan.testing import RunningRabbitMQ, running_rabbitmq


def test_only_this_machine_and_only_with_the_password(one_rabbitmq: RunningRabbitMQ):
    address, auth, base = management(one_rabbitmq)
    assert httpx.get(f"{base}/whoami", auth=auth).json()["tags"] == ["administrator"]
    assert httpx.get(f"{base}/whoami", auth=("test", "wrong")).status_code == 401
    processes = [psutil.Process(process.pid) for process in one_rabbitmq.processes()]
    assert {process.name() for process in processes} >= {"beam.smp", "epmd"}
    for process in processes:
        assert str(address.password) not in " ".join(process.cmdline())
        for connection in process.net_connections(kind="tcp"):
            if connection.status == psutil.CONN_LISTEN:
                assert connection.laddr[0] in ("127.0.0.1", "::1"), "only this machine"


def management(broker: RunningRabbitMQ) -> tuple[SplitResult, tuple[str, str], str]:
    """Return the address of the management API, user and password for it, and where its calls are."""
    address = urlsplit(broker.management_url)
    return address, (str(address.username), str(address.password)), f"http://127.0.0.1:{address.port}/api"


def test_a_killed_broker_comes_back_with_what_it_had(one_rabbitmq: RunningRabbitMQ):
    _, auth, base = management(one_rabbitmq)
    processes = [psutil.Process(process.pid) for process in one_rabbitmq.processes()]
    first, ports = one_rabbitmq.pid, one_rabbitmq.ports
    httpx.put(f"{base}/queues/%2F/kept", auth=auth, json={"durable": True}).raise_for_status()
    # The broker's own database writes with a delay; what is not on disk a kill takes with it.
    data = one_rabbitmq.folder / "mnesia"
    assert wait_until(lambda: any(b"kept" in file.read_bytes() for file in data.rglob("*.[DL]*")), 20, 0.1)

    one_rabbitmq.hang()
    assert {process.state for process in one_rabbitmq.processes()} == {"T"}
    one_rabbitmq.resume()
    one_rabbitmq.kill()
    try:
        assert look_up(first) is None
        assert not any(process.is_running() and process.status() != psutil.STATUS_ZOMBIE for process in processes)
    finally:
        one_rabbitmq.start()
    assert one_rabbitmq.pid != first
    assert one_rabbitmq.ports == ports
    assert wait_until(lambda: httpx.get(f"{base}/queues/%2F/kept", auth=auth).status_code == 200, 30, 0.2)
    httpx.delete(f"{base}/queues/%2F/kept", auth=auth).raise_for_status()


@pytest.mark.soak
def test_stopping_leaves_nothing(tmp_path: Path):
    with running_rabbitmq(tmp_path / "broker") as broker:
        broker.stop()
        assert broker.processes() == []


@pytest.mark.parametrize("service", [pytest.param("rabbitmq", marks=pytest.mark.soak), "mongodb"])
def test_nothing_is_left_when_the_test_process_is_killed(tmp_path: Path, service: str):
    code = (
        "import sys, pathlib, time\n"
        f"from fullspan.testing import running_{service} as running\n"
        "with running(pathlib.Path(sys.argv[1])) as server:\n"
        "    print(server.tag, flush=True)\n"
        "    time.sleep(60)\n"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "server")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as user:
        assert user.stdout is not None
        tag = user.stdout.readline().strip()
        assert len(tagged(RUN_TAG, tag)) >= 2
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
