"""The supervisor's HTTP interface on its UNIX socket: the state, acts on components and links, and leases."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import asdict, fields
from pathlib import Path
from typing import Annotated, Any

import uvicorn
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from fullspan.errors import FullspanError, UsageError, nearest
from fullspan.stack.links import Link
from fullspan.stack.proxy import Toxics
from fullspan.stack.running import RunningStack
from fullspan.stack.shortages import KINDS, Shortage
from fullspan.stack.sockets import listen

__all__ = ["Control", "ControlServer"]

_ACTS = ("hang", "resume", "kill", "stop", "start")
_LEASE = "X-Lease"
_TOXICS = TypeAdapter(Toxics)


class NewLink(BaseModel):
    """What POST /links takes."""

    model_config = ConfigDict(extra="forbid")

    id: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_-]{0,39}$")]
    host: str
    port: Annotated[int, Field(ge=1, le=65535)]


class Control:
    """The routes, as methods on one running stack."""

    def __init__(self, stack: RunningStack, stop: Callable[[], object], let_go: Callable[[], object]) -> None:
        self._stack = stack
        self._stop = stop
        self._let_go = let_go
        self.closing = asyncio.Event()
        self._healing: set[asyncio.Future[None]] = set()

    async def state(self, _request: Request) -> Response:
        """Answer what state.json holds, and not a moment older."""
        return Response(self._stack.state().model_dump_json(by_alias=True), media_type="application/json")

    async def secrets(self, _request: Request) -> Response:
        """Answer the values that have to be taken out of logs before they go anywhere."""
        return JSONResponse(self._stack.plan.secrets.values)

    async def stop(self, _request: Request) -> Response:
        """Begin to take the stack down."""
        self._stop()
        return JSONResponse({}, 202)

    async def detach(self, _request: Request) -> Response:
        """Keep the stack up when its owner goes."""
        self._let_go()
        return JSONResponse({})

    async def processes(self, request: Request) -> Response:
        """Answer the processes of a component."""
        component = self._stack.component(request.path_params["id"])
        return JSONResponse([asdict(process) for process in await asyncio.to_thread(component.processes)])

    async def act(self, request: Request) -> Response:
        """Hang, resume, kill, stop or start a component; answer when it is true."""
        name, what = request.path_params["id"], request.path_params["act"]
        component = self._stack.component(name)
        if what not in _ACTS:
            raise UsageError(f"A component cannot be asked to {what!r}.", nearest(what, _ACTS))
        await self._stack.act(name, what, request.headers.get(_LEASE))
        return JSONResponse(component.state().model_dump())

    async def shortages(self, request: Request) -> Response:
        """Answer what a component is short of, and what that has done so far."""
        component = self._stack.component(request.path_params["id"])
        return JSONResponse({kind: dict(seen) for kind, seen in self._stack.shortages.seen(component.id).items()})

    async def begin_shortage(self, request: Request) -> Response:
        """Make a component short of something; answer when it is."""
        name, kind = request.path_params["id"], request.path_params["kind"]
        if kind not in KINDS:
            raise UsageError(f"A component cannot be made short of {kind!r}.", nearest(kind, list(KINDS)))
        await self._stack.begin_shortage(name, _shortage(kind, await _json(request)), request.headers.get(_LEASE))
        return await self.shortages(request)

    async def end_shortage(self, request: Request) -> Response:
        """Give a component back what it is short of."""
        await self._stack.end_shortage(request.path_params["id"], request.path_params["kind"])
        return await self.shortages(request)

    async def link(self, request: Request) -> Response:
        """Answer where a link listens and leads, what is asked of it, and its counters."""
        link = self._stack.links[request.path_params["id"]]
        return JSONResponse(
            link.state().model_dump(by_alias=True)
            | {
                "toxics": asdict(link.toxics),
                "layers": {name: asdict(toxics) for name, toxics in link.layers.items()},
                "counters": asdict(link.counters()),
            }
        )

    async def set_toxics(self, request: Request) -> Response:
        """Make a link bad: as a whole, or with one more layer of its own name."""
        lease = request.headers.get(_LEASE)
        self._stack.leases.check(lease)
        link = self._stack.links[request.path_params["id"]]
        layer = request.path_params.get("layer", "")
        toxics = _toxics(await _json(request))
        thing = _layer_of(link.id, layer)
        self._stack.leases.broke(lease, thing, lambda: _clear(link, layer))
        try:
            link.set_toxics(toxics, layer)
        except FullspanError:
            self._stack.leases.spared(lease, thing)
            raise
        return await self.link(request)

    async def clear_toxics(self, request: Request) -> Response:
        """Make a link clear again, whoever made it bad; with a layer's name, take only that one away."""
        link = self._stack.links[request.path_params["id"]]
        layer = request.path_params.get("layer")
        gone = list(link.layers) if layer is None else [layer]
        if layer is None:
            link.clear()
        else:
            link.clear_toxics(layer)
        for name in gone:
            self._stack.leases.healed(_layer_of(link.id, name))
        return await self.link(request)

    async def new_link(self, request: Request) -> Response:
        """Lead a link to an address that exists only since the stack runs."""
        try:
            new = NewLink.model_validate(await _json(request))
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            raise UsageError(f"The new link's {'.'.join(map(str, first['loc']))}: {first['msg']}.") from None
        host, port = await self._stack.links.lead(new.id, new.host, new.port)
        self._stack.write_state()
        return JSONResponse({"id": new.id, "listen": [host, port]})

    async def lease(self, _request: Request) -> Response:
        """Grant a lease that lasts as long as the client reads the answer."""
        lease = self._stack.leases.grant()

        async def as_long_as_it_is_read() -> AsyncIterator[bytes]:
            try:
                yield f'{{"lease": "{lease}"}}\n'.encode()
                await self.closing.wait()
            finally:
                self._end(lease)

        return StreamingResponse(as_long_as_it_is_read(), media_type="application/x-ndjson")

    def _end(self, lease: str) -> None:
        """Heal what was broken under a lease, unless all of the stack is going."""
        if not self.closing.is_set():
            ended = asyncio.ensure_future(self._stack.end_lease(lease))
            self._healing.add(ended)
            ended.add_done_callback(self._healing.discard)

    async def aclose(self) -> None:
        """End all leases without healing anything any more."""
        self.closing.set()
        for healing in self._healing:
            healing.cancel()
        if self._healing:
            await asyncio.wait(self._healing)


