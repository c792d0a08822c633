"""The catalogue of the lake: a SQLite file by default, a REST service by setting; and the tables, made when missing."""

from contextlib import suppress
from pathlib import Path
from typing import Final

from pyiceberg.catalog import Catalog, load_catalog
from pyiceberg.catalog.sql import IcebergTables, SqlCatalog
from pyiceberg.exceptions import NamespaceAlreadyExistsError, NoSuchTableError, TableAlreadyExistsError
from pyiceberg.table import Table
from sqlalchemy import select
from sqlalchemy.exc import IntegrityError, OperationalError

from k2.errors import LakeDown
from k2.lake.tables import NAMESPACE, TableForm
from k2.settings import LakeSettings

__all__ = ["open_catalog", "open_table", "pointer"]

_NAME: Final = "k2"


def open_catalog(settings: LakeSettings) -> Catalog:
    """Open the catalogue; the folder of a local one is made when it is missing.

    Raises LakeDown when the catalogue cannot be reached.
    """
    uri = settings.catalog_uri
    kind = "rest" if uri.startswith(("http://", "https://")) else "sql"
    try:
        if uri.startswith("sqlite:///"):
            Path(uri.removeprefix("sqlite:///").partition("?")[0]).parent.mkdir(parents=True, exist_ok=True)
        secrets = {name: value.get_secret_value() for name, value in settings.catalog_properties.items()}
        options = {"type": kind, "uri": uri, "warehouse": _warehouse(settings.warehouse), **secrets}
        try:
            return load_catalog(_NAME, **options)
        except OperationalError as error:
            if "already exists" not in str(error):
                raise
            return load_catalog(_NAME, **options)  # two programs made the same file at once; now it is there
    except Exception as error:
        raise LakeDown(f"The catalogue {_public(uri)} cannot be opened: {_first_line(error)}.") from error


def open_table(catalog: Catalog, form: TableForm) -> Table:
    """Load a table, or make it; two programs may do so at once.

    Raises LakeDown when it cannot be loaded or made.
    """
    try:
        try:
            return catalog.load_table(form.identifier)
        except NoSuchTableError:
            return _make(catalog, form)
    except Exception as error:
        raise LakeDown(f"The table {form.identifier} cannot be loaded: {_first_line(error)}.") from error


def pointer(catalog: Catalog, form: TableForm) -> str | None:
    """Return what changes with every commit to a table, which is much quicker than to load it; None: nobody knows.

    Raises LakeDown when the catalogue does not answer.
    """
    if not isinstance(catalog, SqlCatalog):
        return None
    question = select(IcebergTables.metadata_location).where(
        IcebergTables.catalog_name == catalog.name,
        IcebergTables.table_namespace == NAMESPACE,
        IcebergTables.table_name == form.name,
    )
    try:
        with catalog.engine.connect() as connection:
            found = connection.execute(question).scalar()
    except Exception as error:
        raise LakeDown(f"The catalogue does not answer: {_first_line(error)}.") from error
    return None if found is None else str(found)


def _make(catalog: Catalog, form: TableForm) -> Table:
    # Two programs that make it at once: one of them finds it there, or loses a race within the database.
    with suppress(NamespaceAlreadyExistsError, IntegrityError):
        catalog.create_namespace(NAMESPACE)
    try:
        return catalog.create_table(
            form.identifier,
            schema=form.record.iceberg(),
            partition_spec=form.spec(),
            sort_order=form.order(),
            properties=form.properties(),
        )
    except TableAlreadyExistsError:
        return catalog.load_table(form.identifier)


def _warehouse(place: str) -> str:
    if "://" in place:
        return place
    folder = Path(place).absolute()
    folder.mkdir(parents=True, exist_ok=True)
    return folder.as_uri()


def _public(uri: str) -> str:
    """Leave out what stands before the host: a database's URL may carry a password."""
    scheme, _, rest = uri.partition("://")
    return f"{scheme}://{rest.rpartition('@')[2]}"


def _first_line(error: Exception) -> str:
    return (str(error) or type(error).__name__).partition("\n")[0].rstrip(".")
