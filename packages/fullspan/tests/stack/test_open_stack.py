"""Whole stacks of real processes: brought up, used, broken, healed, taken down; wrong ones refused in clear words."""

import json
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from fullspan.errors import ComponentDied, FullspanError, StackError, UsageError
from fullspan.stack import Stack, open_stack
from fullspan.stack.ports import hold_free_port
from fullspan.stack.processes import RUN_TAG, look_up, send, tagged, wait_until
from fullspan.timeline import Event, read_timeline
from packages.fullspan.tests.stack.conftest import HEAD

PAIR = """
secrets: {token: random}
components:
  web:
    run: ["${python}", -m, http.server, --bind, 127.0.0.1, "${self.http}"]
    ports: {http: }
    ready: {http: "http://127.0.0.1:${self.http}/", timeout_s: 30}
  client:
    run: ["${python}", -c, "import os, time; print('to', os.environ['WEB'], os.environ['TOKEN']); time.sleep(600)"]
    env: {WEB: "${web.http}", TOKEN: "${secret.token}"}
    depends_on: [web]
    ready: {log: "^to "}
links:
  client-web: {from: client, to: web.http, proxy: true}
  page-web: {from: suite, to: web.http, proxy: true}
endpoints:
  web.http: "http://user:${secret.token}@127.0.0.1:${web.http}/"
"""


@pytest.fixture
def pair(write_stack) -> Path:
    return write_stack(PAIR)


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """The same stack for all tests that leave it as they found it."""
    file = tmp_path_factory.mktemp("running") / "stacks" / "small.yaml"
    file.parent.mkdir()
    file.write_text(HEAD + PAIR)
    with pytest.MonkeyPatch.context() as patched:
        patched.delenv("FULLSPAN_VAR", raising=False)
        with open_stack(file) as stack:
            yield stack


@pytest.fixture
def idle_stack(write_stack) -> Path:
    return write_stack("components: {idle: {run: [sleep, '600']}}")


def test_from_bring_up_to_nothing_left(pair: Path, tmp_path: Path):
    events: list[Event] = []
    with open_stack(pair, on_event=events.append) as stack:
        assert (stack.name, stack.project, stack.var) == ("small", tmp_path, tmp_path / "var")
        assert {name: part.state for name, part in stack.components.items()} == {"web": "ready", "client": "ready"}
        run_id, state_file = stack.run_id, tmp_path / "var" / "run" / "small" / "state.json"
        assert json.loads(state_file.read_text())["run_id"] == run_id
        pids = {process.pid for name in ("web", "client") for process in stack.component(name).processes()}
        assert {process.pid for process in tagged(RUN_TAG, run_id)} == pids
        [secret] = stack.secret_values()
        assert f"to {stack.links['client-web'].listen[1]} {secret}" in stack.logs("client").read_text()
        folder = stack.logs("web").parent.parent
    assert tagged(RUN_TAG, run_id) == []
    assert sorted(path.name for path in folder.iterdir()) == ["events.jsonl", "lock", "logs", "supervisor.log"]
    assert (folder / "supervisor.log").read_text() == ""
    order = [(e.attributes.get("component"), e.attributes.get("state")) for e in events if e.kind == "component"]
    assert [pair for pair in order if pair[1] in ("ready", "stopped")] == [
        ("web", "ready"), ("client", "ready"), ("client", "stopped"), ("web", "stopped"),
    ]  # fmt: skip
    assert [event.what for event in read_timeline(folder / "events.jsonl")] == [event.what for event in events]
    assert secret not in (folder / "events.jsonl").read_text()
    if os.geteuid() == 0:
        [said] = [e.what for e in events if e.kind == "stack.root" and e.attributes["component"] == "web"]
        assert said.startswith("runs as root: web: ")
        assert "-m http.server --bind 127.0.0.1" in said


