"""The catalogue of recordings in MongoDB: what is where and when, and never a wait longer than its deadline."""

import asyncio
import re
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self, TypeVar

import pymongo
import structlog
from bson import Int64
from bson.errors import BSONError
from pymongo import AsyncMongoClient, IndexModel, UpdateOne
from pymongo.asynchronous.collection import AsyncCollection
from pymongo.asynchronous.database import AsyncDatabase
from pymongo.errors import DuplicateKeyError, PyMongoError

from focus_server.contract import Dependency
from focus_server.errors import CatalogueDown, RecordingError
from focus_server.recordings.address import MongoAddress, explain
from focus_server.recordings.document import MILLISECOND, Document, date, from_document, to_document
from focus_server.recordings.entry import RecordingEntry
from focus_server.recordings.ranges import SPAN_FIELDS, Span, joined

__all__ = ["Catalogue"]

_log = structlog.get_logger()

Result = TypeVar("Result")

ANSWER_S: Final = 1.5
"""For one call to the catalogue, however many commands it needs."""
_MARGIN_S: Final = 0.2
_CLOSE_S: Final = 0.3
_CONNECTIONS: Final = 20
_GUID: Final = re.compile(r"[0-9A-Fa-f]{8}-?(?:[0-9A-Fa-f]{4}-?){3}[0-9A-Fa-f]{12}", re.ASCII)

_RECORDING_INDEXES: Final = ("start_time", "end_time", "deleted")
_LIVING: Final[Mapping[str, object]] = {"deleted": {"$ne": True}}
_UNRECOGNIZED: Final = "-unrecognized_recordings"


@dataclass(frozen=True, slots=True)
class _BasePath:
    path: str
    guid: str


