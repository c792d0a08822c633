"""The guide to drivers: its examples are read, and it names what there is."""

import re
from pathlib import Path

import pytest

from fullspan.environment import load_environment
from fullspan.errors import UsageError
from fullspan.stack.drivers import ACTS, Driver, Instance
from fullspan.stack.kinds import find_kind, kinds_of
from fullspan.stack.load import load_stack

GUIDE = Path(__file__).parents[5] / "docs" / "drivers.md"
OWN = """
schema: fullspan/stack/1
name: shop
components:
  database: {run: [database]}
  shop:
    run: [bin/shop, "${self.http}"]
    ports: {http: }
    depends_on: [database]
endpoints: {shop.http: "http://127.0.0.1:${shop.http}"}
"""


@pytest.fixture
def examples(tmp_path: Path) -> tuple[Path, Path]:
    """The stack of the guide as a file, and its environment."""
    stack, environment = re.findall(r"```yaml\n(.*?)```", GUIDE.read_text(), re.DOTALL)
    (tmp_path / "shop.yaml").write_text(f"schema: fullspan/stack/1\nname: shop\n{stack}")
    (tmp_path / "lab.yaml").write_text(environment)
    return tmp_path / "shop.yaml", tmp_path / "lab.yaml"


def test_what_somebody_else_runs_is_read(examples):
    shop = load_stack(examples[0]).components["shop"]
    assert (shop.driver, shop.run, shop.options) == ("remote", (), {"at": {"http": "shop.lab.example:8080"}})


def test_an_environment_makes_a_component_remote(examples, tmp_path: Path):
    (tmp_path / "own.yaml").write_text(OWN)
    lab = load_environment(examples[1])
    shop = load_stack(tmp_path / "own.yaml", environment=lab).components["shop"]
    assert (shop.driver, shop.run, shop.depends_on) == ("remote", (), ())
    assert load_stack(tmp_path / "own.yaml").components["shop"].driver == "process"
    examples[1].write_text(examples[1].read_text().replace("run: null, ", ""))
    with pytest.raises(UsageError, match=r"'lab': at components\.shop: the key 'run' means nothing to"):
        load_stack(tmp_path / "own.yaml", environment=load_environment(examples[1]))


def test_every_driver_and_every_part_of_the_seam_is_explained():
    text = GUIDE.read_text()
    for kind in kinds_of("fullspan.drivers"):
        assert f"| `{kind}` |" in text
        assert find_kind("fullspan.drivers", kind, Driver).acts <= ACTS
    for base in (Driver, Instance):
        for name in base.__abstractmethods__:
            assert f"`{name}" in text, name
    for name in ("kind", "needs_run", "options", "acts"):
        assert f"| `{name}` |" in text
