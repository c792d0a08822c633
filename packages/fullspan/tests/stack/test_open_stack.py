"""Whole stacks of real processes: brought up, used, broken, healed, taken down; wrong ones refused in clear words."""

import json
import os
import signal
import socket
import time
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from fullspan.errors import ComponentDied, FullspanError, StackError, UsageError
from fullspan.stack import Stack, open_stack
from fullspan.stack.ports import hold_free_port
from fullspan.stack.processes import RUN_TAG, look_up, send, tagged, wait_until
from fullspan.timeline import Event, read_timeline

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


def test_endpoints_lead_through_links_unless_they_are_overridden(pair: Path, monkeypatch: pytest.MonkeyPatch):
    with open_stack(pair) as stack:
        own = stack.endpoint("web.http")
        assert urlsplit(own).port == stack.links["page-web"].listen[1]
        assert urlsplit(own).password == stack.secret_values()[0]
        assert not stack.overridden("web.http")
        assert httpx.get(own).status_code == 200
        assert stack.call("GET", "/links/page-web")["counters"]["connections"] == 1
        with pytest.raises(UsageError, match=r"no endpoint 'web\.htp'\. Did you mean 'web\.http'\?"):
            stack.endpoint("web.htp")
        monkeypatch.setenv("FULLSPAN_ENDPOINT__WEB__HTTP", "http://environment")
        with Stack.attach("small") as other:
            assert other.endpoint("web.http") == "http://environment"
            assert other.overridden("web.http")
        state_file = stack.var / "run" / "small" / "state.json"
        with Stack.attach(state_file, {"web.http": "http://explicit"}) as other:
            assert other.endpoint("web.http") == "http://explicit"
    with pytest.raises(StackError, match="Stack 'small' is not up"):
        Stack.attach("small")


def test_components_are_broken_and_healed(pair: Path):
    with open_stack(pair) as stack:
        web, url = stack.component("web"), stack.endpoint("web.http")
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
            stack.component("wbe")
        with pytest.raises(UsageError, match=r"cannot be asked to 'kil'\. Did you mean 'kill'\?"):
            stack.call("POST", "/components/web/kil")


def test_links_are_made_bad_and_clear(pair: Path):
    with open_stack(pair) as stack:
        url = stack.endpoint("web.http")
        answer = stack.control.put("/links/page-web/toxics", json={"latency_ms": 150}).json()
        assert (answer["toxics"]["latency_ms"], answer["toxics"]["direction"]) == (150, "both")
        began = time.monotonic()
        assert httpx.get(url).status_code == 200
        assert time.monotonic() - began >= 0.3
        assert stack.call("DELETE", "/links/page-web/toxics")["toxics"]["latency_ms"] == 0
        assert stack.call("GET", "/links/page-web")["counters"]["delayed_bytes"] > 0
        for body, words in (
            ({"latncy_ms": 1}, "There is no toxic 'latncy_ms'. Did you mean 'latency_ms'?"),
            ({"latency_ms": -1}, "latency_ms is -1"),
            ({"latency_ms": "slow"}, "latency_ms: Input should be a valid number"),
            (["reset"], "The body is no JSON object."),
        ):
            with pytest.raises(UsageError) as caught:
                stack.call("PUT", "/links/page-web/toxics", json=body)
            assert words in str(caught.value)
        with pytest.raises(UsageError, match=r"no link 'page' with a proxy\. Did you mean 'page-web'\?"):
            stack.call("GET", "/links/page")


def test_a_link_to_an_address_known_only_at_run_time(pair: Path):
    with open_stack(pair) as stack:
        port = stack.components["web"].ports["http"]
        host, listen = stack.via("jobs", "127.0.0.1", port)
        assert httpx.get(f"http://{host}:{listen}/").status_code == 200
        assert stack.via("jobs", "127.0.0.1", port) == (host, listen)
        other = stack.via("jobs", "127.0.0.1", hold_free_port().release())
        assert other != (host, listen)
        stack.call("PUT", "/links/jobs/toxics", json={"reset": True})
        with pytest.raises(httpx.TransportError):
            httpx.get(f"http://{host}:{listen}/")
        assert stack.call("GET", "/links/jobs")["counters"]["connections"] == 2
        assert "jobs" in stack.links
        with pytest.raises(StackError, match="stands in the stack file"):
            stack.via("page-web", "127.0.0.1", port)
        with pytest.raises(UsageError, match="The new link's port"):
            stack.via("jobs", "127.0.0.1", 70_000)


def test_what_was_broken_under_a_lease_is_healed_when_it_ends(pair: Path):
    with open_stack(pair) as stack:
        with stack.control.stream("POST", "/leases") as answer:
            lines = answer.iter_lines()
            lease = json.loads(next(lines))["lease"]
            stack.component("web").kill(lease)
            stack.component("client").hang(lease)
            stack.call("PUT", "/links/page-web/toxics", json={"stall": True}, lease=lease)
            assert {name: part.state for name, part in stack.components.items()} == {"web": "killed", "client": "hung"}
        assert wait_until(lambda: {part.state for part in stack.components.values()} == {"ready"}, 20, 0.05)
        assert stack.call("GET", "/links/page-web")["toxics"]["stall"] is False
        with pytest.raises(UsageError, match="is over, or there never was one"):
            stack.component("web").hang(lease)


