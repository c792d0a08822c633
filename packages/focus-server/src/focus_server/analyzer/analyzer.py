"""The analyzer put together: one process that owns a ring of samples and all jobs on it."""

import asyncio
import signal
from functools import partial
from typing import TYPE_CHECKING

import structlog

from focus_server.analyzer.commands import CommandListener
from focus_server.analyzer.commands.orders import Orders
from focus_server.analyzer.control import Control
from focus_server.analyzer.control_server import ControlServer, control_socket
from focus_server.analyzer.engine import Engine
from focus_server.analyzer.feed import Feed
from focus_server.analyzer.fibre import Fibre
from focus_server.analyzer.intake import Intake
from focus_server.analyzer.jobs import Jobs
from focus_server.analyzer.journal import Journal
from focus_server.analyzer.kernel import kernel_name
from focus_server.analyzer.making import JobMaker
from focus_server.analyzer.store import JobStore
from focus_server.fiber.broker import BrokerAddress
from focus_server.lock import only_one
from focus_server.settings import AnalyzerSettings

if TYPE_CHECKING:
    from focus_server.recordings.catalogue import Catalogue

_log = structlog.get_logger()


class Analyzer:
    """Everything that one analyzer consists of, wired together."""

    def __init__(self, settings: AnalyzerSettings) -> None:
        self._settings = settings
        self._broker = BrokerAddress(settings.amqp_url.get_secret_value())
        store = JobStore(settings.state_dir / "jobs")
        feed = Feed(settings.ring_samples, settings.give_up_s, self._fibre_is)
        self._journal = Journal(_catalogue(settings))
        self._jobs = Jobs(settings, feed, store, self._journal)
        self._engine = Engine(feed, self._jobs.live)
        self._maker = JobMaker(settings, feed, self._jobs, store, self._engine.wake)
        self._jobs.tally.threads("live", self._engine.worker)
        self._jobs.tally.threads("historic", self._maker.history)
        self._intake = Intake(self._broker, settings.site, feed, self._engine.wake)
        orders = Orders(self._jobs, feed, settings.compute_cores)
        self._commands = CommandListener(self._broker, settings.site, self._jobs, orders)
        self._control = Control(feed, self._intake, self._jobs, self._maker)

    async def run(self) -> signal.Signals | None:
        """Take up earlier jobs, then listen, read the fibre and make rows until a signal comes, and give that.

        Raises `FocusError` when the state folder or the socket belongs to another analyzer.
        """
        settings = self._settings
        with (
            only_one(settings.state_dir, "lock", "analyzer", "--state-dir"),
            control_socket(settings.analyzer_socket) as listener,
        ):
            reopened = await self._maker.reopen()
            ready = partial(_log.info, "analyzer.ready", site=settings.site, jobs=reopened, kernel=kernel_name())
            server = ControlServer(self._control.app, listener, ready)
            try:
                async with asyncio.TaskGroup() as tasks:
                    journal = self._journal.run(self._jobs.states)
                    work = (
                        self._engine.run(),
                        self._intake.run(),
                        self._commands.run(),
                        self._jobs.expire(),
                        journal,
                    )
                    background = [tasks.create_task(task) for task in work]
                    await server.until_signal()
                    for task in background:
                        task.cancel()
            finally:
                await self._jobs.close()
                self._maker.close()
            _log.info("analyzer.stopped", signal=server.signal.name if server.signal else None)
            return server.signal

    def _fibre_is(self, fibre: Fibre) -> None:
        self._jobs.fibre_is(fibre)


def _catalogue(settings: AnalyzerSettings) -> "Catalogue | None":
    if settings.mongo_url is None:
        return None
    # MongoDB's driver is not loaded where there is no MongoDB.
    from focus_server.recordings.address import MongoAddress
    from focus_server.recordings.catalogue import Catalogue

    return Catalogue(MongoAddress(settings.mongo_url.get_secret_value()))
