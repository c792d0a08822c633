"""The catalogue of recordings in MongoDB: what is where and when, and never a wait longer than its deadline."""

import asyncio
import re
import time
import uuid
from collections.abc import Awaitable, Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self, TypeVar

import structlog
from bson import Int64
from pymongo import IndexModel, UpdateOne
from pymongo.asynchronous.collection import AsyncCollection
from pymongo.asynchronous.database import AsyncDatabase
from pymongo.errors import DuplicateKeyError

from focus_server.contract import Dependency
from focus_server.errors import CatalogueDown, RecordingError
from focus_server.recordings.address import MongoAddress
from focus_server.recordings.connection import ANSWER_S, Connection
from focus_server.recordings.document import MILLISECOND, Document, date, date_ms, from_document, to_document
from focus_server.recordings.entry import RecordingEntry
from focus_server.recordings.ranges import SPAN_FIELDS, Span, joined
from focus_server.recordings.windows import Windows

__all__ = ["Catalogue", "KnownFile"]

_log = structlog.get_logger()

Result = TypeVar("Result")

LONGEST_NS: Final = 3_601 * 1_000_000_000
"""No recording is longer, see the setting recording_s; so what overlaps a time began within this before it."""
_AHEAD_NS: Final = 86_400 * 1_000_000_000
"""Recordings that begin later than this from now are not looked for."""
_TRY_S: Final = 0.4
"""Together with the deadline of a narrower question this stays below two seconds."""
_LONGEST_SEARCH_S: Final = 10.0
"""For a long time of which MongoDB answers every piece."""
_GUID: Final = re.compile(r"[0-9A-Fa-f]{8}-?(?:[0-9A-Fa-f]{4}-?){3}[0-9A-Fa-f]{12}", re.ASCII)

_RECORDING_INDEXES: Final = ("start_time", "end_time", "deleted")
_LIVING: Final[Mapping[str, object]] = {"deleted": {"$ne": True}}
"""Not deleted, among few: the index of the other condition is used."""
_PRESENT: Final[Mapping[str, object]] = {"deleted": {"$in": [False, None]}}
"""Not deleted, among all: the index of `deleted` is used, so that the deleted ones cost nothing."""
_UNRECOGNIZED: Final = "-unrecognized_recordings"
_CHANGED: Final = "file_changed_ns"


@dataclass(frozen=True, slots=True)
class _BasePath:
    path: str
    guid: str


@dataclass(frozen=True, slots=True)
class KnownFile:
    """A finished recording's uuid, and when its file was written (ns since 1970) as it is described; None: not said."""

    uuid: str
    changed_ns: int | None


