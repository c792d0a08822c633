"""What an Iceberg table holds: every row of one snapshot, read through the table's catalog."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, ClassVar

from fullspan.errors import StackError
from fullspan.ledger.hops.hop import Hop
from fullspan.ledger.hops.runner import HopRunner
from fullspan.ledger.record import Moment, Observation

if TYPE_CHECKING:
    import pyarrow as pa
    from pyiceberg.catalog import Catalog

__all__ = ["IcebergRows"]


class IcebergRows(Hop):
    """Sees the rows of a table when it is asked to `look`: all of the newest snapshot, each as often as it is there.

    `catalog` are the properties that PyIceberg loads the catalog with (`type`, `uri`, `warehouse` ...), `catalog_name`
    is what its writers call it: one database can hold several of different names. Only `columns` are read.
    `to_observations` is called with them as an Arrow table and the moment at which the snapshot was chosen. A table
    that was looked at twice has its rows in the ledger twice, so a test looks once, at the end.
    """

    kind: ClassVar[str] = "iceberg"

    def __init__(
        self,
        catalog: Mapping[str, str],
        table: str,
        columns: Sequence[str],
        to_observations: "Callable[[pa.Table, Moment], Iterable[Observation]]",
        name: str = "iceberg",
        *,
        catalog_name: str = "default",
    ) -> None:
        super().__init__(name)
        self._properties = dict(catalog)
        self._catalog_name = catalog_name
        self._table = table
        self._columns = tuple(columns)
        self._to_observations = to_observations
        self._catalog: Catalog | None = None

    def _begin(self, runner: HopRunner, within_s: float) -> None:
        from pyiceberg.catalog import load_catalog
        from pyiceberg.exceptions import NoSuchTableError

        self._catalog = load_catalog(self._catalog_name, **self._properties)
        try:
            self._catalog.load_table(self._table)
        except NoSuchTableError as error:
            raise StackError(
                f"Hop {self.name} (iceberg) found no table {self._table} in the catalog.",
                "Start it once the writer has made its tables.",
            ) from error

    def stop(self) -> None:
        """Close the catalog."""
        catalog, self._catalog = self._catalog, None
        if catalog is not None:
            catalog.close()

    def look(self, where: str | None = None) -> int:
        """Write the rows of the newest snapshot into the ledger and return how many there are; 0 without a snapshot.

        `where` chooses rows, as PyIceberg reads conditions: `symbol == 'BTCUSDT' and source_sequence >= 7`.
        """
        rows = self.read(where)
        if rows is None:
            return 0
        moment, table = rows
        self.take_in(self._to_observations, table, moment)
        return int(table.num_rows)

    def read(self, where: str | None = None) -> "tuple[Moment, pa.Table] | None":
        """Return the newest snapshot's rows, and when it was chosen, without noting them; None without a snapshot."""
        if self._catalog is None:
            raise RuntimeError(f"hop {self.name} was not started")
        table = self._catalog.load_table(self._table)
        moment = Moment.now()
        if table.current_snapshot() is None:
            return None
        scan = table.scan(selected_fields=self._columns)
        return moment, (scan if where is None else scan.filter(where)).to_arrow()
