"""The log, as a program writes it."""

import json
import subprocess
import sys

_PROGRAM = """
import structlog
from k2.log import configure_logging

configure_logging()
for number in range(500):
    structlog.get_logger().info("line", number=number)
print("goes on")
"""


def _run(errors):
    return subprocess.run(
        [sys.executable, "-c", _PROGRAM], stdout=subprocess.PIPE, stderr=errors, text=True, check=True, timeout=120
    )


def test_a_line_is_one_json_object():
    lines = [json.loads(line) for line in _run(subprocess.PIPE).stderr.splitlines()]
    assert [line["number"] for line in lines] == list(range(500))
    assert {(line["event"], line["level"]) for line in lines} == {("line", "info")}


def test_a_program_goes_on_when_its_log_lies_on_a_full_disk():
    with open("/dev/full", "w") as full:  # noqa: PTH123 - a device
        assert _run(full).stdout == "goes on\n"
