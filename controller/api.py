"""The controller's API: HTTP on a Unix socket that only its owner may open.

Answers are the views of `views`; a mistake is answered by `{"error": "one sentence"}` and 4xx.
Who can open the socket may do everything: there is no other authentication.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket as sockets
from collections.abc import AsyncIterator, Iterator
from ipaddress import IPv6Address
from pathlib import Path
from typing import Annotated, Any, Literal

import uvicorn
from fastapi import FastAPI, Query, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel, ConfigDict, Field, FiniteFloat

from p4cats import protocol
from p4cats.controller import prometheus
from p4cats.controller.controller import Controller
from p4cats.controller.desired import Availability, Policy
from p4cats.controller.errors import RequestRefused, SocketInUse
from p4cats.controller.flows import PROTOCOLS, Flow, Told
from p4cats.controller.keys import LAST_ID
from p4cats.controller.metrics import Report
from p4cats.controller.overview import Overview
from p4cats.controller.views import ExplainView, InstanceView, ServiceView, StatusView, TelemetryView
from p4cats.topologies.schema import Share

_U16, _U32 = (1 << 16) - 1, (1 << 32) - 1
Score = Annotated[int, Field(ge=0, le=10)]
Weight = Annotated[int, Field(ge=0, le=255)]
InstanceId = Annotated[int, Field(ge=1, lt=protocol.INSTANCES)]
Count = Annotated[int, Field(ge=0, le=_U32)]


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid")


class ServiceChange(_Body):
    """What PATCH /services/NAME changes; `weights` (by instance) matter to `static`."""

    policy: Policy | None = None
    compute_weight: Weight | None = None
    network_weight: Weight | None = None
    weights: dict[InstanceId, Annotated[int, Field(ge=0, le=_U16)]] = {}


class InstanceChange(_Body):
    """What PATCH /instances/ID changes."""

    state: Availability | None = None
    weight: Annotated[int, Field(ge=0, le=_U16)] | None = None
    segments: dict[str, str | None] = {}
    """Ingress switch to the switch by way of which it reaches the instance; null: the shortest way."""


class DelayChange(_Body):
    """A measured one-way delay between two switches; null: what the topology says."""

    delay_us: Count | None


class TelemetryChange(_Body):
    """What PATCH /telemetry changes."""

    on: bool | None = None
    flow_share: Share | None = None
    packet_share: Share | None = None
    services: Annotated[list[str], Field(min_length=1)] | None = None


class Metrics(BaseModel):
    """What an agent reports of one instance; units in the names, scores 0 to 10 (higher is better)."""

    model_config = ConfigDict(extra="ignore")  # metrics not understood are ignored (RFC 10054, R8)

    instance: InstanceId
    wait_us: Count
    in_flight: Count = 0
    run_queue_us: Count = 0
    power_mw: Count | None = None
    scores: dict[str, Score] = {}
    raw: dict[str, FiniteFloat | None] = {}
    """Raw metrics (p4cats.raw_metrics) that are known, and others that are not understood."""
    seq: Count = 0


class Steered(_Body):
    """What an agent reports of a host that steers."""

    revision: str
    """Of what it chooses from, "": nothing yet."""
    counts: dict[InstanceId, dict[str, int]]
    """Packets `steered` to each instance, and flows `placed` there."""
    stats: dict[str, int]
    """Other packets and options, by what became of them."""
    loads: dict[InstanceId, dict[Literal["wait_us", "age_us"], int | None]] = {}
    """What packets told it of instances; null: unknown."""

    def told(self) -> dict[int, Told]:
        """Return `loads` as the controller keeps them."""
        return {number: Told(load.get("wait_us"), load.get("age_us")) for number, load in self.loads.items()}


_Result = Annotated[str, Field(pattern="^[a-z_]{1,32}$")]


class Stamping(_Body):
    """What an agent's stamp programs did with packets."""

    agent: Annotated[str, Field(max_length=4096)]
    """What tells it from others."""
    packets: Annotated[dict[_Result, Annotated[int, Field(ge=0, lt=1 << 64)]], Field(max_length=64)]
    """So far, by result."""


