"""The generated code is what the .proto file says."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

from focus_server import proto
from focus_server.proto import DataStream, StreamDataRequest

FOLDER = Path(proto.__file__).parent


def test_the_committed_code_equals_a_fresh_generation(tmp_path):
    shutil.copy(FOLDER / "pandadatastream.proto", tmp_path)
    command = [
        sys.executable,
        "-m",
        "grpc_tools.protoc",
        "-I.",
        "--python_out=.",
        "--pyi_out=.",
        "pandadatastream.proto",
    ]
    subprocess.run(command, cwd=tmp_path, check=True)
    for name in ("pandadatastream_pb2.py", "pandadatastream_pb2.pyi"):
        assert (FOLDER / name).read_text() == (tmp_path / name).read_text()


def test_the_fields_have_the_contract_s_numbers():
    numbers = {field.name: field.number for field in DataStream.DESCRIPTOR.fields}
    assert numbers == {
        "start_channel": 1,
        "end_channel": 2,
        "timestamp_in_milis": 3,
        "row_index": 4,
        "data_shape_x": 5,
        "data_shape_y": 6,
        "global_maximum": 7,
        "global_minimum": 8,
        "main_data": 9,
        "job_id": 10,
        "data_shape_z": 11,
    }
    assert [(field.name, field.number) for field in StreamDataRequest.DESCRIPTOR.fields] == [("stream_id", 1)]


def test_the_call_s_name():
    text = (FOLDER / "pandadatastream.proto").read_text()
    package, service = re.search(r"package (\w+);", text)[1], re.search(r"service (\w+)", text)[1]
    assert f"{package}.{service}" == proto.SERVICE
    assert f"rpc {proto.STREAM_DATA} (StreamDataRequest) returns (stream DataStream)" in text
