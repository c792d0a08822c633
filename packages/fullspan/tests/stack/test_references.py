"""References: what they stand for, and clear words for those that do not exist."""

from pathlib import Path

import pytest

from fullspan.errors import StackError, UsageError
from fullspan.stack.model import SecretModel
from fullspan.stack.references import References
from fullspan.stack.secret_values import SecretValues


def values(given, project: Path, **options) -> SecretValues:
    return SecretValues({name: SecretModel.model_validate(each) for name, each in given.items()}, project, **options)


@pytest.fixture
def references(tmp_path: Path) -> References:
    return References({"broker.amqp": "4711", "self.dir": "/x"}, values({"password": "random"}, tmp_path))


def test_references_are_replaced(references: References):
    password = references.secrets["password"]
    text = "amqp://u:${secret.password}@127.0.0.1:${broker.amqp}${self.dir}"
    assert references.expand(text, "here") == f"amqp://u:{password}@127.0.0.1:4711/x"
    assert references.expand("$ {x} $x", "here") == "$ {x} $x"


def test_what_does_not_exist(references: References):
    with pytest.raises(UsageError, match=r"env\.X refers to \$\{brokr\.amqp\}, which.*Did you mean 'broker\.amqp'\?"):
        references.expand("${brokr.amqp}", "env.X")
    with pytest.raises(UsageError, match=r"Did you mean 'secret\.password'\?"):
        references.expand("${secret.passwrd}", "env.X")


def test_a_secret_is_kept_out_of_arguments(references: References):
    with pytest.raises(UsageError, match=r"run holds a secret.*Pass it in `env`"):
        references.expand("${secret.password}", "run", secret=False)


def test_the_environment(references: References, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("SOMETHING", "set")
    monkeypatch.delenv("NOTHING", raising=False)
    assert references.expand("${env.SOMETHING}", "x") == "set"
    assert references.expand("${env.NOTHING:-a:b}", "x") == "a:b"
    assert references.expand("[${env.NOTHING:-}]", "x") == "[]"
    with pytest.raises(UsageError, match=r"the variable NOTHING, which is not set.*\$\{env\.NOTHING:-DEFAULT\}"):
        references.expand("${env.NOTHING}", "x")


def test_secrets_come_from_their_places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("TOKEN", "from-environment")
    (tmp_path / "token").write_text("from-file\n")
    secrets = values({"a": "env:TOKEN", "b": "file:token", "c": "random"}, tmp_path)
    assert (secrets["a"], secrets["b"]) == ("from-environment", "from-file")
    assert len(secrets["c"]) == 32
    assert values({"c": "random"}, tmp_path)["c"] != secrets["c"]
    assert "from" not in repr(secrets)
    assert sorted(secrets.values) == sorted(["from-environment", "from-file", secrets["c"]])


def test_a_well_known_value_is_used_on_well_known_ports_only(tmp_path: Path):
    given = {"a": {"from": "random", "fixed": "guest"}, "b": "random"}
    free, fixed = values(given, tmp_path), values(given, tmp_path, fixed=True)
    assert len(free["a"]) == 32
    assert len(free.values) == 2
    assert fixed["a"] == "guest"
    assert fixed.values == [fixed["b"]], "a well-known value is not taken out of what is said"


@pytest.mark.parametrize(
    ("reference", "words"),
    [("env:NOTHING", "the variable NOTHING is not set"), ("file:nowhere", "cannot be read: No such file")],
)
def test_a_missing_secret(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reference: str, words: str):
    monkeypatch.delenv("NOTHING", raising=False)
    with pytest.raises(StackError, match=f"The secret 'key' is missing: .*{words}"):
        values({"key": reference}, tmp_path)


def test_an_empty_secret_file(tmp_path: Path):
    (tmp_path / "empty").write_text("\n")
    with pytest.raises(StackError, match="is empty"):
        values({"key": "file:empty"}, tmp_path)
