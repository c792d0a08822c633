"""The announcement is JSON that says everything a reader needs, and a wrong one is refused."""

import json
from pathlib import Path
from typing import Any

import pytest

from focus_server.errors import BlockError
from focus_server.fiber import FiberAnnouncement, FiberGrid, announcement_key
from focus_server.fiber.formula import ReplayFormula, ReplayOptions
from focus_server.fiber.interrogator import Fiber
from focus_server.fiber.recording import Recording


@pytest.fixture
def body(recording_file: Path) -> dict[str, Any]:
    formula = ReplayFormula(Recording.load(recording_file), ReplayOptions(channels=130, seed=7))
    return json.loads(Fiber("north", 8, FiberGrid(5, 249997, 125), formula).announcement().to_json())


def test_what_is_announced(body: dict[str, Any]) -> None:
    source = body.pop("fiber_source")
    scale = body.pop("scale")
    assert body == {
        "schema": 1,
        "site": "north",
        "epoch": 8,
        "t0_ns": 5,
        "fs_num": 249997,
        "fs_den": 125,
        "number_of_channels": 130,
        "dx": 1.5,
        "fiber_start_meters": 20.0,
        "fiber_description": "",
        "units": "1/s",
        "dtype": "int16",
        "num_samples_per_trace": 130,
    }
    assert source["scale"] == scale
    assert (source["C"], source["L"], source["seed"], source["fs_num"], source["t0_ns"]) == (50, 777, 7, 249997, 5)
    assert "mix32" in source["formula"]
    assert announcement_key("north") == "metadata.north"


def test_round_trip_and_unknown_keys(body: dict[str, Any]) -> None:
    read = FiberAnnouncement.from_json(json.dumps(body | {"later": 1}).encode())
    assert json.loads(read.to_json()) == body


@pytest.mark.parametrize(
    ("changes", "where"),
    [
        ({"schema": 2}, "schema"),
        ({"fs_num": 0}, "fs_num"),
        ({"fs_num": 1.5}, "fs_num"),
        ({"number_of_channels": True}, "number_of_channels"),
        ({"dx": float("nan")}, "dx"),
        ({"dtype": "int32"}, "dtype"),
        ({"scale": "1; drop"}, "scale"),
        ({"site": "a.b"}, "site"),
        ({"fiber_source": []}, "fiber_source"),
    ],
)
def test_a_wrong_announcement(body: dict[str, Any], changes: dict[str, Any], where: str) -> None:
    with pytest.raises(BlockError, match=f"wrong at {where}"):
        FiberAnnouncement.from_json(json.dumps(body | changes).encode())


@pytest.mark.parametrize("garbage", [b"", b"\xff", b"[]", b"{}", b"null"])
def test_garbage(garbage: bytes) -> None:
    with pytest.raises(BlockError):
        FiberAnnouncement.from_json(garbage)
