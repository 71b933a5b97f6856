"""A P4Runtime service on a loopback port of this process, over a target without ports."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import grpc
from switch_process import EVERYTHING

from p4cats.switch.modeltarget import ModelTarget
from p4cats.switch.pipeline import Program
from p4cats.switch.ports import Ports
from p4cats.switch.programs import compile_config, compile_pipeline
from p4cats.switch.server import Tls, start_server
from p4cats.switch.service import P4RuntimeService
from p4cats.switch.xdptarget import XdpTarget

TRANSIT = Path(__file__).parent.parent.parent / "p4src" / "transit.p4"


@cache
def everything() -> Program:
    return compile_pipeline(EVERYTHING)


@cache
def transit() -> Program:
    return compile_pipeline(TRANSIT)


def id_of(alias: str, program: Program | None = None) -> int:
    info = (program or everything()).info
    lists: tuple[Any, ...] = (
        info.tables,
        info.actions,
        info.counters,
        info.registers,
        info.digests,
        info.value_sets,
    )
    return next(o.preamble.id for objects in lists for o in objects if o.preamble.alias == alias)


@dataclass
class Served:
    """Where it is, and its parts."""

    address: str
    service: P4RuntimeService
    target: ModelTarget | XdpTarget

    def receive(self, port: int, frame: bytes) -> None:
        """Let a frame come in by a port."""
        pipeline: Any = self.service.pipelines.forwarding
        pipeline.dataplane.process(port, frame)


@asynccontextmanager
async def served(
    program: Program | None = None, tls: Tls | None = None, host: str = "127.0.0.1", target: str = "model"
) -> AsyncIterator[Served]:
    ports = Ports([])
    made = XdpTarget(ports, 510) if target == "xdp" else ModelTarget(ports, 510)
    service = P4RuntimeService(1, made, compile_config, ports)
    if program is not None:
        service.start_with(program)
    server, port = await start_server(service, f"{host}:0", tls)
    try:
        yield Served(f"{host}:{port}", service, made)
    finally:
        await server.stop(0)
        service.close()


def run(test: Callable[[], Awaitable[None]]) -> None:
    """Run an asynchronous test."""
    asyncio.run(test())  # type: ignore[arg-type]  # a coroutine function in every use


async def status(call: Awaitable[object]) -> grpc.aio.AioRpcError:
    """The error that a call ends with."""
    try:
        await call
    except grpc.aio.AioRpcError as error:
        return error
    raise AssertionError("the call succeeded")


async def code(call: Awaitable[object]) -> str:
    """The name of the status that a call ends with."""
    try:
        await call
    except grpc.aio.AioRpcError as error:
        return error.code().name if error.details() else "a status without a reason"
    return "OK"
