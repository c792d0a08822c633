"""The house keeps its own rules: pins, versions, the map, and nothing that belongs to one machine."""

import re
import subprocess
import tomllib
from pathlib import Path
from types import SimpleNamespace

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = {"fullspan": "fullspan", "focus-server": "focus_server", "k2": "k2"}


def tracked(*patterns: str) -> list[Path]:
    listed = subprocess.run(["git", "ls-files", *patterns], cwd=ROOT, capture_output=True, text=True, check=True)
    return [ROOT / line for line in listed.stdout.splitlines() if (ROOT / line).exists()]


def test_every_pin_is_a_name_and_a_version():
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    pins = [line for line in lines if line and not line.startswith("#")]
    assert len(pins) > 50
    wrong = [pin for pin in pins if not re.fullmatch(r"[A-Za-z0-9._-]+==[A-Za-z0-9.!+]+", pin)]
    assert wrong == []


def test_every_dependency_is_pinned():
    pins = {line.split("==")[0].lower().replace("_", "-") for line in (ROOT / "constraints.txt").read_text().split()}
    for package in PACKAGES:
        project = tomllib.loads((ROOT / "packages" / package / "pyproject.toml").read_text())["project"]
        extras = [name for extra in project.get("optional-dependencies", {}).values() for name in extra]
        names = {
            re.split(r"[\[<>=;~! ]", name)[0].lower().replace("_", "-") for name in project["dependencies"] + extras
        }
        assert names - pins == set(), f"dependencies of {package} without a pin"


def test_packages_share_one_version():
    versions = {
        package: tomllib.loads((ROOT / "packages" / package / "pyproject.toml").read_text())["project"]["version"]
        for package in PACKAGES
    }
    assert len(set(versions.values())) == 1, versions


def test_map_names_only_what_is_there():
    text = (ROOT / "docs" / "what-is-here.md").read_text()
    folder = ROOT
    for line in text.splitlines():
        if line.startswith("## packages/"):
            package = line.removeprefix("## packages/")
            folder = ROOT / "packages" / package / "src" / PACKAGES[package]
        elif line.startswith("## "):
            folder = ROOT / "docs"
        if line.startswith("| `"):
            for name in re.findall(r"`([^`]+)`", line.split("|")[1]):
                assert (folder / name).exists(), f"the map names {name}, which is not in {folder.relative_to(ROOT)}"
        for target in re.findall(r"\]\(([^)#]+)\)", line):
            assert (ROOT / "docs" / target).exists(), f"the map links to {target}"


def test_map_leaves_no_part_out():
    text = (ROOT / "docs" / "what-is-here.md").read_text()
    for name in ("fullspan", "focus_server"):
        package = next(key for key, value in PACKAGES.items() if value == name)
        source = ROOT / "packages" / package / "src" / name
        parts = {path.relative_to(source).parts[0] for path in tracked(f"packages/{package}/src/{name}/*")}
        parts -= {"__init__.py", "__main__.py", "py.typed"}
        missing = {part for part in parts if f"`{part}`" not in text and f"`{part}/`" not in text}
        assert missing == set(), f"parts of {package} that the map does not name"


@pytest.mark.parametrize("document", ["README.md", "CONTRIBUTING.md"])
def test_links_lead_somewhere(document):
    for target in re.findall(r"\]\(([^)#:]+)\)", (ROOT / document).read_text()):
        assert (ROOT / target).exists(), f"{document} links to {target}"


@pytest.fixture
def shared(pytestconfig):
    """The conftest of the house, which knows which tests share a service."""
    return pytestconfig.pluginmanager.getplugin(str(ROOT / "conftest.py"))


def test_files_that_share_a_service_are_there(shared):
    named = [file for files in shared.SHARED.values() for file in files]
    assert len(named) > 20
    assert [file for file in named if not (ROOT / file).exists()] == []


class Worker:
    """One of several processes of pytest, as the scheduler sees it."""

    def __init__(self, number):
        self.gateway = SimpleNamespace(id=f"gw{number}")
        self.shutting_down = False
        self.given = []

    def send_runtest_some(self, numbers):
        self.given += numbers

    def shutdown(self):
        self.shutting_down = True


def test_one_worker_has_all_tests_of_a_service_and_begins_with_them(shared):
    kafka, rabbitmq = (shared.SHARED[name] for name in ("one_kafka", "one_rabbitmq"))
    tests = [f"tests/test_many.py::test_{number}" for number in range(50)]
    tests += [f"{file}::test_{number}" for file in (*rabbitmq[:3], *kafka[:2]) for number in range(2)]
    tests += [f"tests/test_few.py::test_{number}" for number in range(3)]
    options = {"dist": "loadgroup", "tx": ["popen"] * 3}
    config = SimpleNamespace(
        getoption=options.get, getvalue=options.get, option=SimpleNamespace(loadscopereorder=True), rootpath=ROOT
    )
    scheduler = shared.pytest_xdist_make_scheduler(config, None)
    workers = [Worker(number) for number in range(3)]
    for worker in workers:
        scheduler.add_node(worker)
        scheduler.add_node_collection(worker, tests)
    scheduler.schedule()
    first, second, third = ([tests[number] for number in worker.given] for worker in workers)
    assert first == tests[50:56]
    assert second == tests[56:60]
    assert third == tests[:50]
    for number in workers[0].given[:4]:
        scheduler.mark_test_complete(workers[0], number)
    assert [tests[number] for number in workers[0].given] == tests[50:56] + tests[60:], "then it takes what is left"
    assert not scheduler.workqueue


def test_a_new_file_that_needs_a_service_is_told_where_to_be_named(shared):
    def set_up(file, *fixtures):
        shared.pytest_runtest_setup(SimpleNamespace(fixturenames=fixtures, nodeid=f"{file}::test_it", path=file))

    with pytest.raises(pytest.fail.Exception, match=r"test_new\.py needs one_kafka: name it in SHARED of .*conftest"):
        set_up("tests/test_new.py", "one_kafka", "tmp_path")
    set_up("tests/test_new.py", "tmp_path")
    set_up(shared.SHARED["one_kafka"][0], "one_kafka")


def test_other_ways_to_share_tests_out_are_pytest_s_own(shared):
    assert shared.pytest_xdist_make_scheduler(SimpleNamespace(getoption={"dist": "loadfile"}.get), None) is None


def test_nothing_names_this_machine():
    home = str(ROOT) + "/"
    named = [path for path in tracked() if path.suffix != ".png" and home.encode() in path.read_bytes()]
    assert named == []