def test_a_death_is_noticed_and_the_others_go_on(pair: Path):
    events: list[Event] = []
    with open_stack(pair, on_event=events.append) as stack:
        [process] = stack.component("client").processes()
        send(process, signal.SIGKILL)
        assert wait_until(lambda: stack.components["client"].state == "died", 5)
        assert stack.components["client"].detail == "ended by SIGKILL"
        assert stack.components["web"].state == "ready"
        [secret] = stack.secret_values()
    [death] = [event for event in events if event.kind == "component.died"]
    assert death.attributes["component"] == "client"
    assert "ended by SIGKILL" in death.what
    assert secret not in death.to_json()
    assert "[redacted]" in str(death.attributes["last_lines"])


def test_a_failure_of_the_block_still_takes_the_stack_down(web_stack: Path):
    run_ids = []

    def fail() -> None:
        with open_stack(web_stack) as stack:
            run_ids.append(stack.run_id)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert tagged(RUN_TAG, run_ids[0]) == []


def test_a_listener_that_fails_is_reported_when_the_stack_is_down(web_stack: Path):
    def listen(event: Event) -> None:
        if event.kind == "stack.ready":
            raise ZeroDivisionError(event.what)

    with pytest.raises(ZeroDivisionError, match="stack small is up"), open_stack(web_stack, on_event=listen):
        pass
    assert not (web_stack.parent.parent / "var/run/small/state.json").exists()


def test_a_stack_that_is_detached_stays(web_stack: Path):
    with open_stack(web_stack) as stack:
        stack.detach()
    with Stack.attach("small") as stack:
        assert stack.components["web"].state == "ready"
        run_id = stack.run_id
        stack.control.post("/stop")
        stack.wait_until_down()
    assert wait_until(lambda: not (web_stack.parent.parent / "var/run/small/state.json").exists(), 5)
    assert tagged(RUN_TAG, run_id) == []


def test_the_same_name_twice_is_refused(web_stack: Path):
    with open_stack(web_stack) as first:
        with pytest.raises(StackError, match=r"'small' is already up \(supervisor pid [0-9]+\)"), open_stack(web_stack):
            pass
        assert first.components["web"].state == "ready"
        assert httpx.get(f"http://127.0.0.1:{first.components['web'].ports['http']}/").status_code == 200


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


def test_a_component_that_does_not_become_ready(write_stack):
    port = hold_free_port().release()
    file = write_stack(f"components: {{deaf: {{run: [sleep, '600'], ready: {{tcp: '{port}', timeout_s: 0.5}}}}}}")
    assert f"waited for tcp {port}: connection refused" in str(refusal(file))


def test_a_port_in_use(write_stack):
    with socket.create_server(("127.0.0.1", 0)) as holder:
        port = holder.getsockname()[1]
        file = write_stack(f"components: {{web: {{run: [sleep, '600'], ports: {{http: {{fixed: {port}}}}}}}}}")
        error = refusal(file, fixed_ports=True)
        assert f"Port {port}, which component 'web' (http) needs, cannot be used" in str(error)
        assert f"(pid {os.getpid()}) listens on it" in str(error)


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
        ("components: {x: {rum: [sleep]}}", UsageError, "the key 'rum' is not known. Did you mean 'run'?"),
        ("components: {x: {run: [sleep, '9'], ready: {tcp: nowhere}}}", UsageError, "names no port"),
        ("secrets: {s: env:NOT_SET}\ncomponents: {x: {run: [sleep]}}", StackError, "variable NOT_SET is not set"),
        ("secrets: {s: random}\ncomponents: {x: {run: [sleep, '${secret.s}']}}", UsageError, "holds a secret"),
        ("components: {x: {run: [sleep]}}\nendpoints: {a: '${b}'}", UsageError, "endpoints.a refers to ${b}"),
    ],
)
def test_what_cannot_be_meant_is_refused_before_anything_starts(write_stack, text: str, kind: type, words: str):
    error = refusal(write_stack(text))
    assert isinstance(error, kind)
    assert words in str(error)
    assert error.exit_code == 3


def test_an_unknown_profile(web_stack: Path):
    assert "has no profile 'fast'" in str(refusal(web_stack, profile="fast"))


def test_an_unforeseen_error_of_the_supervisor_leaves_nothing(web_stack: Path, monkeypatch: pytest.MonkeyPatch):
    (web_stack.parent.parent / "var" / "run").mkdir(parents=True)
    (web_stack.parent.parent / "var" / "run" / "small").touch()
    with pytest.raises(StackError, match=r"supervisor ended \(exit code 1\) and did not say"), open_stack(web_stack):
        pass


def test_var_can_lie_deeper_than_a_socket_address_is_long(web_stack: Path, tmp_path: Path, monkeypatch):
    deep = tmp_path.joinpath(*["a-folder-with-a-name"] * 8)
    monkeypatch.setenv("FULLSPAN_VAR", str(deep))
    with open_stack("small") as stack:
        assert len(stack.state.control) > 108
        assert stack.component("web").processes()


def test_modules_of_the_current_folder_are_not_ours(web_stack: Path, tmp_path: Path):
    for name in ("yaml", "signal", "click"):
        (tmp_path / f"{name}.py").write_text("raise RuntimeError('the wrong module')")
    with open_stack(web_stack) as stack:
        assert stack.components["web"].state == "ready"


def test_var_can_be_elsewhere(web_stack: Path, tmp_path_factory, monkeypatch: pytest.MonkeyPatch):
    elsewhere = tmp_path_factory.mktemp("state")
    monkeypatch.setenv("FULLSPAN_VAR", str(elsewhere))
    with open_stack("small") as stack:
        assert stack.var == elsewhere
        assert stack.logs("web").is_relative_to(elsewhere)
        assert look_up(stack.state.supervisor.pid) is not None
    assert not (web_stack.parent.parent / "var").exists()
