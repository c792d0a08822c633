"""The guide to the stack file: its example is read, and everything that can be written is explained."""

import re
from pathlib import Path

import pytest

from fullspan.stack.kinds import kinds_of
from fullspan.stack.load import load_stack
from fullspan.stack.model import ComponentModel

GUIDE = Path(__file__).parents[4] / "docs" / "stack-file.md"


@pytest.fixture
def example(tmp_path: Path) -> Path:
    [block] = re.findall(r"```yaml\n(.*?)```", GUIDE.read_text(), re.DOTALL)
    file = tmp_path / "shop.yaml"
    file.write_text(block)
    return file


def test_the_example_can_be_brought_up(example: Path):
    stack = load_stack(example)
    assert list(stack.components) == ["broker", "orders"]
    assert load_stack(example, "verbose").components["orders"].env["LOG_LEVEL"] == "debug"


def test_every_key_of_a_component_and_every_probe_is_explained():
    text = GUIDE.read_text()
    for name, field in ComponentModel.model_fields.items():
        assert f"| `{field.alias or name}` |" in text
    for probe in kinds_of("fullspan.probes"):
        assert f"| `{probe}: " in text