def test_endpoints_lead_through_links_unless_they_are_overridden(running: Stack, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(running.project)
    before = running.call("GET", "/links/page-web")["counters"]["connections"]
    own = running.endpoint("web.http")
    assert urlsplit(own).port == running.links["page-web"].listen[1]
    assert urlsplit(own).password == running.secret_values()[0]
    assert not running.overridden("web.http")
    assert httpx.get(own).status_code == 200
    assert running.call("GET", "/links/page-web")["counters"]["connections"] == before + 1
    with pytest.raises(UsageError, match=r"no endpoint 'web\.htp'\. Did you mean 'web\.http'\?"):
        running.endpoint("web.htp")
    monkeypatch.setenv("FULLSPAN_ENDPOINT__WEB__HTTP", "http://environment")
    with Stack.attach("small") as other:
        assert other.endpoint("web.http") == "http://environment"
        assert other.overridden("web.http")
    state_file = running.var / "run" / "small" / "state.json"
    with Stack.attach(state_file, {"web.http": "http://explicit"}) as other:
        assert other.endpoint("web.http") == "http://explicit"


def test_components_are_broken_and_healed(running: Stack):
    web, url = running.component("web"), running.endpoint("web.http")
    before = web.state.pid
    web.hang()
    assert web.state.state == "hung"
    assert {process.state for process in web.processes()} == {"T"}
    with pytest.raises(httpx.ReadTimeout):
        httpx.get(url, timeout=0.3)
    web.resume()
    assert httpx.get(url, timeout=5).status_code == 200
    web.kill()
    assert (web.state.state, web.state.pid, web.processes()) == ("killed", None, [])
    with pytest.raises(httpx.TransportError):
        httpx.get(url, timeout=5)
    web.start()
    assert web.state.state == "ready"
    assert web.state.pid != before
    assert httpx.get(url, timeout=5).status_code == 200
    web.stop()
    assert (web.state.state, web.state.detail) == ("stopped", "ended by SIGTERM")
    web.start()
    with pytest.raises(StackError, match="'web' does not hang, it is ready"):
        web.resume()
    with pytest.raises(UsageError, match=r"no component 'wbe'\. Did you mean 'web'\?"):
        running.component("wbe")
    with pytest.raises(UsageError, match=r"cannot be asked to 'kil'\. Did you mean 'kill'\?"):
        running.call("POST", "/components/web/kil")


def test_links_are_made_bad_and_clear(running: Stack):
    url = running.endpoint("web.http")
    answer = running.control.put("/links/page-web/toxics", json={"latency_ms": 150}).json()
    assert (answer["toxics"]["latency_ms"], answer["toxics"]["direction"]) == (150, "both")
    before = answer["counters"]["delayed_bytes"]
    began = time.monotonic()
    assert httpx.get(url).status_code == 200
    assert time.monotonic() - began >= 0.3
    assert running.call("DELETE", "/links/page-web/toxics")["toxics"]["latency_ms"] == 0
    assert running.call("GET", "/links/page-web")["counters"]["delayed_bytes"] > before
    for body, words in (
        ({"latncy_ms": 1}, "There is no toxic 'latncy_ms'. Did you mean 'latency_ms'?"),
        ({"latency_ms": -1}, "latency_ms is -1"),
        ({"latency_ms": "slow"}, "latency_ms: Input should be a valid number"),
        (["reset"], "The body is no JSON object."),
    ):
        with pytest.raises(UsageError) as caught:
            running.call("PUT", "/links/page-web/toxics", json=body)
        assert words in str(caught.value)
    with pytest.raises(UsageError, match=r"no link 'page' with a proxy\. Did you mean 'page-web'\?"):
        running.call("GET", "/links/page")


def test_a_link_to_an_address_known_only_at_run_time(running: Stack):
    port = running.components["web"].ports["http"]
    host, listen = running.via("jobs", "127.0.0.1", port)
    assert httpx.get(f"http://{host}:{listen}/").status_code == 200
    assert running.via("jobs", "127.0.0.1", port) == (host, listen)
    other = running.via("jobs", "127.0.0.1", hold_free_port().release())
    assert other != (host, listen)
    running.call("PUT", "/links/jobs/toxics", json={"reset": True})
    with pytest.raises(httpx.TransportError):
        httpx.get(f"http://{host}:{listen}/")
    assert running.call("GET", "/links/jobs")["counters"]["connections"] == 2
    assert "jobs" in running.links
    with pytest.raises(StackError, match="stands in the stack file"):
        running.via("page-web", "127.0.0.1", port)
    with pytest.raises(UsageError, match="The new link's port"):
        running.via("jobs", "127.0.0.1", 70_000)


def test_what_was_broken_under_a_lease_is_healed_when_it_ends(running: Stack):
    with running.control.stream("POST", "/leases") as answer:
        lines = answer.iter_lines()
        lease = json.loads(next(lines))["lease"]
        running.component("web").kill(lease)
        running.component("client").hang(lease)
        running.call("PUT", "/links/page-web/toxics", json={"stall": True}, lease=lease)
        assert {name: part.state for name, part in running.components.items()} == {"web": "killed", "client": "hung"}
    assert wait_until(lambda: {part.state for part in running.components.values()} == {"ready"}, 20, 0.05)
    assert running.call("GET", "/links/page-web")["toxics"]["stall"] is False
    with pytest.raises(UsageError, match="is over, or there never was one"):
        running.component("web").hang(lease)


def test_the_same_name_twice_is_refused(running: Stack):
    file = running.project / "stacks" / "small.yaml"
    with pytest.raises(StackError, match=r"'small' is already up \(supervisor pid [0-9]+\)"), open_stack(file):
        pass
    assert running.components["web"].state == "ready"
    assert httpx.get(f"http://127.0.0.1:{running.components['web'].ports['http']}/").status_code == 200


def test_a_death_is_noticed_and_a_failure_of_the_block_still_takes_the_stack_down(pair: Path):
    events: list[Event] = []
    seen: dict[str, str] = {}

    def fail() -> None:
        with open_stack(pair, on_event=events.append) as stack:
            [process] = stack.component("client").processes()
            send(process, signal.SIGKILL)
            assert wait_until(lambda: stack.components["client"].state == "died", 5)
            assert stack.components["client"].detail == "ended by SIGKILL"
            assert stack.components["web"].state == "ready", "the others go on"
            seen.update(run_id=stack.run_id, secret=stack.secret_values()[0])
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert tagged(RUN_TAG, seen["run_id"]) == []
    [death] = [event for event in events if event.kind == "component.died"]
    assert death.attributes["component"] == "client"
    assert "ended by SIGKILL" in death.what
    assert seen["secret"] not in death.to_json()
    assert "[redacted]" in str(death.attributes["last_lines"])


def test_a_listener_that_fails_is_reported_when_the_stack_is_down(idle_stack: Path):
    def listen(event: Event) -> None:
        if event.kind == "stack.ready":
            raise ZeroDivisionError(event.what)

    with pytest.raises(ZeroDivisionError, match="stack small is up"), open_stack(idle_stack, on_event=listen):
        pass
    assert not (idle_stack.parent.parent / "var/run/small/state.json").exists()


def test_a_stack_that_is_detached_stays(idle_stack: Path):
    with open_stack(idle_stack) as stack:
        stack.detach()
    with Stack.attach("small") as stack:
        assert stack.components["idle"].state == "ready"
        run_id = stack.run_id
        stack.control.post("/stop")
        stack.wait_until_down()
    assert wait_until(lambda: not (idle_stack.parent.parent / "var/run/small/state.json").exists(), 5)
    assert tagged(RUN_TAG, run_id) == []
    with pytest.raises(StackError, match="Stack 'small' is not up"):
        Stack.attach("small")


def refusal(file: Path, **options: object) -> FullspanError:
    """Return why a stack does not come up, having made sure that nothing of it is left."""
    began = time.monotonic()
    with pytest.raises(FullspanError) as caught, open_stack(file, **options):
        pass
    assert time.monotonic() - began < 20
    assert not (file.parent.parent / "var" / "run" / "small" / "state.json").exists()
    for process in file.parent.parent.glob("var/run/small/components/*"):
        raise AssertionError(f"{process} is left")
    return caught.value


@pytest.mark.soak
def test_a_component_that_dies_while_it_starts(write_stack):
    error = refusal(write_stack("""
        components:
          slow: {run: [sleep, "600"]}
          bad:
            run: ["${python}", -c, "import sys; print('the cause'); sys.exit(7)"]
            ready: {tcp: "1", timeout_s: 60}
    """))  # fmt: skip
    assert isinstance(error, ComponentDied)
    assert (error.component, error.ending, error.last_lines) == ("bad", "exit code 7", ("the cause",))
    assert error.exit_code == 3


def test_a_component_that_dies_while_another_one_starts(write_stack):
    error = refusal(write_stack("""
        components:
          bad: {run: ["${python}", -c, "import time; time.sleep(1); print('gone'); 1/0"]}
          never: {run: [sleep, "600"], depends_on: [bad], ready: {log: never, timeout_s: 60}}
    """))  # fmt: skip
    assert isinstance(error, ComponentDied)
    assert error.component == "bad"
    assert error.last_lines[-1] == "ZeroDivisionError: division by zero"


@pytest.mark.soak
def test_a_component_that_does_not_become_ready(write_stack):
    port = hold_free_port().release()
    file = write_stack(f"components: {{deaf: {{run: [sleep, '600'], ready: {{tcp: '{port}', timeout_s: 0.5}}}}}}")
    assert f"waited for tcp {port}: connection refused" in str(refusal(file))


def test_fixed_ports_are_used_when_asked_for(write_stack):
    port = hold_free_port().release()
    file = write_stack(f"components: {{web: {{run: [sleep, '600'], ports: {{http: {{fixed: {port}}}}}}}}}\n"
                       "endpoints: {fixed: '${fixed_ports}'}")  # fmt: skip
    with open_stack(file, fixed_ports=True) as stack:
        assert stack.components["web"].ports == {"http": port}
        assert stack.endpoint("fixed") == "true"


@pytest.mark.parametrize(
    ("text", "kind", "words"),
    [
        ("components: {x: {run: [no-such-program]}}", StackError, "there is no program 'no-such-program'"),
        ("components: {x: {run: [sleep, '${y.port}']}}", UsageError, "components.x.run refers to ${y.port}"),
    ],
)
def test_what_cannot_be_meant_is_refused_before_anything_starts(write_stack, text: str, kind: type, words: str):
    error = refusal(write_stack(text))
    assert isinstance(error, kind)
    assert words in str(error)
    assert error.exit_code == 3


def test_an_unforeseen_error_of_the_supervisor_leaves_nothing(idle_stack: Path):
    (idle_stack.parent.parent / "var" / "run").mkdir(parents=True)
    (idle_stack.parent.parent / "var" / "run" / "small").touch()
    with pytest.raises(StackError, match=r"supervisor ended \(exit code 1\) and did not say"), open_stack(idle_stack):
        pass


def test_var_can_be_elsewhere_and_deeper_than_a_socket_address_is_long(
    idle_stack: Path, tmp_path_factory, monkeypatch: pytest.MonkeyPatch
):
    elsewhere = tmp_path_factory.mktemp("state").joinpath(*["a-folder-with-a-name"] * 8)
    monkeypatch.setenv("FULLSPAN_VAR", str(elsewhere))
    # Modules of the current folder are not ours.
    for name in ("yaml", "signal", "click"):
        Path(f"{name}.py").write_text("raise RuntimeError('the wrong module')")
    with open_stack("small") as stack:
        assert stack.var == elsewhere
        assert stack.logs("idle").is_relative_to(elsewhere)
        assert look_up(stack.state.supervisor.pid) is not None
        assert len(stack.state.control) > 108
        assert stack.component("idle").processes()
    assert not (idle_stack.parent.parent / "var").exists()
