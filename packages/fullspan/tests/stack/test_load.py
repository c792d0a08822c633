"""The stack file: found by its name, read strictly, with profiles; every mistake is named at its place."""

from pathlib import Path

import pytest

from fullspan.errors import UsageError
from fullspan.stack.load import find_stack_file, load_stack, name_in, project_of, stack_names
from fullspan.stack.model import StackModel

GOOD = """\
schema: fullspan/stack/1
name: good
secrets: {password: random}
components:
  broker:
    run: [run-broker, --port, "${self.amqp}", 7]
    env: {DEBUG: 1}
    ports: {amqp: {fixed: 5672}, admin: }
    ready: {tcp: "${self.amqp}", timeout_s: 60}
    stop: {signal: SIGINT, timeout_s: 2}
  client:
    run: [run-client]
    depends_on: [broker]
links:
  client-broker: {from: client, to: broker.amqp, proxy: true}
endpoints:
  broker.amqp: "amqp://127.0.0.1:${broker.amqp}/"
profiles:
  quick:
    components:
      broker: {ready: {timeout_s: 5}, env: {MODE: quick}}
      client: null
    links: null
  bare: null
"""


@pytest.fixture
def good(tmp_path: Path) -> Path:
    file = tmp_path / "stacks" / "good.yaml"
    file.parent.mkdir()
    file.write_text(GOOD)
    return file


def test_a_whole_file(good: Path):
    stack = load_stack(good)
    broker = stack.components["broker"]
    assert broker.run == ("run-broker", "--port", "${self.amqp}", "7")
    assert broker.env == {"DEBUG": "1"}
    assert {name: port.fixed for name, port in broker.ports.items()} == {"amqp": 5672, "admin": None}
    assert broker.ready is not None
    assert (broker.ready.kind, broker.ready.target, broker.ready.timeout_s) == ("tcp", "${self.amqp}", 60)
    assert (broker.stop.number.name, broker.stop.timeout_s) == ("SIGINT", 2)
    assert broker.driver == "process"
    assert stack.links["client-broker"].target == ("broker", "amqp")
    assert stack.components["client"].depends_on == ("broker",)


def test_a_profile_is_merged_deeply_and_null_takes_away(good: Path):
    quick = load_stack(good, "quick")
    assert list(quick.components) == ["broker"]
    assert quick.components["broker"].env == {"DEBUG": "1", "MODE": "quick"}
    assert quick.components["broker"].ready is not None
    assert quick.components["broker"].ready.timeout_s == 5
    assert quick.components["broker"].ready.kind == "tcp"
    assert quick.links == {}
    assert list(load_stack(good, "bare").components) == ["broker", "client"]


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("  ready: {tcp", "  redy: {tcp", "at components.broker: the key 'redy' is not known. Did you mean 'ready'?"),
        ("name: good", "nmae: good", "the key 'nmae' is not known. Did you mean 'name'?"),
        ("ready: {tcp", "ready: {tpc", "at components.broker.ready: the key 'tpc' is not known. Did you mean 'tcp'?"),
        ("ready: {tcp", "ready: {http: x, tcp", "one of amqp, http, kafka, log, mongo, tcp is needed, 2 are there"),
        ("timeout_s: 60", "timeout_s: -1", "at components.broker.ready.timeout_s: Input should be greater than 0"),
        ("stop: {signal: SIGINT", "stop: {signal: SIGNIT", "at components.broker.stop.signal: Input should be"),
        ("{fixed: 5672}", "{fixd: 5672}", "at components.broker.ports.amqp: the key 'fixd' is not known."),
        ("{fixed: 5672}", "{fixed: 70000}", "at components.broker.ports.amqp.fixed: Input should be less than"),
        ("depends_on: [broker]", "depends_on: [brokr]", "client depends on 'brokr', which is no component. Did you"),
        ("    ports:", "    depends_on: [client]\n    ports:", "in a circle: broker -> client -> broker."),
        ("to: broker.amqp", "to: broker.ampq", "leads to port 'ampq' of broker. Did you mean 'amqp'?"),
        ("to: broker.amqp", "to: brokr.amqp", "leads to 'brokr', which is no component. Did you mean 'broker'?"),
        ("from: client", "from: clinet", "is from 'clinet', which is no component. Did you mean 'client'?"),
        ("schema: fullspan/stack/1", "schema: other", "at schema: Input should be 'fullspan/stack/1'"),
        ("schema: fullspan/stack/1\n", "", "at schema: this key is missing."),
        ("password: random", "password: hunter2", "at secrets.password.from: String should match pattern"),
        ("run: [run-client]", "run: run-client", "at components.client.run: a list is needed here."),
        ("run: [run-client]", "run: []", "at components.client: the key 'run' is missing, which the driver process"),
        ("DEBUG: 1", "DEBUG: yes", "at components.broker.env.DEBUG: a text is needed here; put it in quotes."),
        ("admin: }", "dir: }", "a port cannot be called 'dir', which means the component's folder"),
        ("  client:\n", "  self:\n", "a component cannot be called 'self', which has a meaning of its own"),
        ("[run-client]\n", "[run-client]\n    driver: dokcer\n", "no driver 'dokcer'. Known: process, remote."),
        ("[run-client]\n", "[run-client]\n    driver: remote\n", "the key 'run' means nothing to the driver remote."),
        ("run: [run-client]\n", "driver: remote\n", "at components.client: with.at: Field required"),
        ("run: [run-client]\n", "driver: remote\n    with: {at: {http: here}}\n", "with.at.http: String should match"),
        ("[run-client]\n", "[run-client]\n    with: {at: {}}\n", "the key 'with' means nothing to the driver process."),
        ("      client: null", "      client: {rum: x}", "profile 'quick': at components.client: the key 'rum'"),
        ("name: good", "name: good\nname: bad", "line 3, column 1: the key 'name' stands here for the second time."),
        ("name: good", "name: [", "is not YAML: line"),
    ],
)  # fmt: skip
def test_mistakes_are_named_at_their_place(good: Path, old: str, new: str, words: str):
    assert old in GOOD
    good.write_text(GOOD.replace(old, new, 1))
    with pytest.raises(UsageError) as caught:
        load_stack(good)
    assert words in str(caught.value)
    assert str(good) in str(caught.value)