class Catalogue:
    """The collections of one database. Every method that asks MongoDB raises `CatalogueDown` within two seconds.

    To be used as an asynchronous context manager; entering it asks nothing yet.
    """

    def __init__(self, address: MongoAddress, answer_s: float = ANSWER_S) -> None:
        self._mongo = Connection(address, answer_s)
        self._guids: dict[str, str] = {}

    async def __aenter__(self) -> Self:
        await self._mongo.__aenter__()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._mongo.__aexit__()

    @property
    def state(self) -> Dependency:
        """Tell what the last call found: `up`, `down`, or `unknown` before the first one."""
        return self._mongo.state

    async def ping(self) -> None:
        """Ask MongoDB for a sign of life."""
        async with self._mongo.asking() as database:
            await database.command("ping")

    async def prepare(self) -> None:
        """Make all indexes; those that exist stay."""
        async with self._mongo.asking() as database:
            await database["base_paths"].create_indexes([IndexModel("base_path", unique=True)])
            await database["jobs"].create_indexes([IndexModel("job_id", unique=True)])
            for base in await _base_paths(database):
                await _make_indexes(database[base.guid])

    async def base_path(self, path: Path) -> str:
        """Give the guid of a folder of recordings, which is entered when it is new."""
        folder = str(path.absolute())
        new = {"guid": str(uuid.uuid4()), "is_archive": False}
        async with self._mongo.asking() as database:
            await database["base_paths"].create_indexes([IndexModel("base_path", unique=True)])
            paths, wanted = database["base_paths"], {"base_path": folder}
            await _twice(lambda: paths.update_one(wanted, {"$setOnInsert": new}, upsert=True))
            guid = str((await paths.find_one(wanted) or {}).get("guid"))
            if not _GUID.fullmatch(guid):
                raise CatalogueDown("The catalogue has a base path without a valid guid; correct it in base_paths.")
            if self._guids.get(folder) != guid:
                await _make_indexes(database[guid])
        self._guids[folder] = guid
        return guid

    async def begun(self, entry: RecordingEntry) -> None:
        """Enter a recording that is being written; one that was entered before stays as it is."""
        guid = await self._guid(entry.base_path)
        document = to_document(entry)
        async with self._mongo.asking() as database:
            await _twice(
                lambda: database[guid].update_one({"uuid": entry.uuid}, {"$setOnInsert": document}, upsert=True)
            )

    async def finished(self, entry: RecordingEntry, changed_ns: int | None = None) -> None:
        """Enter a recording whose file is whole; its document is replaced.

        `changed_ns` is when the file was written that the entry describes; without it the file is asked.
        """
        guid = await self._guid(entry.base_path)
        document = to_document(entry)
        if changed_ns is None:
            changed_ns = await asyncio.to_thread(_changed_ns, entry)
        if changed_ns is not None:
            document[_CHANGED] = Int64(changed_ns)
        async with self._mongo.asking() as database:
            await _twice(lambda: database[guid].replace_one({"uuid": entry.uuid}, document, upsert=True))

    async def known(self, base_path: Path) -> dict[str, bool]:
        """Give the uuid of each recording that is not deleted, and whether it is finished."""
        guid = await self._guid(str(base_path.absolute()))
        async with self._mongo.asking() as database:
            found = await database[guid].find(_PRESENT, {"uuid": 1, "end_time": 1}).to_list()
        return {str(document.get("uuid")): document.get("end_time") is not None for document in found}

    async def finished_files(self, base_path: Path) -> dict[str, KnownFile]:
        """Give each finished recording that is not deleted, by its path."""
        guid = await self._guid(str(base_path.absolute()))
        async with self._mongo.asking() as database:
            found = await database[guid].find(_PRESENT, _only(("uuid", "path", "end_time", _CHANGED))).to_list()
        finished = [document for document in found if document.get("end_time") is not None]
        return {str(document.get("path")): _known_file(document) for document in finished}

    async def deleted_among(self, base_path: Path, uuids: Iterable[str]) -> set[str]:
        """Give those of the recordings that are noted as deleted."""
        guid = await self._guid(str(base_path.absolute()))
        async with self._mongo.asking() as database:
            wanted = {"uuid": {"$in": list(uuids)}, "deleted": True}
            found = await database[guid].find(wanted, {"uuid": 1}).to_list()
        return {str(document["uuid"]) for document in found}

    async def find(self, start_ns: int, end_ns: int) -> list[RecordingEntry]:
        """Find the finished recordings that overlap a half-open time range (ns since 1970), sorted by start.

        All base paths that are no archive are searched. A document that no program can use is left out and logged.
        """
        entries = []
        for base in await self._base_paths():
            finished = [
                it for it in await self._begun_between(base, start_ns, end_ns) if it.get("end_time") is not None
            ]
            entries += await asyncio.to_thread(_usable, base.path, finished)
        overlapping = [it for it in entries if it.start_ns < end_ns and it.end_ns is not None and it.end_ns > start_ns]
        return sorted(overlapping, key=lambda entry: (entry.start_ns, entry.uuid))

    async def ranges(self, start_ns: int, end_ns: int) -> list[tuple[int, int]]:
        """Give the times of all recordings that overlap a half-open range, in ns since 1970, sorted by start.

        Recordings of one fibre that adjoin are one range; ranges are whole, also where they reach out of the one asked
        for; one that is still being recorded ends now.
        """
        now_ns = time.time_ns()
        documents: dict[object, Document] = {}
        for base in await self._base_paths():
            found = await self._begun_between(base, start_ns, end_ns, SPAN_FIELDS)
            async with self._mongo.asking() as database:
                running = await database[base.guid].find({"end_time": None, **_LIVING}, _only(SPAN_FIELDS)).to_list()
            documents |= {document["_id"]: document for document in (*running, *found)}
        spans = [Span.of(document, now_ns) for document in documents.values()]
        return joined(span for span in spans if span and span.start_ns < end_ns and span.end_ns > start_ns)

    async def _base_paths(self) -> list[_BasePath]:
        async with self._mongo.asking() as database:
            return await _base_paths(database)

    async def _begun_between(
        self, base: _BasePath, start_ns: int, end_ns: int, fields: Iterable[str] = ()
    ) -> list[Document]:
        """Give all documents, not deleted, of recordings that may reach from one time to another."""
        windows = Windows(date_ms(start_ns - LONGEST_NS), date_ms(min(end_ns, time.time_ns() + _AHEAD_NS)) + 1)
        documents: list[Document] = []
        until_s = time.monotonic() + _LONGEST_SEARCH_S
        while windows:
            if time.monotonic() > until_s:
                raise CatalogueDown("MongoDB is too slow now for so long a time; ask for a shorter one.")
            low, high = (date(ms * MILLISECOND) for ms in windows.piece)
            began_s = time.monotonic()
            try:
                async with self._mongo.asking(_TRY_S if windows.is_a_try else None) as database:
                    wanted = {"start_time": {"$gte": low, "$lt": high}, **_LIVING}
                    found = await database[base.guid].find(wanted, _only(fields)).to_list()
            except CatalogueDown:
                if not windows.is_a_try:
                    raise
                windows.too_wide()
            else:
                windows.answered(time.monotonic() - began_s, len(found))
                documents += found
        return documents

    async def deleted(self, base_path: Path, uuids: Iterable[str]) -> int:
        """Note that files are going to be deleted; give how many of them were entered."""
        guid = await self._guid(str(base_path.absolute()))
        async with self._mongo.asking() as database:
            wanted = {"uuid": {"$in": list(uuids)}}
            return (await database[guid].update_many(wanted, {"$set": {"deleted": True}})).matched_count

    async def close_stale(self, older_than_s: float = 86400) -> int:
        """Close recordings that were begun so long ago and never finished, which no file will ever follow.

        They end where they began and are deleted, so that nobody takes them for a whole file. Gives how many.
        """
        oldest = date(time.time_ns() - int(older_than_s * 1e9))
        closed = 0
        async with self._mongo.asking() as database:
            for base in await _base_paths(database):
                stale = await database[base.guid].find({"end_time": None, "start_time": {"$lt": oldest}}).to_list()
                closing = [_closing(document) for document in stale]
                if closing:
                    closed += (await database[base.guid].bulk_write(closing, ordered=False)).modified_count
        return closed

    async def forget(self, base_path: Path, older_than_s: float = 172_800) -> int:
        """Remove our documents of recordings that were deleted and ended so long ago; give how many those were.

        Best effort: what is not removed in a moment is removed the next time.
        """
        guid = await self._guid(str(base_path.absolute()))
        ours = {"deleted": True, "start_ns": {"$type": "long"}}
        old = {"end_time": {"$lt": date(time.time_ns() - int(older_than_s * 1e9))}}
        try:
            async with self._mongo.asking(_TRY_S) as database:
                return (await database[guid].delete_many({**old, **ours})).deleted_count
        except CatalogueDown:
            return 0

    async def unrecognized(self, base_path: Path, folder_name: str, file_count: int) -> None:
        """Note how many files of a folder are no recordings of ours; with none the note goes."""
        guid = await self._guid(str(base_path.absolute()))
        note = {"file_count": file_count, "update_time": date(time.time_ns())}
        async with self._mongo.asking() as database:
            folders = database[f"{guid}{_UNRECOGNIZED}"]
            if file_count:
                await folders.update_one({"folder_name": folder_name}, {"$set": note}, upsert=True)
            else:
                await folders.delete_many({"folder_name": folder_name})

    async def unrecognized_folders(self, base_path: Path) -> dict[str, int]:
        """Give how many files of each folder are noted as no recordings of ours."""
        guid = await self._guid(str(base_path.absolute()))
        async with self._mongo.asking() as database:
            found = await database[f"{guid}{_UNRECOGNIZED}"].find({}).to_list()
        return {str(document.get("folder_name")): int(document.get("file_count", 0)) for document in found}

    async def save_job(self, document: Mapping[str, Any]) -> None:
        """Write down a job, by its `job_id`, instead of what was there of it."""
        async with self._mongo.asking() as database:
            await _twice(
                lambda: database["jobs"].replace_one({"job_id": str(document["job_id"])}, document, upsert=True)
            )

    async def _guid(self, base_path: str) -> str:
        known = self._guids.get(base_path)
        return await self.base_path(Path(base_path)) if known is None else known


