"""A real RabbitMQ in a folder of its own: `python -m fullspan.stack.services.rabbitmq --folder D --amqp-port P ...`.

The launcher writes the broker's files, runs its port mapper (epmd) and the broker itself as children in its own
session, passes SIGTERM on, and ends both when either ends, so that nothing of the broker outlives it. User and password
come from the environment (FULLSPAN_RABBITMQ_USER, FULLSPAN_RABBITMQ_PASSWORD), never from the command line.
"""

import argparse
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from fullspan.errors import UsageError

__all__ = ["SERVER", "find_server", "main", "run", "server_environment", "write_files"]

SERVER = Path("/usr/lib/rabbitmq/bin/rabbitmq-server")
REMEDY = "Install it (Debian: apt-get install rabbitmq-server), or give the endpoint of a broker that runs."
EPMD_DEADLINE_S = 10.0


def find_server() -> Path:
    """Return the broker's own start script (the wrapper on PATH changes the user); UsageError when there is none."""
    for candidate in (SERVER, *map(Path, filter(None, [shutil.which("rabbitmq-server")]))):
        if os.access(candidate, os.X_OK):
            return candidate
    raise UsageError("RabbitMQ is not installed.", REMEDY)


def write_files(folder: Path, amqp_port: int, management_port: int, user: str, password: str) -> None:
    """Write the broker's configuration below `folder`, readable by its owner only."""
    for name in ("home", "mnesia", "log", "gen"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    lines = [
        f"listeners.tcp.1 = 127.0.0.1:{amqp_port}",
        "management.tcp.ip = 127.0.0.1",
        f"management.tcp.port = {management_port}",
        "loopback_users = none",
        "vm_memory_high_watermark.absolute = 1GB",
        "disk_free_limit.absolute = 50MB",
        f"default_user = {user}",
        f"default_pass = {password}",
    ]
    for name, text in {
        "rabbitmq.conf": "\n".join(lines) + "\n",
        "advanced.config": "[].\n",
        "enabled_plugins": "[rabbitmq_management].\n",
    }.items():
        path = folder / name
        path.touch(mode=0o600)
        path.write_text(text)


def server_environment(folder: Path, amqp_port: int, dist_port: int, epmd_port: int) -> dict[str, str]:
    """Return the environment that ties a broker to its folder, its ports and the loopback."""
    cookie = secrets.token_hex(16)
    erl = f"+S 2:2 +sbwt none +sbwtdcpu none +sbwtdio none -setcookie {cookie}"
    erl += " -kernel inet_dist_use_interface {127,0,0,1}"
    inherited = {name: value for name, value in os.environ.items() if name in ("PATH", "FULLSPAN_RUN", "TMPDIR")}
    return inherited | {
        "HOME": str(folder / "home"),
        "LANG": "C.UTF-8",
        "ERL_EPMD_ADDRESS": "127.0.0.1",
        "ERL_EPMD_PORT": str(epmd_port),
        "RABBITMQ_ADVANCED_CONFIG_FILE": str(folder / "advanced.config"),
        "RABBITMQ_CONFIG_FILE": str(folder / "rabbitmq.conf"),
        "RABBITMQ_CONF_ENV_FILE": "/dev/null",
        "RABBITMQ_DIST_PORT": str(dist_port),
        "RABBITMQ_ENABLED_PLUGINS_FILE": str(folder / "enabled_plugins"),
        "RABBITMQ_FEATURE_FLAGS_FILE": str(folder / "feature_flags"),
        "RABBITMQ_GENERATED_CONFIG_DIR": str(folder / "gen"),
        "RABBITMQ_LOG_BASE": str(folder / "log"),
        "RABBITMQ_MNESIA_BASE": str(folder / "mnesia"),
        # The node's name is part of the data's path, so it must not change with the ports.
        "RABBITMQ_NODENAME": "fullspan@localhost",
        "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
        "RABBITMQ_NODE_PORT": str(amqp_port),
        "RABBITMQ_PID_FILE": str(folder / "pid"),
        "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": erl,
    }


def run(server: Path, environment: Mapping[str, str]) -> int:
    """Run epmd and the broker until one ends or SIGTERM or SIGINT comes; return the broker's exit code."""
    epmd_port = environment["ERL_EPMD_PORT"]
    epmd = subprocess.Popen([_find_epmd(), "-port", epmd_port, "-address", "127.0.0.1"], env=dict(environment))
    broker: subprocess.Popen[bytes] | None = None

    def pass_on(number: int, _frame: object) -> None:
        if broker is not None:
            broker.send_signal(signal.SIGTERM)
        else:
            sys.exit(128 + number)

    signal.signal(signal.SIGTERM, pass_on)
    signal.signal(signal.SIGINT, pass_on)
    try:
        _await_epmd(epmd, int(epmd_port))
        broker = subprocess.Popen([server], env=dict(environment))
        return broker.wait()
    finally:
        epmd.terminate()
        epmd.wait()


def _find_epmd() -> str:
    found = shutil.which("epmd")
    if found is None:
        raise UsageError("epmd, the port mapper of Erlang, is not installed.", REMEDY)
    return found


def _await_epmd(epmd: subprocess.Popen[bytes], port: int) -> None:
    """Wait until epmd answers: a broker that finds none would start a daemon that outlives it."""
    deadline = time.monotonic() + EPMD_DEADLINE_S
    while epmd.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError as error:
            if time.monotonic() > deadline:
                raise UsageError(f"epmd did not listen on port {port} within {EPMD_DEADLINE_S:g} s: {error}.") from None
            time.sleep(0.01)
        else:
            return
    raise UsageError(f"epmd ended with exit code {epmd.returncode} before it listened on port {port}.")


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def main(arguments: Sequence[str] | None = None) -> int:
    """Read the options, write the files and run the broker; return its exit code."""
    parser = argparse.ArgumentParser(prog="fullspan.stack.services.rabbitmq", description=__doc__.splitlines()[0])
    parser.add_argument("--folder", type=Path, required=True, help="where configuration, data and logs go")
    parser.add_argument("--amqp-port", type=int, required=True)
    parser.add_argument("--management-port", type=int, required=True)
    options = parser.parse_args(arguments)
    user = os.environ.get("FULLSPAN_RABBITMQ_USER", "guest")
    password = os.environ.get("FULLSPAN_RABBITMQ_PASSWORD", "guest")
    try:
        server = find_server()
        folder = options.folder.resolve()
        write_files(folder, options.amqp_port, options.management_port, user, password)
        return run(server, server_environment(folder, options.amqp_port, _free_port(), _free_port()))
    except UsageError as error:
        sys.stderr.write(f"{error}\n")
        return 3


if __name__ == "__main__":
    sys.exit(main())