class Catalogue:
    """The collections of one database. Every method that asks MongoDB raises `CatalogueDown` within two seconds.

    To be used as an asynchronous context manager; entering it asks nothing yet.
    """

    def __init__(self, address: MongoAddress, answer_s: float = ANSWER_S) -> None:
        self.address = address
        self._answer_s = answer_s
        self._client: AsyncMongoClient[Document] | None = None
        self._guids: dict[str, str] = {}
        self._state = Dependency(state="unknown", detail="MongoDB has not been asked yet.")

    async def __aenter__(self) -> Self:
        ms = int(self._answer_s * 1000)
        try:
            self._client = AsyncMongoClient(
                self.address.url,
                appname="focus-server",
                tz_aware=True,
                datetime_conversion="DATETIME_AUTO",  # a date beyond the year 9999 must not spoil the whole answer
                unicode_decode_error_handler="replace",
                journal=True,  # what was written survives a kill of the server
                maxPoolSize=_CONNECTIONS,
                serverSelectionTimeoutMS=ms,
                connectTimeoutMS=ms,
                socketTimeoutMS=ms,
                timeoutMS=ms,
            )
        except PyMongoError as error:
            raise CatalogueDown(explain(error)) from None
        return self

    async def __aexit__(self, *_: object) -> None:
        client, self._client = self._client, None
        if client is None:
            return
        for _attempt in range(
            2
        ):  # what the first one could not tell a server that hangs, the second one does not try again
            with suppress(TimeoutError, PyMongoError, OSError):
                async with asyncio.timeout(_CLOSE_S):
                    await client.close()
                    return

    @property
    def state(self) -> Dependency:
        """Tell what the last call found: `up`, `down`, or `unknown` before the first one."""
        return self._state

    async def ping(self) -> None:
        """Ask MongoDB for a sign of life."""
        async with self._asking() as database:
            await database.command("ping")

    async def prepare(self) -> None:
        """Make all indexes; those that exist stay."""
        async with self._asking() as database:
            await database["base_paths"].create_indexes([IndexModel("base_path", unique=True)])
            await database["jobs"].create_indexes([IndexModel("job_id", unique=True)])
            for base in await _base_paths(database):
                await _make_indexes(database[base.guid])

    async def base_path(self, path: Path) -> str:
        """Give the guid of a folder of recordings, which is entered when it is new."""
        folder = str(path.absolute())
        new = {"guid": str(uuid.uuid4()), "is_archive": False}
        async with self._asking() as database:
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
        async with self._asking() as database:
            await _twice(
                lambda: database[guid].update_one({"uuid": entry.uuid}, {"$setOnInsert": document}, upsert=True)
            )

    async def finished(self, entry: RecordingEntry) -> None:
        """Enter a recording whose file is whole; its document is replaced."""
        guid = await self._guid(entry.base_path)
        document = to_document(entry)
        async with self._asking() as database:
            await _twice(lambda: database[guid].replace_one({"uuid": entry.uuid}, document, upsert=True))

    async def known(self, base_path: Path) -> dict[str, bool]:
        """Give the uuid of each recording that is not deleted, and whether it is finished."""
        guid = await self._guid(str(base_path.absolute()))
        async with self._asking() as database:
            found = await database[guid].find(dict(_LIVING), {"uuid": 1, "end_time": 1}).to_list()
        return {str(document.get("uuid")): document.get("end_time") is not None for document in found}

    async def finished_paths(self, base_path: Path) -> dict[str, str]:
        """Give the uuid of each finished recording that is not deleted, by its path."""
        guid = await self._guid(str(base_path.absolute()))
        wanted = {**_LIVING, "end_time": {"$ne": None}}
        async with self._asking() as database:
            found = await database[guid].find(wanted, {"uuid": 1, "path": 1}).to_list()
        return {str(document.get("path")): str(document.get("uuid")) for document in found}

    async def deleted_among(self, base_path: Path, uuids: Iterable[str]) -> set[str]:
        """Give those of the recordings that are noted as deleted."""
        guid = await self._guid(str(base_path.absolute()))
        async with self._asking() as database:
            wanted = {"uuid": {"$in": list(uuids)}, "deleted": True}
            found = await database[guid].find(wanted, {"uuid": 1}).to_list()
        return {str(document["uuid"]) for document in found}

    async def find(self, start_ns: int, end_ns: int) -> list[RecordingEntry]:
        """Find the finished recordings that overlap a half-open time range (ns since 1970), sorted by start.

        All base paths that are no archive are searched. A document that no program can use is left out and logged.
        """
        finished = {**_overlap(start_ns, end_ns), "end_time": {"$gte": date(start_ns - MILLISECOND)}}
        entries = []
        async with self._asking() as database:
            for base in await _base_paths(database):
                entries += _usable(base.path, await database[base.guid].find(finished).to_list())
        overlapping = [it for it in entries if it.start_ns < end_ns and it.end_ns is not None and it.end_ns > start_ns]
        return sorted(overlapping, key=lambda entry: (entry.start_ns, entry.uuid))

    async def ranges(self, start_ns: int, end_ns: int) -> list[tuple[int, int]]:
        """Give the times of all recordings that overlap a half-open range, in ns since 1970, sorted by start.

        Recordings of one fibre that adjoin are one range; ranges are whole, also where they reach out of the one asked
        for; one that is still being recorded ends now.
        """
        now_ns = time.time_ns()
        ended = [{"end_time": None}, {"end_time": {"$gte": date(start_ns - MILLISECOND)}}]
        wanted = {**_overlap(start_ns, end_ns), "$or": ended}
        spans = []
        async with self._asking() as database:
            for base in await _base_paths(database):
                found = await database[base.guid].find(wanted, dict.fromkeys(SPAN_FIELDS, 1)).to_list()
                spans += [Span.of(document, now_ns) for document in found]
        return joined(span for span in spans if span and span.start_ns < end_ns and span.end_ns > start_ns)

    async def deleted(self, base_path: Path, uuids: Iterable[str]) -> int:
        """Note that files are going to be deleted; give how many of them were entered."""
        guid = await self._guid(str(base_path.absolute()))
        async with self._asking() as database:
            wanted = {"uuid": {"$in": list(uuids)}}
            return (await database[guid].update_many(wanted, {"$set": {"deleted": True}})).matched_count

    async def close_stale(self, older_than_s: float = 86400) -> int:
        """Close recordings that were begun so long ago and never finished, which no file will ever follow.

        They end where they began and are deleted, so that nobody takes them for a whole file. Gives how many.
        """
        oldest = date(time.time_ns() - int(older_than_s * 1e9))
        closed = 0
        async with self._asking() as database:
            for base in await _base_paths(database):
                stale = await database[base.guid].find({"end_time": None, "start_time": {"$lt": oldest}}).to_list()
                closing = [_closing(document) for document in stale]
                if closing:
                    closed += (await database[base.guid].bulk_write(closing, ordered=False)).modified_count
        return closed

    async def unrecognized(self, base_path: Path, folder_name: str, file_count: int) -> None:
        """Note how many files of a folder are no recordings of ours; with none the note goes."""
        guid = await self._guid(str(base_path.absolute()))
        note = {"file_count": file_count, "update_time": date(time.time_ns())}
        async with self._asking() as database:
            folders = database[f"{guid}{_UNRECOGNIZED}"]
            if file_count:
                await folders.update_one({"folder_name": folder_name}, {"$set": note}, upsert=True)
            else:
                await folders.delete_many({"folder_name": folder_name})

    async def unrecognized_folders(self, base_path: Path) -> dict[str, int]:
        """Give how many files of each folder are noted as no recordings of ours."""
        guid = await self._guid(str(base_path.absolute()))
        async with self._asking() as database:
            found = await database[f"{guid}{_UNRECOGNIZED}"].find({}).to_list()
        return {str(document.get("folder_name")): int(document.get("file_count", 0)) for document in found}

    async def save_job(self, document: Mapping[str, Any]) -> None:
        """Write down a job, by its `job_id`, instead of what was there of it."""
        async with self._asking() as database:
            await _twice(
                lambda: database["jobs"].replace_one({"job_id": str(document["job_id"])}, document, upsert=True)
            )

    async def _guid(self, base_path: str) -> str:
        known = self._guids.get(base_path)
        return await self.base_path(Path(base_path)) if known is None else known

    @asynccontextmanager
    async def _asking(self) -> AsyncIterator[AsyncDatabase[Document]]:
        """Lend the database for commands that together get one deadline."""
        if self._client is None:
            raise CatalogueDown("The catalogue is closed; nothing can be asked any more.")
        try:
            with pymongo.timeout(self._answer_s):
                async with asyncio.timeout(self._answer_s + _MARGIN_S):
                    yield self._client[self.address.database]
        except (PyMongoError, BSONError, TimeoutError, OSError) as error:
            self._is("down", explain(error))
            raise CatalogueDown(self._state.detail) from None
        self._is("up", "MongoDB answers.")

    def _is(self, state: str, detail: str) -> None:
        if state != self._state.state:
            _log.info(f"catalogue.{state}", mongodb=str(self.address), detail=detail)
        self._state = Dependency(state=state, detail=detail)


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


def _overlap(start_ns: int, end_ns: int) -> Document:
    """Ask for what may overlap a range: dates are no finer than milliseconds, so the answer is looked at again."""
    return {**_LIVING, "start_time": {"$lte": date(end_ns)}}


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
