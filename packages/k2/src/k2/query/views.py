"""The tables as they are read: one snapshot of each with its files, looked at again and again in the background."""

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

import structlog
from pyiceberg.catalog import Catalog
from pyiceberg.table import Table

from k2.errors import LakeDown, LakeError
from k2.lake.catalog import open_catalog, open_table, pointer
from k2.lake.files import LakeFile, Manifests
from k2.lake.offsets import OFFSETS_PROPERTY, SEEN_PROPERTY, Offsets
from k2.lake.seen import Seen
from k2.lake.tables import TABLES, TableForm
from k2.query.newest import Newest
from k2.settings import LakeSettings

__all__ = ["TableView", "Views"]

_log = structlog.get_logger()

_LOOK_ANYWAY_S: Final = 1.0
"""Where a catalogue does not tell cheaply whether something changed, the table is loaded so often."""


@dataclass(frozen=True)
class TableView:
    """One snapshot of a table; `offsets` and `seen` say what is in it, for tables that Kafka feeds.

    `newest` are its newest rows where they are kept.
    """

    form: TableForm
    table: Table
    files: tuple[LakeFile, ...]
    offsets: Offsets
    seen: Seen
    snapshot: int | None
    committed_us: int | None
    looked_s: float = field(default_factory=time.monotonic)
    newest: Newest | None = None

    @property
    def rows(self) -> int:
        """How many rows it has."""
        return sum(file.rows for file in self.files)


class Views:
    """Keeps a view of every table, in the thread that looks.

    `completed` is given each new one, and the one before, before anybody sees it; `changed` is told of it after that.
    """

    def __init__(self, settings: LakeSettings, refresh_s: float, forms: Sequence[TableForm] | None = None) -> None:
        self._settings: Final = settings
        self._refresh_s: Final = refresh_s
        self._forms: Final = tuple(forms or TABLES.values())
        self._manifests: Final = {form.name: Manifests(form.time) for form in self._forms}
        self._pointers: dict[str, str | None] = {}
        self._views: dict[str, TableView] = {}
        self._catalog: Catalog | None = None
        self._trouble: str | None = "The tables have not been looked at yet."
        self.completed: Callable[[TableView, TableView | None], TableView] = lambda view, _: view
        self.changed: Callable[[TableView], None] = lambda _: None

    def __getitem__(self, name: str) -> TableView:
        """Return the newest view of a table. Raises LakeDown while there is none."""
        view = self._views.get(name)
        if view is None:
            raise LakeDown(f"The table {name} cannot be read yet: {self._trouble}")
        return view

    def all(self) -> list[TableView]:
        """List the newest view of every table that could be read."""
        return list(self._views.values())

    @property
    def trouble(self) -> str | None:
        """Why the last look failed; None when it did not."""
        return self._trouble

    def look(self) -> None:
        """Look at every table once. Raises LakeError."""
        if self._catalog is None:
            self._catalog = open_catalog(self._settings)
        for form in self._forms:
            self._look(self._catalog, form)

    def watch(self, stop: threading.Event) -> None:
        """Look again and again until told to stop."""
        while True:
            try:
                self.look()
                self._trouble = None
            except LakeError as error:
                if self._trouble is None:
                    _log.warning("views.waiting", why=str(error))
                self._trouble = str(error)
            except Exception as error:
                _log.error("views.failed", exc_info=error)
                self._trouble = f"{type(error).__name__} {error}"
            if stop.wait(self._refresh_s):
                return

    def _look(self, catalog: Catalog, form: TableForm) -> None:
        where = pointer(catalog, form)
        known = self._views.get(form.name)
        if known is not None:
            if where is not None and where == self._pointers.get(form.name):
                return
            if where is None and time.monotonic() - known.looked_s < _LOOK_ANYWAY_S:
                return
        table = open_table(catalog, form)
        view = self.completed(self._view(form, table), known)
        self._views[form.name] = view
        self._pointers[form.name] = table.metadata_location
        self.changed(view)

    def _view(self, form: TableForm, table: Table) -> TableView:
        snapshot = table.current_snapshot()
        summary = None if snapshot is None else snapshot.summary
        told = {} if summary is None else summary.additional_properties
        return TableView(
            form=form,
            table=table,
            files=self._manifests[form.name].files(table),
            offsets=Offsets.read(told[OFFSETS_PROPERTY]) if OFFSETS_PROPERTY in told else Offsets(),
            seen=Seen.read(told[SEEN_PROPERTY]) if SEEN_PROPERTY in told else Seen(),
            snapshot=None if snapshot is None else snapshot.snapshot_id,
            committed_us=None if snapshot is None else snapshot.timestamp_ms * 1000,
        )
