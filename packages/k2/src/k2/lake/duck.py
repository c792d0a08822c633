"""DuckDB on the files of the lake, and on nothing else: no other file, no network, no further setting."""

from collections.abc import Sequence
from pathlib import Path
from urllib.parse import unquote, urlsplit

import duckdb
import pyarrow as pa
from duckdb import DuckDBPyConnection
from pyiceberg.expressions import AlwaysTrue
from pyiceberg.io.pyarrow import ArrowScan
from pyiceberg.table import FileScanTask, Table

from k2.lake.files import LakeFile, reading

__all__ = ["connect", "local_path", "relation"]


def connect(warehouse: str, memory_mb: int = 512, threads: int = 2) -> DuckDBPyConnection:
    """Open a DuckDB in memory that can read what lies below a local warehouse; `memory_mb` bounds what it takes."""
    connection = duckdb.connect()
    if (folder := local_path(warehouse)) is not None:
        quoted = folder.replace("'", "''")
        connection.execute(f"SET allowed_directories=['{quoted}']")
    for statement in (
        f"SET memory_limit='{memory_mb}MB'",
        f"SET threads={threads}",
        "SET temp_directory=''",
        "SET parquet_metadata_cache=true",
        "SET autoinstall_known_extensions=false",
        "SET autoload_known_extensions=false",
        "SET enable_external_access=false",
        "SET lock_configuration=true",
    ):
        connection.execute(statement)
    return connection


def relation(cursor: DuckDBPyConnection, table: Table, files: Sequence[LakeFile], name: str) -> str:
    """Return what stands after FROM to read some files, at least one.

    Files of a local warehouse are read by DuckDB itself; others come through the library, as the table `name`.
    """
    paths = [local_path(file.path) for file in files]
    if None not in paths:
        quoted = ",".join("'" + str(path).replace("'", "''") + "'" for path in paths)
        return f"read_parquet([{quoted}])"
    cursor.register(name, _fetched(table, files))
    return name


def local_path(location: str) -> str | None:
    """Return the path of a location on this machine, None for one elsewhere."""
    if "://" not in location:
        return str(Path(location).absolute())
    parts = urlsplit(location)
    return unquote(parts.path) if parts.scheme == "file" else None


def _fetched(table: Table, files: Sequence[LakeFile]) -> pa.Table:
    scan = ArrowScan(table.metadata, table.io, table.schema(), AlwaysTrue())
    with reading(table):
        return scan.to_table([FileScanTask(file.data_file) for file in files])
