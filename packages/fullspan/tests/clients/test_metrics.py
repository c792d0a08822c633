"""Figures in the text format of Prometheus: what is read, what is summed, what is refused."""

import math

import pytest

from fullspan.clients import Metrics

TEXT = r"""
# HELP requests Requests.
# TYPE requests counter
requests_total{route="/ack",status="200"} 3
requests_total{route="/jobs",status="200",} 4.5 1700000000000
"""


def test_samples_are_found_by_name_and_labels():
    metrics = Metrics.read(TEXT + 'age NaN\nmost +Inf\nodd{path="a\\"b\\\\c\\nd,e}"} -1e-3\n')
    assert metrics.value("requests_total") == 7.5
    assert metrics.value("requests_total", route="/ack") == 3
    assert metrics.value("requests_total", route="/ack", status="404") == metrics.value("nothing") == 0
    assert math.isnan(metrics.value("age"))
    assert metrics.value("most") == math.inf
    assert metrics.value("odd", path='a"b\\c\nd,e}') == -0.001
    assert metrics.names == {"requests_total", "age", "most", "odd"}
    assert metrics.each("requests_total", status="200") == {
        frozenset({("route", "/ack"), ("status", "200")}): 3,
        frozenset({("route", "/jobs"), ("status", "200")}): 4.5,
    }


@pytest.mark.parametrize("line", ["<html>", "a{b} 1", 'a{b="c} 1', "a one", "a"])
def test_a_line_of_another_format_is_refused(line):
    with pytest.raises(ValueError, match=r"text format|could not convert"):
        Metrics.read(f"good 1\n{line}\n")
