"""What is a command, and the reason why something is none."""

import json

import pytest

from focus_server.analyzer.commands.command import (
    MOST_BYTES,
    InputChanged,
    KeepAlive,
    MonitorQueues,
    Roi,
    SetCAxis,
    SetColorMap,
    read_command,
)
from focus_server.errors import CommandError


@pytest.mark.parametrize(
    ("key", "body", "job_id", "command"),
    [
        ("roi", {"start": 3, "end": 9}, None, Roi(start=3, end=9)),
        ("0-1.roi", {"start": 3.0, "end": 9, "more": 1}, "0-1", Roi(start=3, end=9)),
        ("29-1700.caxis", {"min": -60.5, "max": -20}, "29-1700", SetCAxis(min=-60.5, max=-20)),
        ("colormap", {"colormap": "jet"}, None, SetColorMap(colormap="jet")),
        ("colormap", "parula", None, SetColorMap(colormap="parula")),
        ("0-1.keepalive", {"source": "desk"}, "0-1", KeepAlive(source="desk")),
        ("0-1.input_changed", {"metadata": {"prr": 1}}, "0-1", InputChanged(metadata={"prr": 1})),
        ("monitor_queues", {"anything": None}, None, MonitorQueues()),
    ],
)
def test_a_command_is_read(key, body, job_id, command):
    read = read_command(key, json.dumps(body).encode())
    assert (read.job_id, read.name, read.command) == (job_id, key.rpartition(".")[2], command)


def test_monitor_queues_needs_no_body():
    assert read_command("monitor_queues", b"").command == MonitorQueues()


def test_channel_0_is_taken_as_1():
    assert [Roi(start=start, end=end).range for start, end in ((0, 0), (0, 5), (2, 5))] == [(1, 1), (1, 5), (2, 5)]


@pytest.mark.parametrize(
    ("key", "body", "reason", "said"),
    [
        ("zoom", b"{}", "unknown-command", "roi"),
        ("", b"{}", "unknown-command", "roi"),
        ("0-1.zoom", b"{}", "unknown-command", "roi"),
        ("0-1.roi.now", b"{}", "unknown-command", "roi"),
        ("x.roi", b"{}", "unknown-job", "job_id"),
        (".roi", b"{}", "unknown-job", "job_id"),
        ("0-1.0-1.roi", b"{}", "unknown-job", "job_id"),
        ("\u0660-1.roi", b"{}", "unknown-job", "job_id"),
        ("roi", b"{", "malformed", "JSON"),
        ("roi", b"\xff", "malformed", "JSON"),
        ("roi", b"", "malformed", "JSON"),
        ("roi", b"[]", "malformed", "the body"),
        ("roi", b"null", "malformed", "the body"),
        ("roi", b"[" * 60_000, "malformed", "JSON"),
        ("roi", b'{"start": 1}', "malformed", "end"),
        ("roi", b'{"start": 1.5, "end": 3}', "malformed", "start"),
        ("roi", b'{"start": true, "end": 3}', "malformed", "start"),
        ("roi", b'{"start": "1", "end": 3}', "malformed", "start"),
        ("caxis", b'{"min": NaN, "max": 3}', "malformed", "min"),
        ("caxis", b'{"min": -Infinity, "max": 3}', "malformed", "min"),
        ("caxis", b'{"min": 1e999, "max": 3}', "malformed", "min"),
        ("caxis", b'{"min": null, "max": 3}', "malformed", "min"),
        ("colormap", b'{"colormap": "hot"}', "malformed", "viridis"),
        ("colormap", b'"jet", 1', "malformed", "JSON"),
        ("colormap", b"7", "malformed", "the body"),
        ("keepalive", b'{"source": ""}', "malformed", "source"),
        ("keepalive", b'{"source": 5}', "malformed", "source"),
        ("keepalive", b'{"source": "' + b"x" * 257 + b'"}', "malformed", "source"),
        ("input_changed", b'{"metadata": []}', "malformed", "metadata"),
        ("monitor_queues", b"[1]", "malformed", "the body"),
        ("monitor_queues", b" " * (MOST_BYTES + 1), "malformed", str(MOST_BYTES)),
    ],
)
def test_what_is_no_command_is_refused_by_name(key, body, reason, said):
    with pytest.raises(CommandError) as refused:
        read_command(key, body)
    assert refused.value.reason == reason
    assert said in str(refused.value)
    assert len(str(refused.value)) < 400


def test_an_axis_that_does_not_rise_is_refused():
    for low, high in ((1, 1), (2, 1)):
        with pytest.raises(CommandError, match="min must be below max"):
            _ = SetCAxis(min=low, max=high).caxis
    assert SetCAxis(min=-60, max=-20).caxis.model_dump() == {"min": -60.0, "max": -20.0}


def test_only_names_of_metadata_are_shown_and_few():
    many = {f"{number}" * 200: "a secret" for number in range(100)}
    shown = InputChanged(metadata=many).shown
    assert len(shown) == 20
    assert max(map(len, shown)) == 100
    assert "a secret" not in shown