async def _json(request: Request) -> dict[str, Any]:
    try:
        body = await request.json()
    except ValueError:
        body = None
    if not isinstance(body, dict):
        raise UsageError("The body is no JSON object.")
    return body


def _toxics(body: dict[str, Any]) -> Toxics:
    known = [field.name for field in fields(Toxics)]
    for name in body:
        if name not in known:
            raise UsageError(f"There is no toxic {name!r}.", nearest(name, known))
    try:
        return _TOXICS.validate_python(body)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = "".join(f"{part}: " for part in first["loc"])
        what = first["msg"].removeprefix("Value error, ")
        raise UsageError(f"These toxics cannot be meant: {place}{what}.") from None


def _shortage(kind: str, body: dict[str, Any]) -> Shortage:
    usual = {field.name: field.default for field in fields(KINDS[kind]) if field.init}  # type: ignore[arg-type]
    for name, value in body.items():
        if name not in usual:
            raise UsageError(f"A shortage of {kind} knows no {name!r}.", nearest(name, usual))
        fits = (int, float) if isinstance(usual[name], float) else type(usual[name])
        if isinstance(value, bool) or not isinstance(value, fits):
            raise UsageError(f"This shortage of {kind} cannot be meant: {name} is {value!r}, not like {usual[name]!r}.")
    try:
        return KINDS[kind](**body)
    except ValueError as error:
        raise UsageError(f"This shortage of {kind} cannot be meant: {error}.") from None


def _layer_of(link: str, layer: str) -> str:
    return f"link {link}" + (f" of {layer}" if layer else "")


async def _clear(link: Link, layer: str) -> None:
    link.clear_toxics(layer)


async def _refuse(_request: Request, error: Exception) -> Response:
    """Answer an error as one sentence and what to do: 404 and 422 for the asker, 409 for the stack."""
    assert isinstance(error, FullspanError)  # noqa: S101 - it is registered for these
    status = 422 if isinstance(error, UsageError) else 409
    return JSONResponse({"error": error.message, "remedy": error.remedy, "type": type(error).__name__}, status)


def control_app(control: Control) -> Starlette:
    """Return the application of one stack's control interface."""
    return Starlette(
        routes=[
            Route("/state", control.state),
            Route("/secrets", control.secrets),
            Route("/stop", control.stop, methods=["POST"]),
            Route("/detach", control.detach, methods=["POST"]),
            Route("/components/{id}/processes", control.processes),
            Route("/components/{id}/shortages", control.shortages),
            Route("/components/{id}/shortages/{kind}", control.begin_shortage, methods=["PUT"]),
            Route("/components/{id}/shortages/{kind}", control.end_shortage, methods=["DELETE"]),
            Route("/components/{id}/{act}", control.act, methods=["POST"]),
            Route("/links", control.new_link, methods=["POST"]),
            Route("/links/{id}", control.link),
            Route("/links/{id}/toxics", control.set_toxics, methods=["PUT"]),
            Route("/links/{id}/toxics", control.clear_toxics, methods=["DELETE"]),
            Route("/links/{id}/toxics/{layer}", control.set_toxics, methods=["PUT"]),
            Route("/links/{id}/toxics/{layer}", control.clear_toxics, methods=["DELETE"]),
            Route("/leases", control.lease, methods=["POST"]),
        ],
        exception_handlers={FullspanError: _refuse},
    )


class _Server(uvicorn.Server):
    """A server that leaves the process's signals alone: they are the supervisor's."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class ControlServer:
    """Serves the control interface from `start` until `aclose`."""

    def __init__(self, control: Control, path: Path) -> None:
        self._control = control
        self._listener = listen(path)
        config = uvicorn.Config(
            control_app(control), lifespan="off", http="h11", ws="none", log_config=None, access_log=False,
            timeout_graceful_shutdown=2,
        )  # fmt: skip
        self._server = _Server(config)
        self._serving = asyncio.create_task(self._server.serve(sockets=[self._listener]), name="control")

    async def aclose(self) -> None:
        """End all leases and all answers, and serve no more."""
        await self._control.aclose()
        self._server.should_exit = True
        await asyncio.wait({self._serving})
        self._listener.close()
