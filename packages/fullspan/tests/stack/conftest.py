"""Small stacks of real processes for the tests of the stack."""

import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest

WriteStack = Callable[[str], Path]

HEAD = "schema: fullspan/stack/1\nname: small\n"
WEB = """
components:
  web:
    run: ["${python}", -m, http.server, --bind, 127.0.0.1, "${self.http}"]
    ports: {http: }
    ready: {http: "http://127.0.0.1:${self.http}/", timeout_s: 30}
"""


@pytest.fixture
def write_stack(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> WriteStack:
    """Write stacks/small.yaml of a project of its own and return its path."""
    monkeypatch.delenv("FULLSPAN_VAR", raising=False)
    monkeypatch.chdir(tmp_path)

    def write(text: str) -> Path:
        file = tmp_path / "stacks" / "small.yaml"
        file.parent.mkdir(exist_ok=True)
        file.write_text(HEAD + textwrap.dedent(text))
        return file

    return write


@pytest.fixture
def web_stack(write_stack: WriteStack) -> Path:
    """A stack of one web server."""
    return write_stack(WEB)
