"""The ledger on disk: one Parquet file per hop, written and read in pieces, so that memory never holds a whole hop."""

import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import quote, unquote

import pyarrow as pa
import pyarrow.parquet as pq

from fullspan.errors import UsageError
from fullspan.ledger.columns import SCHEMA

if TYPE_CHECKING:
    import duckdb

__all__ = ["PIECE_ROWS", "connect", "file_of", "files_in", "read_pieces", "rows_in", "segment_of", "write_hop"]

PIECE_ROWS: Final = 131_072
QUERY_MEMORY: Final = "512MB"
SUFFIX: Final = ".parquet"
SEGMENT: Final = "@"  # never in a quoted hop, so a segment is told from another hop's file


def file_of(folder: Path, hop: str) -> Path:
    """Return where a hop's observations are, or will be."""
    return folder / f"{quote(hop, safe='')}{SUFFIX}"


def segment_of(folder: Path, hop: str, number: int) -> Path:
    """Return where a piece goes that is written while the hop still looks; pieces are numbered from 0."""
    return folder / f"{quote(hop, safe='')}{SEGMENT}{number:06}{SUFFIX}"


def files_in(folder: Path) -> dict[str, list[Path]]:
    """Return the files of each hop, in the order in which they are to be read.

    A run that was killed has left segments instead of, or beside, a hop's one file; the one file is then complete.
    """
    found: dict[str, list[Path]] = {}
    for path in sorted(folder.glob(f"*{SUFFIX}")):
        if not path.name.startswith("."):
            found.setdefault(unquote(path.stem.partition(SEGMENT)[0]), []).append(path)
    for hop, paths in found.items():
        whole = file_of(folder, hop)
        if whole in paths:
            found[hop] = [whole]
    return found


def write_hop(file: Path, tables: Iterable[pa.Table]) -> int:
    """Write tables of `SCHEMA` as one file and return its rows; a reader sees the whole file or none."""
    file.parent.mkdir(parents=True, exist_ok=True)
    part = file.with_name(f".{file.name}.{os.getpid()}.part")
    rows = 0
    try:
        with pq.ParquetWriter(part, SCHEMA, compression="zstd") as writer:
            for table in tables:
                writer.write_table(table, row_group_size=PIECE_ROWS)
                rows += table.num_rows
        part.replace(file)
    finally:
        part.unlink(missing_ok=True)
    return rows


def read_pieces(file: Path, columns: list[str] | None = None, rows: int = PIECE_ROWS) -> Iterator[pa.Table]:
    """Yield a file's rows in their order, at most `rows` at a time; UsageError when it is not a ledger's file."""
    with _opened(file) as parquet:
        for batch in parquet.iter_batches(rows, columns=columns):
            yield pa.Table.from_batches([batch])


def rows_in(file: Path) -> int:
    """Return how many observations a file holds, without reading them; UsageError as for `read_pieces`."""
    with _opened(file) as parquet:
        return int(parquet.metadata.num_rows)


def _opened(file: Path) -> pq.ParquetFile:
    try:
        parquet = pq.ParquetFile(file)
    except (pa.ArrowException, OSError) as error:
        raise UsageError(
            f"{file} cannot be read as observations: {str(error).splitlines()[0]}", "It is cut off or of other origin."
        ) from error
    lacking = set(SCHEMA.names) - set(parquet.schema_arrow.names)
    if lacking:
        parquet.close()
        raise UsageError(
            f"{file} holds no observations: column {min(lacking)} is missing.",
            "It was written by another version of fullspan, or by something else.",
        )
    return parquet


def connect(folder: Path, memory: str = QUERY_MEMORY) -> "duckdb.DuckDBPyConnection":
    """Open the ledger of a folder for SQL, as the view `observations`; nothing but its files can be read or written.

    Columns are those of `SCHEMA`, and `hop` and `key`. A query that needs more than `memory` fails: nothing is ever
    written to disk. Raises UsageError when the folder holds no observations.
    """
    import duckdb

    hops = files_in(folder)
    if not hops:
        raise UsageError(f"{folder} holds no observations.", "Name a test that had a ledger.")
    allowed = [str(file) for files in hops.values() for file in files]
    connection = duckdb.connect(config={"memory_limit": memory, "threads": 1, "temp_directory": ""})
    selects = []
    for hop, files in hops.items():
        selects.append(
            f"SELECT {_text(hop)} AS hop, concat_ws('/', stream, coalesce(name, sequence::VARCHAR)) AS key, * "  # noqa: S608
            f"FROM read_parquet([{', '.join(_text(str(file)) for file in files)}])"
        )
    connection.execute("SET allowed_paths = [" + ", ".join(map(_text, allowed)) + "]")
    connection.execute("SET enable_external_access = false")
    connection.execute("SET TimeZone = 'UTC'")
    connection.execute(f"CREATE VIEW observations AS {' UNION ALL '.join(selects)}")
    connection.execute("SET lock_configuration = true")
    return connection


def _text(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"
