"""The stack's health: each component's own, how ill health spreads along dependencies, order, ports, volumes, logs.

The name is the one that such a file has where the stack runs in containers; the checks are the same everywhere.
"""

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import httpx
import psutil
import pytest
import yaml
from confluent_kafka.admin import AdminClient

from fullspan.clients import Metrics
from fullspan.faults import Faults, Hang, Kill
from fullspan.invariants import Finding
from fullspan.pytest_plugin import Evidence
from fullspan.stack import Stack
from fullspan.verdict import Verdict
from suites.k2.pipeline import TRADES_TOPIC, Pipeline

pytestmark = [pytest.mark.e2e, pytest.mark.infrastructure]

COMPONENTS = ("kafka", "exchange", "binance-stream", "consumer-crypto", "k2-query-api")
MOST_MEMORY_MB = {"kafka": 1200, "exchange": 400, "binance-stream": 400, "consumer-crypto": 900, "k2-query-api": 900}
MOST_HANDLES = 600
WRONG = re.compile(r'Traceback \(most recent call last\)|"level": ?"(error|critical)"|\b(FATAL|SEVERE)\b')


def shown(evidence: Evidence, name: str, summary: str, n: int = 1) -> None:
    """Keep what a check has shown, after its assertions."""
    evidence.finding(Finding(name, Verdict.PASS, summary, n))


@pytest.mark.parametrize("component", COMPONENTS)
def test_each_component_is_healthy(pipeline: Pipeline, stack: Stack, evidence: Evidence, component: str) -> None:
    """Each is asked for what only a working one can answer."""
    asked: dict[str, Callable[[], object]] = {
        "kafka": lambda: AdminClient({"bootstrap.servers": pipeline.addresses.broker}).list_topics(timeout=10).topics[
            TRADES_TOPIC
        ].partitions,
        "exchange": lambda: pipeline.exchange.state()["symbols"],
        "binance-stream": lambda: pipeline.metrics("feed.metrics").names,
        "consumer-crypto": lambda: pipeline.metrics("writer.metrics").value("k2_writer_rows_total", table="trades"),
        "k2-query-api": lambda: pipeline.api.health().version,
    }  # fmt: skip
    pipeline.wait(lambda: bool(asked[component]()), 20, f"{component} answers with something")
    assert str(stack.components[component].state) == "ready"
    shown(evidence, f"{component} is healthy", f"it answered {str(asked[component]())[:100]}")
    evidence.require()


def test_components_started_in_the_order_of_their_dependencies(stack: Stack, evidence: Evidence) -> None:
    model = yaml.safe_load(Path(stack.state.file).read_text(encoding="utf-8"))
    edges = [
        (before, name) for name, part in model["components"].items() for before in part.get("depends_on", ())
    ]  # fmt: skip
    components = stack.components
    wrong = []
    for before, name in edges:
        ready, started = components[before].ready_wall_ns, components[name].started_wall_ns
        assert ready is not None
        assert started is not None
        # One that was started again since then says nothing of the first start.
        if ready > started and before not in _restarted(stack):
            wrong.append((before, name))
    assert wrong == []
    assert len(edges) >= 4
    shown(evidence, "start order", f"{len(edges)} dependencies were ready before what depends on them", len(edges))
    evidence.require()


def _restarted(stack: Stack) -> set[str]:
    """Return the components that were killed, or stopped, by somebody since the stack came up."""
    events = (json.loads(line) for line in stack.events().read_text(encoding="utf-8").splitlines())
    acts = [event for event in events if re.search(r"kill|stop", f"{event['kind']} {event['what']}")]
    return {str(event["attributes"].get("component", "")) for event in acts}


@pytest.mark.soak
def test_ill_health_of_the_broker_is_told_by_the_api(pipeline: Pipeline, faults: Faults, evidence: Evidence) -> None:
    """The API goes on answering what it has, and says that it is not ready; afterwards it is by itself."""
    with faults.active(Hang("kafka")):
        pipeline.wait(lambda: not pipeline.api.ready().ready, 20, "the API says that it is not ready")
        assert len(pipeline.api.trades(limit=10).rows) == 10
        pipeline.api.live()
    pipeline.wait(lambda: pipeline.api.ready().ready, 30, "the API is ready again")
    shown(evidence, "ill health of the broker is told", "503 while it stood still, 200 afterwards", 2)
    evidence.require()


@pytest.mark.soak
def test_a_dead_writer_is_told_by_the_api(pipeline: Pipeline, faults: Faults, evidence: Evidence) -> None:
    """Without a writer the table grows old: readiness says so, and the figures show the lag that is made up later."""
    with faults.active(Kill("consumer-crypto")):
        pipeline.wait(lambda: not pipeline.api.ready().ready, 30, "the API says that its table is old")
    pipeline.wait(lambda: pipeline.api.ready().ready, 30, "the API is ready again")
    shown(evidence, "a dead writer is told", "503 while it was away, 200 afterwards", 2)
    evidence.require()


def test_every_port_is_of_this_machine_alone(stack: Stack, evidence: Evidence) -> None:
    pids = {name: {process.pid for process in stack.component(name).processes()} for name in COMPONENTS}
    found = 0
    for name, of_component in pids.items():
        for pid in of_component:
            for connection in psutil.Process(pid).net_connections("tcp"):
                if connection.status == psutil.CONN_LISTEN:
                    found += 1
                    assert connection.laddr.ip in ("127.0.0.1", "::1", "::ffff:127.0.0.1"), (name, connection.laddr)
    assert found >= 5
    shown(evidence, "ports", f"{found} ports listen, all on the loopback", found)
    evidence.require()