class Reports(_Body):
    """The body of POST /metrics."""

    instances: list[Metrics]
    key_ids: dict[InstanceId, Annotated[int, Field(ge=0, le=LAST_ID)]] = {}
    """Key that each instance stamps with, 0: none yet."""
    fresh: list[InstanceId] = []
    """Instances without a sequence number: their next key must be a new one."""
    steering: dict[str, Steered] = {}
    """Hosts that steer, by name."""
    stamping: Stamping | None = None


def build(controller: Controller) -> FastAPI:
    """Return the application that serves a controller."""
    app = FastAPI(title="p4cats controller", docs_url=None, redoc_url=None)
    overview = Overview(controller)
    _add_metrics(app, overview)

    @app.exception_handler(RequestRefused)
    async def _refused(_request: Request, error: RequestRefused) -> JSONResponse:
        return JSONResponse({"error": str(error)}, status_code=error.status)

    @app.exception_handler(RequestValidationError)
    async def _invalid(_request: Request, error: RequestValidationError) -> JSONResponse:
        return JSONResponse({"error": "; ".join(_sentences(error))}, status_code=422)

    @app.get("/status", response_model=None)
    async def _status() -> StatusView:
        return await overview.status()

    @app.get("/services", response_model=None)
    async def _services() -> list[ServiceView]:
        return overview.services()

    @app.get("/instances", response_model=None)
    async def _instances() -> list[InstanceView]:
        return await overview.instances()

    @app.patch("/services/{name}", response_model=None)
    async def _set_service(name: str, change: ServiceChange) -> dict[str, Any]:
        for instance in change.weights:
            if controller.metrics.services.get(instance) != name:
                raise RequestRefused(400, f"instance {instance} is not of service {name}")
        controller.set_service(name, change.policy, change.compute_weight, change.network_weight)
        for instance, weight in change.weights.items():
            controller.set_instance(instance, weight=weight)
        return {"service": name}

    @app.patch("/instances/{instance}", response_model=None)
    async def _set_instance(instance: int, change: InstanceChange) -> dict[str, Any]:
        for ingress, segment in change.segments.items():
            if ingress not in controller.plan.switches:
                raise RequestRefused(404, f"no switch {ingress} here")
            controller.set_segment(ingress, instance, segment)
        controller.set_instance(instance, change.state, change.weight)
        return {"instance": instance}

    @app.put("/delays/{source}/{destination}", response_model=None)
    async def _set_delay(source: str, destination: str, change: DelayChange) -> dict[str, Any]:
        for name in (source, destination):
            if name not in controller.plan.switches:
                raise RequestRefused(404, f"no switch {name} here")
        controller.set_delay(source, destination, change.delay_us)
        return {"source": source, "destination": destination}

    @app.get("/telemetry", response_model=None)
    async def _telemetry() -> TelemetryView:
        return overview.telemetry()

    @app.patch("/telemetry", response_model=None)
    async def _set_telemetry(change: TelemetryChange) -> TelemetryView:
        controller.set_sampling(change.on, change.flow_share, change.packet_share, change.services)
        return overview.telemetry()

    @app.post("/metrics", response_model=None)
    async def _metrics(reports: Reports) -> dict[str, Any]:
        found = [Report.of(item.model_dump()) for item in reports.instances]
        keys = controller.hand_keys(reports.key_ids, reports.fresh) if reports.key_ids else {}
        views = {
            name: controller.hear_steering(name, item.revision, item.counts, item.stats, item.told())
            for name, item in reports.steering.items()
        }
        if reports.stamping is not None:
            controller.stamping.hear(reports.stamping.agent, reports.stamping.packets)
        return {
            "taken": controller.report(found),
            "keys": [
                {"instance": instance, "key_id": key.id, "key": key.octets.hex()}
                for instance, key in keys.items()
            ],
            "views": {name: view for name, view in views.items() if view is not None},
        }

    @app.post("/converged", response_model=None)
    async def _converged(timeout_s: Annotated[float, Query(gt=0, le=600)] = 30.0) -> dict[str, bool]:
        ended_by = [asyncio.ensure_future(wait) for wait in (controller.converged(), app.state.ending.wait())]
        try:
            await asyncio.wait(ended_by, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in ended_by:
                wait.cancel()
        return {"converged": controller.is_converged}

    @app.get("/explain", response_model=None)
    async def _explain(
        src: IPv6Address,
        dst: IPv6Address,
        protocol: str = "tcp",
        sport: Annotated[int, Query(ge=0, le=_U16)] = 0,
        dport: Annotated[int, Query(ge=0, le=_U16)] = 0,
    ) -> ExplainView:
        number = PROTOCOLS.get(protocol.lower(), int(protocol) if protocol.isdigit() else -1)
        if not 0 <= number <= 255:
            raise RequestRefused(400, f"protocol: {protocol} is not one of {', '.join(PROTOCOLS)}, 0 to 255")
        return await overview.explain(Flow(src, dst, number, sport, dport))

    return app


def _sentences(error: RequestValidationError) -> Iterator[str]:
    """Say what is wrong with a request, one phrase a field."""
    for item in error.errors():
        where = ".".join(str(part) for part in item["loc"][1:])
        given = item.get("input")
        shown = f" (got {given})" if isinstance(given, (str, int, float)) else ""
        yield f"{where or item['loc'][0]}: {item['msg'][0].lower()}{item['msg'][1:]}{shown}"


class _Server(uvicorn.Server):
    """A server that leaves signals to the program it is part of."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


@contextlib.asynccontextmanager
async def serve(controller: Controller, path: Path) -> AsyncIterator[None]:
    """Serve a controller's API on a Unix socket while the context lasts; the file goes with it."""
    listener = _listen(path)
    inode = path.stat().st_ino
    try:
        async with _served(build(controller), listener):
            yield
    finally:
        with contextlib.suppress(FileNotFoundError):
            if path.stat().st_ino == inode:
                path.unlink()


@contextlib.asynccontextmanager
async def serve_metrics(controller: Controller, host: str, port: int) -> AsyncIterator[None]:
    """Serve GET /metrics alone on a TCP address, as Prometheus wants it. Whoever reaches it may read."""
    app = FastAPI(title="p4cats metrics", docs_url=None, redoc_url=None, openapi_url=None)
    _add_metrics(app, Overview(controller))
    try:
        listener = sockets.create_server((host, port), family=_family(host))
    except OSError as error:
        raise SocketInUse(f"{host} port {port}: {error.strerror}; choose another for Prometheus") from None
    async with _served(app, listener):
        yield


def _family(host: str) -> sockets.AddressFamily:
    return sockets.AF_INET6 if ":" in host else sockets.AF_INET


def _add_metrics(app: FastAPI, overview: Overview) -> None:
    @app.get("/metrics")
    async def _metrics() -> Response:
        page = prometheus.exposition(await overview.status(), await overview.instances())
        return Response(page, media_type=prometheus.CONTENT_TYPE)


@contextlib.asynccontextmanager
async def _served(app: FastAPI, listener: sockets.socket) -> AsyncIterator[None]:
    config = uvicorn.Config(
        app, log_level="warning", log_config=None, lifespan="off", access_log=False,
        timeout_graceful_shutdown=1,
    )  # fmt: skip
    server = _Server(config)
    app.state.ending = asyncio.Event()
    task = asyncio.create_task(server.serve(sockets=[listener]))
    try:
        while not server.started and not task.done():
            await asyncio.sleep(0.01)
        if task.done():
            task.result()
        yield
    finally:
        app.state.ending.set()  # who waits for something gets an answer
        server.should_exit = True
        await asyncio.gather(task, return_exceptions=True)
        listener.close()


def _listen(path: Path) -> sockets.socket:
    """Return a socket that listens on a path, mode 0600; takes a dead controller's file away."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.is_socket():
        with sockets.socket(sockets.AF_UNIX) as probe:
            try:
                probe.connect(str(path))
            except OSError:
                path.unlink()
            else:
                raise SocketInUse(f"{path}: a controller answers there already; stop it first")
    listener = sockets.socket(sockets.AF_UNIX)
    try:
        # The mode is that of the file from its first moment: nobody gets in before a chmod.
        mask = os.umask(0o177)
        try:
            listener.bind(str(path))
        finally:
            os.umask(mask)
        listener.listen(64)
        listener.setblocking(False)
    except OSError as error:
        listener.close()
        raise SocketInUse(f"{path}: {error.strerror}; choose another path for the socket") from None
    return listener
