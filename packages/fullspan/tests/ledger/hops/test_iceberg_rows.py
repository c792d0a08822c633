import pyarrow as pa
import pytest
from pyiceberg.catalog import load_catalog

from fullspan.errors import StackError
from fullspan.ledger import Ledger, Observation
from fullspan.ledger.hops import HopRunner, IcebergRows

ROWS = pa.table({"number": [1, 2, 3], "price": ["1.0", "2.0", "3.0"], "more": ["x", "y", "z"]})


@pytest.fixture
def catalog(tmp_path):
    return {"type": "sql", "uri": f"sqlite:///{tmp_path}/catalog.db", "warehouse": f"file://{tmp_path}/warehouse"}


@pytest.fixture
def table(catalog):
    loaded = load_catalog("writer", **catalog)
    loaded.create_namespace("market")
    yield loaded.create_table("market.trades", ROWS.schema)
    loaded.close()


def observations(rows, moment):
    assert rows.column_names == ["number", "price"]
    return [
        Observation("iceberg", f"s/{number}", number, 0, moment.mono_ns, moment.wall_ns, price)
        for number, price in zip(*(column.to_pylist() for column in rows.columns), strict=True)
    ]


def hop_on(catalog):
    return IcebergRows(catalog, "market.trades", ("number", "price"), observations, catalog_name="writer")


def test_a_look_sees_every_row_of_the_newest_snapshot(catalog, table):
    ledger = Ledger()
    with HopRunner(ledger) as runner:
        hop = runner.start(hop_on(catalog))
        assert hop.look() == 0, "the table has no snapshot yet"
        table.append(ROWS)
        table.append(ROWS.slice(1, 1))
        assert hop.look() == 4
    assert sorted((seen.key, seen.digest) for seen in ledger.observations("iceberg")) == [
        ("s/1", "1.0"), ("s/2", "2.0"), ("s/2", "2.0"), ("s/3", "3.0"),
    ]  # fmt: skip


def test_a_look_can_be_for_some_rows(catalog, table):
    ledger = Ledger()
    table.append(ROWS)
    with HopRunner(ledger) as runner:
        assert runner.start(hop_on(catalog)).look("number >= 2 and price != '3.0'") == 1
    assert [seen.key for seen in ledger.observations("iceberg")] == ["s/2"]


def test_a_table_that_is_not_there_is_told(catalog, table):
    catalog_of_nothing = {**catalog, "uri": catalog["uri"].replace("catalog", "other")}
    with HopRunner(Ledger()) as runner, pytest.raises(StackError, match=r"no table market\.trades"):
        runner.start(hop_on(catalog_of_nothing))


def test_rows_that_cannot_be_read_fail_the_hop(catalog, table):
    def refuse(rows, moment):
        raise ValueError("no digit")

    table.append(ROWS)
    with HopRunner(Ledger()) as runner:
        hop = runner.start(IcebergRows(catalog, "market.trades", ("number",), refuse, catalog_name="writer"))
        hop.look()
        assert hop.failed == "it could not read a message: ValueError: no digit"