def test_settings_are_told_with_their_origin_and_without_the_key(stack: Stack, pipeline: Pipeline) -> None:
    secret = {"K2_API_KEY": pipeline.addresses.key, "PATH": "/usr/bin:/bin"}
    told = subprocess.run(
        [sys.executable, "-m", "k2", "config"], env=secret, capture_output=True, text=True, timeout=60, check=True
    ).stdout
    assert "api_key" in told
    assert "K2_API_KEY" in told
    assert pipeline.addresses.key not in told


def test_state_lies_in_the_components_own_folders(stack: Stack, evidence: Evidence) -> None:
    """What the writer has stored is on its disk, below the folder for run-time state, and nowhere else."""
    folder = Path(stack.components["consumer-crypto"].dir)
    assert folder.is_relative_to(stack.var)
    files = [path for path in folder.rglob("*.parquet") if path.stat().st_size]
    assert files
    assert (folder / "lake" / "catalog.db").stat().st_size > 0
    shown(evidence, "volumes", f"{len(files)} data files lie in the writer's folder", len(files))
    evidence.require()


@pytest.mark.soak
def test_what_is_stored_outlives_a_restart(pipeline: Pipeline, stack: Stack, evidence: Evidence) -> None:
    (newest,) = pipeline.api.trades(limit=1).rows
    number, symbol = newest.source_sequence, newest.symbol
    for component in ("consumer-crypto", "k2-query-api"):
        stack.component(component).stop()
        stack.component(component).start()
    times = {"start": newest.timestamp, "end": newest.timestamp}
    pipeline.wait(
        lambda: any(
            trade.source_sequence == number and trade.document["message_id"] == newest.message_id
            for trade in pipeline.api.every_trade(symbol=symbol, start=times["start"])
        ),
        20,
        f"trade {number} of {symbol} is still there",
    )
    shown(evidence, "restart", f"trade {number} of {symbol} is there after a restart of writer and API")
    evidence.require()


def test_resources_are_bounded(stack: Stack, evidence: Evidence) -> None:
    for name in COMPONENTS:
        processes = [psutil.Process(process.pid) for process in stack.component(name).processes()]
        memory = sum(process.memory_info().rss for process in processes) / 2**20
        handles = sum(process.num_fds() for process in processes)
        evidence.figure(f"memory of {name}", round(memory), "MB")
        evidence.figure(f"handles of {name}", handles)
        assert 0 < memory < MOST_MEMORY_MB[name], f"{name} has {memory:.0f} MB"
        assert handles < MOST_HANDLES, f"{name} has {handles} handles"
    shown(evidence, "resources", "memory and handles of every component are bounded", len(COMPONENTS))
    evidence.require()


def test_monitoring_shows_what_passes(pipeline: Pipeline, evidence: Evidence) -> None:
    """Figures of feed, writer and API exist and grow with the trades that pass."""
    writer = pipeline.metrics("writer.metrics")
    rows = writer.value("k2_writer_rows_total", table="trades")
    pipeline.wait(
        lambda: pipeline.metrics("writer.metrics").value("k2_writer_rows_total", table="trades") > rows,
        20,
        "the writer's figure of rows grows",
    )
    assert writer.value("k2_writer_commits_total", table="trades", outcome="committed") > 0
    counts: dict[str, Metrics] = {
        "feed": pipeline.metrics("feed.metrics"), "writer": writer, "api": pipeline.api.metrics(),
    }  # fmt: skip
    for name, figures in counts.items():
        own = [each for each in figures.names if each.startswith("k2_")]
        assert own, f"{name} has no figure of its own"
        evidence.figure(f"series of {name}", len(own))
    shown(evidence, "monitoring", "figures of feed, writer and API grow with what passes", len(counts))
    evidence.require()


def test_the_api_refuses_who_has_no_key_and_says_nothing_of_it(pipeline: Pipeline, stack: Stack) -> None:
    address = pipeline.addresses.api
    statuses = {}
    for path in ("/health", "/health/live", "/metrics", "/v1/trades", "/v1/nothing"):
        for key in (None, "wrong", pipeline.addresses.key):
            headers = {} if key is None else {"X-API-Key": key}
            statuses[path, key] = httpx.get(f"{address}{path}", headers=headers, trust_env=False).status_code
    free = {status for (path, _), status in statuses.items() if not path.startswith("/v1")}
    assert free == {200}
    assert {statuses["/v1/trades", key] for key in (None, "wrong")} == {401}
    assert statuses["/v1/trades", pipeline.addresses.key] == 200
    assert statuses["/v1/nothing", pipeline.addresses.key] == 404


def test_logs_are_clean_and_hold_no_secret(stack: Stack, pipeline: Pipeline, evidence: Evidence) -> None:
    """No component has logged an error of its own; broken connections are warnings, and expected here."""
    lines = 0
    for name in COMPONENTS:
        text = stack.logs(name).read_text(encoding="utf-8", errors="replace")
        lines += text.count("\n")
        assert pipeline.addresses.key not in text
        wrong = [line for line in text.splitlines() if WRONG.search(line)]
        assert wrong == [], f"{name} logged: {wrong[:3]}"
    shown(evidence, "logs", f"{lines:,} lines of {len(COMPONENTS)} components hold no error and no secret", lines)
    evidence.require()
