"""The P4Runtime service: RPCs and streams above arbitration, pipelines and the state store.

Everything runs in one event loop. Requests that write, set the pipeline or collect the answer of a read
take turns (`_turn`), in order of arrival: so Writes are strictly serialisable and a Read sees each Write
wholly or not at all. Within its turn a long request lets the loop forward packets every few milliseconds;
each single update is atomic to packets.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Any, TypeVar

import grpc
from finsy.proto import p4r

from p4cats.switch.arbitration import Arbitration
from p4cats.switch.batch import SLICE_S, SLICE_UPDATES, check_atomicity, write_batch
from p4cats.switch.errors import BatchError, Code, P4RuntimeError, invalid
from p4cats.switch.pipeline import Action, Pipelines, Program
from p4cats.switch.portstate import PortState
from p4cats.switch.roles import RoleConfig, written_ids
from p4cats.switch.store import Store
from p4cats.switch.streams import Streams
from p4cats.switch.target import Target
from p4cats.switch.wire import WriteRequest

logger = logging.getLogger("p4cats.switch")

API_VERSION = "1.4.1"

TIME_METADATA = "p4cats-time-us"
"""Trailing metadata of GetForwardingPipelineConfig: the time as packets see it now, where the data plane
tells (`time_us`). What registers hold can be a time, and means nothing to a reader (`p4cats trace`) without
the clock it belongs to; P4Runtime has no place for it."""

_REPLY_BYTES = 1 << 20
"""Size of one message of a read's answer: well below gRPC's 4 MB limit, large enough to be cheap."""

Request = TypeVar("Request")
Reply = TypeVar("Reply")
Context = grpc.aio.ServicerContext[Any, Any]

_STATUS = {code.value[0]: code for code in grpc.StatusCode}


class LoopClock:
    """Time and timers of the running event loop."""

    def now_ns(self) -> int:
        """Nanoseconds since the epoch."""
        return time.time_ns()

    def call_later(self, delay_s: float, callback: Callable[[], None]) -> asyncio.TimerHandle:
        """Call back after a delay."""
        return asyncio.get_running_loop().call_later(delay_s, callback)


class P4RuntimeService:
    """One device."""

    def __init__(
        self,
        device_id: int,
        target: Target,
        compile_config: Callable[[bytes], Program],
        ports: PortState,
        *,
        cpu_port: int = 510,
    ) -> None:
        self.arbitration = Arbitration(device_id)
        self._turn = asyncio.Lock()
        self.streams = Streams(self.arbitration, self._forwarding_store, self._turn)
        self.pipelines = Pipelines(
            target,
            compile_config,
            listener=self.streams,
            ports=ports,
            clock=LoopClock(),
            cpu_port=cpu_port,
        )

    def start_with(self, program: Program) -> None:
        """Run a program that no controller sent."""
        self.pipelines.set(Action.VERIFY_AND_COMMIT, program, None)

    def _forwarding_store(self) -> Store:
        pipeline = self.pipelines.forwarding
        return pipeline.store if pipeline is not None else self.pipelines.require().store

    # -- pipeline config -----------------------------------------------------------------------

    async def set_pipeline(
        self, request: p4r.SetForwardingPipelineConfigRequest
    ) -> p4r.SetForwardingPipelineConfigResponse:
        """SetForwardingPipelineConfig (section 7.1)."""
        self.arbitration.check_device(request.device_id)
        async with self._turn:
            election_id = request.election_id if request.HasField("election_id") else None
            role = self.arbitration.check_primary(request.role, election_id)
            role.check_pipeline(request.role)
            if request.action not in Action.values() or request.action == Action.UNSPECIFIED:
                raise invalid("the action is not set: VERIFY, VERIFY_AND_SAVE, VERIFY_AND_COMMIT, …")
            program = cookie = None
            if request.action == Action.COMMIT:
                if request.HasField("config"):
                    raise invalid("COMMIT takes no config: it commits the saved one")
            elif not request.HasField("config"):
                raise invalid(f"{Action.Name(request.action)} needs a config")
            else:
                # The compiler is a function of its input; beside the loop, packets flow while it works.
                program = await asyncio.to_thread(self.pipelines.compile, request.config)
                cookie = request.config.cookie.cookie if request.config.HasField("cookie") else None
            self.pipelines.set(request.action, program, cookie)
        return p4r.SetForwardingPipelineConfigResponse()

    async def get_pipeline(
        self, request: p4r.GetForwardingPipelineConfigRequest
    ) -> p4r.GetForwardingPipelineConfigResponse:
        """GetForwardingPipelineConfig (section 7.2)."""
        self.arbitration.check_device(request.device_id)
        reply = p4r.GetForwardingPipelineConfigResponse()
        pipeline = self.pipelines.configured
        if pipeline is None:
            return reply
        kind = p4r.GetForwardingPipelineConfigRequest
        if request.response_type not in kind.ResponseType.values():
            raise invalid(f"response_type {request.response_type} is unknown")
        reply.config.SetInParent()
        if pipeline.cookie is not None:
            reply.config.cookie.cookie = pipeline.cookie
        if request.response_type in (kind.ALL, kind.P4INFO_AND_COOKIE):
            reply.config.p4info.CopyFrom(pipeline.program.info)
        if request.response_type in (kind.ALL, kind.DEVICE_CONFIG_AND_COOKIE):
            reply.config.p4_device_config = pipeline.program.config
        return reply

    # -- entities ------------------------------------------------------------------------------

    async def write(self, request: Any) -> p4r.WriteResponse:
        """Write (section 12); the request is a `wire.WriteRequest`."""
        self.arbitration.check_device(request.device_id)
        async with self._turn:
            election_id = request.election_id if request.HasField("election_id") else None
            role = self.arbitration.check_primary(request.role, election_id)
            pipeline = self.pipelines.require()
            check_atomicity(request.atomicity, self.pipelines.atomic_batches)
            errors = await write_batch(request.updates, pipeline.store, role, request.role, request.atomicity)
        if errors:
            raise BatchError(errors, "updates")
        return p4r.WriteResponse()

    async def read(self, request: p4r.ReadRequest) -> AsyncIterator[bytes]:
        """Read (section 13): serialised ReadResponse messages.

        The answer is collected in one turn, so it is consistent; then it is sent in pieces.
        """
        self.arbitration.check_device(request.device_id)
        role = self.arbitration.check_role(request.role)
        async with self._turn:
            store = self.pipelines.require().store
            framed, errors = await self._collect(request, store, role)
        for chunk in _chunks(framed):
            yield chunk
        if any(errors):
            raise BatchError(errors, "entities of the read request")

    async def _collect(
        self, request: p4r.ReadRequest, store: Store, role: RoleConfig
    ) -> tuple[list[bytes], list[P4RuntimeError | None]]:
        framed: list[bytes] = []
        errors: list[P4RuntimeError | None] = []
        for entity in request.entities:
            error = None
            start = len(framed)
            until = time.perf_counter() + SLICE_S
            try:
                role.check_read(request.role, written_ids(entity))
                for item in store.read(entity, role.allows):
                    framed.append(item)
                    if not len(framed) % SLICE_UPDATES and time.perf_counter() >= until:
                        await asyncio.sleep(0)
                        until = time.perf_counter() + SLICE_S
            except P4RuntimeError as refused:
                del framed[start:]
                error = refused
            errors.append(error)
        return framed, errors

    async def capabilities(self, request: p4r.CapabilitiesRequest) -> p4r.CapabilitiesResponse:
        """Capabilities (section 18): device id 0 asks about the server."""
        if request.device_id:
            self.arbitration.check_device(request.device_id)
        return p4r.CapabilitiesResponse(p4runtime_api_version=API_VERSION)

    # -- events --------------------------------------------------------------------------------

    def port_changed(self, port: int) -> None:
        """A port went up or down."""
        self.pipelines.port_changed(port)

    def close(self) -> None:
        """Free the pipelines."""
        self.pipelines.close()

    # -- gRPC ----------------------------------------------------------------------------------

    def handler(self) -> grpc.GenericRpcHandler[Any, Any]:
        """The gRPC handler: the generated one, but Read's messages are serialised already."""
        unary, stream = grpc.unary_unary_rpc_method_handler, grpc.unary_stream_rpc_method_handler
        methods: dict[str, Any] = {
            "SetForwardingPipelineConfig": unary(
                _unary(self.set_pipeline),
                request_deserializer=p4r.SetForwardingPipelineConfigRequest.FromString,
                response_serializer=p4r.SetForwardingPipelineConfigResponse.SerializeToString,
            ),
            "GetForwardingPipelineConfig": unary(
                self._get_pipeline_rpc,
                request_deserializer=p4r.GetForwardingPipelineConfigRequest.FromString,
                response_serializer=p4r.GetForwardingPipelineConfigResponse.SerializeToString,
            ),
            "Write": unary(
                _unary(self.write),
                request_deserializer=WriteRequest.FromString,
                response_serializer=p4r.WriteResponse.SerializeToString,
            ),
            "Capabilities": unary(
                _unary(self.capabilities),
                request_deserializer=p4r.CapabilitiesRequest.FromString,
                response_serializer=p4r.CapabilitiesResponse.SerializeToString,
            ),
            "Read": stream(
                self._read_rpc, request_deserializer=p4r.ReadRequest.FromString, response_serializer=bytes
            ),
            "StreamChannel": grpc.stream_stream_rpc_method_handler(
                self._stream_rpc,
                request_deserializer=p4r.StreamMessageRequest.FromString,
                response_serializer=p4r.StreamMessageResponse.SerializeToString,
            ),
        }
        return grpc.method_handlers_generic_handler("p4.v1.P4Runtime", methods)

    async def _get_pipeline_rpc(
        self, request: p4r.GetForwardingPipelineConfigRequest, context: Context
    ) -> p4r.GetForwardingPipelineConfigResponse:
        pipeline = self.pipelines.forwarding
        time_us = getattr(pipeline.dataplane, "time_us", None) if pipeline is not None else None
        if time_us is not None:
            context.set_trailing_metadata(((TIME_METADATA, str(time_us())),))
        return await _unary(self.get_pipeline)(request, context)

    async def _read_rpc(self, request: p4r.ReadRequest, context: Context) -> AsyncIterator[bytes]:
        try:
            async for chunk in self.read(request):
                yield chunk
        except (P4RuntimeError, BatchError) as error:
            await _abort(context, error)
        except Exception as error:
            logger.exception("internal error in a read")
            await _abort(context, P4RuntimeError(Code.INTERNAL, f"internal error: {error!r}"))

    async def _stream_rpc(
        self, requests: AsyncIterator[p4r.StreamMessageRequest], context: Context
    ) -> AsyncIterator[p4r.StreamMessageResponse]:
        try:
            async for message in self.streams.serve(requests):
                yield message
        except P4RuntimeError as error:
            await _abort(context, error)