def test_a_plain_secret_is_not_repeated(good: Path):
    good.write_text(GOOD.replace("password: random", "password: hunter2"))
    with pytest.raises(UsageError) as caught:
        load_stack(good)
    assert "hunter2" not in str(caught.value)


def test_two_links_between_the_same_ends(good: Path):
    good.write_text(GOOD.replace("links:\n", "links:\n  other: {from: client, to: broker.amqp}\n", 1))
    with pytest.raises(UsageError, match="the links other and client-broker are both from client to broker"):
        load_stack(good)


def test_an_unknown_profile(good: Path):
    with pytest.raises(UsageError, match=r"has no profile 'quik'\. Did you mean 'quick'\?"):
        load_stack(good, "quik")


@pytest.mark.parametrize("text", ["", "- a\n- b\n", "just words"])
def test_what_is_no_stack_file(tmp_path: Path, text: str):
    file = tmp_path / "x.yaml"
    file.write_text(text)
    with pytest.raises(UsageError, match="is not a stack file"):
        load_stack(file)


def test_what_cannot_be_read(tmp_path: Path):
    with pytest.raises(UsageError, match="cannot be read: No such file"):
        load_stack(tmp_path / "x.yaml")
    (tmp_path / "x.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UsageError, match="is not UTF-8 text"):
        load_stack(tmp_path / "x.yaml")


def test_a_file_is_found_upwards_by_its_name(good: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    inside = tmp_path / "a" / "b"
    inside.mkdir(parents=True)
    monkeypatch.chdir(inside)
    assert find_stack_file("good") == good
    assert find_stack_file(str(good)) == good
    assert project_of(good) == tmp_path
    assert stack_names() == ["good"]
    with pytest.raises(UsageError, match=r"There is no stack 'goood'.*Did you mean 'good'\?"):
        find_stack_file("goood")
    with pytest.raises(UsageError, match=r"There is no stack file other\.yaml"):
        find_stack_file("other.yaml")


def test_a_file_outside_stacks_is_its_own_project(tmp_path: Path):
    assert project_of(tmp_path / "mine.yaml") == tmp_path


def test_the_name_of_a_file_that_is_wrong_elsewhere(good: Path):
    good.write_text(GOOD.replace("name: good", "name: other").replace("run:", "rum:"))
    assert name_in(good) == "other"
    good.write_text("[")
    assert name_in(good) == "good"


def test_the_schema_describes_what_stands_in_the_file():
    schema = StackModel.model_json_schema(by_alias=True)
    assert set(schema["required"]) == {"schema", "name", "components"}
    ready = schema["$defs"]["ReadyModel"]
    assert set(ready["properties"]) == {"amqp", "http", "kafka", "log", "mongo", "tcp", "timeout_s"}
    assert ready["additionalProperties"] is False
    assert schema["$defs"]["LinkModel"]["required"] == ["from", "to"]