async def _base_paths(database: AsyncDatabase[Document]) -> list[_BasePath]:
    """List the base paths that are no archive; what has no guid of the right form could be any collection."""
    found = await database["base_paths"].find({"is_archive": {"$ne": True}}).to_list()
    pairs = [(document.get("base_path"), document.get("guid")) for document in found]
    return [
        _BasePath(path, guid)
        for path, guid in pairs
        if isinstance(path, str) and path.startswith("/") and isinstance(guid, str) and _GUID.fullmatch(guid)
    ]


async def _make_indexes(recordings: AsyncCollection[Document]) -> None:
    indexes = [IndexModel("uuid", unique=True), *map(IndexModel, _RECORDING_INDEXES)]
    await recordings.create_indexes(indexes)


async def _twice(upsert: Callable[[], Awaitable[Result]]) -> Result:
    """Repeat an upsert once: of two that insert the same document at once, MongoDB refuses the later one."""
    try:
        return await upsert()
    except DuplicateKeyError:
        return await upsert()


def _known_file(document: Document) -> KnownFile:
    changed_ns = document.get(_CHANGED)
    return KnownFile(str(document.get("uuid")), changed_ns if isinstance(changed_ns, int) else None)


def _changed_ns(entry: RecordingEntry) -> int | None:
    with suppress(OSError, RecordingError):
        return entry.file().stat().st_mtime_ns
    return None


def _only(fields: Iterable[str]) -> dict[str, int] | None:
    return dict.fromkeys(fields, 1) or None


def _usable(base_path: str, documents: Iterable[Document]) -> list[RecordingEntry]:
    entries = []
    for document in documents:
        try:
            entries.append(from_document(base_path, document))
        except RecordingError as error:
            _log.warning("catalogue.unusable", uuid=str(document.get("uuid"))[:64], cause=str(error))
    return entries


def _closing(document: Document) -> UpdateOne:
    start_ns = document.get("start_ns")
    end = {"end_time": document.get("start_time"), "end_ns": Int64(start_ns) if isinstance(start_ns, int) else None}
    return UpdateOne({"_id": document["_id"], "end_time": None}, {"$set": {**end, "deleted": True}})