def _unary(method: Callable[[Request], Awaitable[Reply]]) -> Callable[[Request, Context], Awaitable[Reply]]:
    async def call(request: Request, context: Context) -> Reply:
        try:
            return await method(request)
        except (P4RuntimeError, BatchError) as error:
            await _abort(context, error)
            raise
        except Exception as error:
            logger.exception("internal error in %s", method)
            await _abort(context, P4RuntimeError(Code.INTERNAL, f"internal error: {error!r}"))
            raise

    return call


async def _abort(context: Context, error: P4RuntimeError | BatchError) -> None:
    if isinstance(error, P4RuntimeError):
        await context.abort(_STATUS[error.code], error.message)
    else:
        details = error.status().SerializeToString()
        metadata = (("grpc-status-details-bin", details),)
        await context.abort(grpc.StatusCode.UNKNOWN, error.message, trailing_metadata=metadata)


def _chunks(framed: Sequence[bytes]) -> list[bytes]:
    chunks = []
    start = size = 0
    for index, item in enumerate(framed):
        size += len(item)
        if size >= _REPLY_BYTES:
            chunks.append(b"".join(framed[start : index + 1]))
            start, size = index + 1, 0
    if start < len(framed) or not framed:
        chunks.append(b"".join(framed[start:]))
    return chunks


__all__ = ["API_VERSION", "TIME_METADATA", "LoopClock", "P4RuntimeService"]
