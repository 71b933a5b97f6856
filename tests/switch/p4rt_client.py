"""A bare P4Runtime client on generated stubs: shows exactly what went over the wire."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import grpc
from finsy.proto import p4i, p4r, p4r_grpc, rpc_status

LIMITS = [("grpc.max_metadata_size", 4 << 20), ("grpc.absolute_max_metadata_size", 8 << 20)]


class Client:
    """One channel with at most one stream."""

    def __init__(self, address: str, credentials: grpc.ChannelCredentials | None = None) -> None:
        if credentials is None:
            self.channel = grpc.aio.insecure_channel(address, options=LIMITS)
        else:
            self.channel = grpc.aio.secure_channel(address, credentials, options=LIMITS)
        self.stub: Any = p4r_grpc.P4RuntimeStub(self.channel)
        self.stream: Any = None
        self.election_id = 0
        self.role = ""

    # -- stream --------------------------------------------------------------------------------

    async def send(self, **message: object) -> None:
        if self.stream is None:
            self.stream = self.stub.StreamChannel()
        await self.stream.write(p4r.StreamMessageRequest(**message))

    async def receive(self, kind: str, timeout_s: float = 15) -> Any:
        """The next message of a kind; others before it are passed over."""

        async def find() -> Any:
            while True:
                message = await self.stream.read()
                assert message is not grpc.aio.EOF, "the stream ended"
                if message.WhichOneof("update") == kind:
                    return getattr(message, kind)

        return await asyncio.wait_for(find(), timeout_s)

    async def arbitrate(
        self, election_id: int | None, device_id: int = 1, role: str = "", config: Any = None
    ) -> p4r.MasterArbitrationUpdate:
        """Send an arbitration update and return the answer to it."""
        update = p4r.MasterArbitrationUpdate(device_id=device_id)
        if role or config is not None:
            update.role.name = role
        if config is not None:
            update.role.config.Pack(config)
        if election_id is not None:
            update.election_id.CopyFrom(p4r.Uint128(high=election_id >> 64, low=election_id & (1 << 64) - 1))
            self.election_id = election_id
        self.role = role
        await self.send(arbitration=update)
        reply: p4r.MasterArbitrationUpdate = await self.receive("arbitration")
        return reply

    async def stream_status(self, timeout_s: float = 15) -> grpc.StatusCode:
        """How the stream ended."""
        code: grpc.StatusCode = await asyncio.wait_for(self.stream.code(), timeout_s)
        return code

    async def hang_up(self) -> None:
        """End the stream as a controller does that goes away."""
        await self.stream.done_writing()
        await self.stream.code()
        self.stream = None

    # -- requests ------------------------------------------------------------------------------

    def write_request(self, *updates: p4r.Update, **fields: Any) -> p4r.WriteRequest:
        return p4r.WriteRequest(
            **{"device_id": 1, "role": self.role, "election_id": self.uint128(), "updates": updates, **fields}
        )

    def uint128(self) -> p4r.Uint128:
        return p4r.Uint128(high=self.election_id >> 64, low=self.election_id & (1 << 64) - 1)

    async def write(self, *updates: p4r.Update, **fields: Any) -> None:
        await self.stub.Write(self.write_request(*updates, **fields))

    async def insert(self, *entries: p4r.TableEntry) -> None:
        await self.write(
            *(p4r.Update(type=p4r.Update.INSERT, entity=p4r.Entity(table_entry=e)) for e in entries)
        )

    async def read(self, *entities: p4r.Entity, device_id: int = 1, role: str = "") -> list[p4r.Entity]:
        found: list[p4r.Entity] = []
        request = p4r.ReadRequest(device_id=device_id, role=role, entities=entities)
        async for reply in self.stub.Read(request):
            found.extend(reply.entities)
        return found

    async def set_pipeline(
        self, action: str, config: bytes = b"", info: p4i.P4Info | None = None, **fields: Any
    ) -> None:
        request = p4r.SetForwardingPipelineConfigRequest(
            device_id=1,
            role=self.role,
            election_id=self.uint128(),
            action=p4r.SetForwardingPipelineConfigRequest.Action.Value(action),
        )
        if config or info is not None:
            request.config.p4_device_config = config
        if info is not None:
            request.config.p4info.CopyFrom(info)
        if "cookie" in fields:
            request.config.cookie.cookie = fields["cookie"]
        await self.stub.SetForwardingPipelineConfig(request)

    async def get_pipeline(
        self, kind: str = "ALL", device_id: int = 1
    ) -> p4r.ForwardingPipelineConfig | None:
        response_type = p4r.GetForwardingPipelineConfigRequest.ResponseType.Value(kind)
        request = p4r.GetForwardingPipelineConfigRequest(device_id=device_id, response_type=response_type)
        reply = await self.stub.GetForwardingPipelineConfig(request)
        return reply.config if reply.HasField("config") else None


@asynccontextmanager
async def client(address: str, credentials: grpc.ChannelCredentials | None = None) -> AsyncIterator[Client]:
    made = Client(address, credentials)
    try:
        yield made
    finally:
        if made.stream is not None:
            made.stream.cancel()
        await made.channel.close()


def error_details(error: grpc.aio.AioRpcError) -> list[p4r.Error]:
    """The `p4.v1.Error` of each update."""
    for key, value in error.trailing_metadata() or ():
        if key == "grpc-status-details-bin":
            status = rpc_status.Status.FromString(value)
            found = []
            for detail in status.details:
                message = p4r.Error()
                assert detail.Unpack(message)
                found.append(message)
            return found
    return []
