"""What one bring-up would do: what cannot be meant, or cannot be had, is refused without anything being started."""

from pathlib import Path

import pytest

from fullspan.errors import FullspanError, StackError, UsageError
from fullspan.stack.load import load_stack
from fullspan.stack.plan import Plan
from fullspan.stack.run_folder import RunFolder


def plan_of(file: Path) -> Plan:
    model = load_stack(file)
    return Plan.make(file, model, RunFolder(file.parent.parent / "var", model.name))


def test_references_ports_and_addresses_fit_together(write_stack):
    plan = plan_of(
        write_stack("""
            secrets: {word: random}
            components:
              x: {run: [sleep, "${self.http}", "${y.amqp}"], ports: {http: }, env: {WORD: "${secret.word}"}}
              y: {run: [sleep, "9"], ports: {amqp: }}
            endpoints: {a: "tcp://127.0.0.1:${x.http}"}
        """)
    )
    try:
        x = plan.components()["x"]
        assert x.launch.argv == ("sleep", str(plan.ports("x")["http"]), str(plan.ports("y")["amqp"]))
        assert x.launch.env == {"WORD": plan.secrets["word"]}
        assert plan.endpoints() == {"a": f"tcp://127.0.0.1:{plan.ports('x')['http']}"}
        assert not plan.folder.path.exists()
    finally:
        plan.close()


def test_a_component_knows_the_proxy_on_the_way_to_it(write_stack):
    plan = plan_of(
        write_stack("""
            components:
              broker: {run: [sleep, "${self.near}", "${link.way}"], ports: {near: }}
              x: {run: [sleep, "${broker.near}"]}
            links: {way: {from: x, to: broker.near, proxy: true}}
        """)
    )
    try:
        port = str(plan.ports("broker")["near"])
        assert plan.components()["broker"].launch.argv == ("sleep", port, port), "no proxy listens yet"
        plan.proxied["way"] = 4711
        planned = plan.components()
        assert planned["broker"].launch.argv == ("sleep", port, "4711")
        assert planned["x"].launch.argv == ("sleep", "4711")
    finally:
        plan.close()


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
def test_what_cannot_be_meant_is_refused(write_stack, text: str, kind: type[FullspanError], words: str):
    file = write_stack(text)
    with pytest.raises(kind) as caught:
        refuse(file)
    assert words in str(caught.value)


def refuse(file: Path) -> None:
    plan = plan_of(file)
    try:
        plan.endpoints()
        plan.components()
    finally:
        plan.close()
