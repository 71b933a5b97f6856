"""A P4Runtime server that stores what it is told, with P4Info of the tables that the controller fills.

Small on purpose: it checks nothing that the controller's tests do not need. Names and shapes are those
of p4src; ids are arbitrary.
"""

import asyncio
import contextlib
import json
from collections import Counter
from pathlib import Path

import grpc
from finsy import pbutil
from finsy.proto import U128, p4i, p4r, p4r_grpc, rpc_code, rpc_status

from p4cats import switch_status

EXACT, LPM, TERNARY = p4i.MatchField.EXACT, p4i.MatchField.LPM, p4i.MatchField.TERNARY
ADJACENCY = {"port": 9, "source": 48, "neighbor": 48}
SERVICE = {
    "id": 16, "policy": 2, "compute_weight": 8, "network_weight": 8, "total_weight": 32, "load_ttl_us": 48,
    "dead_after_us": 48, "affinity_timeout_us": 48, "spread_us": 24,
}  # fmt: skip
CONSIDER = {"instance_id": 16, "static_weight": 16, "delay_us": 24, "wait_us": 24, "step_us": 24}
WATCHED = {
    "source": (128, TERNARY), "destination": (128, TERNARY), "protocol": (8, TERNARY),
    "source_port": (16, TERNARY), "destination_port": (16, TERNARY),
}  # fmt: skip
SAMPLE = {
    "instructions": 16, "decision": 1, "hops": 8, "flow_limit": 16, "packet_limit": 16, "domain_mtu": 16,
}  # fmt: skip
REPORT = {"source": 48, "neighbor": 48, "router": 128, "collector": 128, "node_id": 32}
STEER = {"steer": {"headend": 128, "sid": 128}, "steer_via": {"headend": 128, "via": 128, "sid": 128}}
REGISTERS = {"load_wait_us": 32, "load_time_us": 48, "service_flows": 64, "flow_entries": 64}
ROUTES = {"forward": ADJACENCY | {"mtu": 16}, "deliver": ADJACENCY | {"mtu": 16}}
TRANSIT = {
    "forwarding.routes": ({"destination": (128, LPM)}, ROUTES),
    "segment_endpoint.local_sids": ({"sid": (128, EXACT)}, {"end": {}, "end_dx6": ADJACENCY}),
    "int_node.int_nodes": ({"version": (4, EXACT)}, {"node": {"node_id": 32, "domain_mtu": 16}}),
}
EDGE = TRANSIT | {
    "neighbor_discovery.addresses": (
        {"port": (9, EXACT), "target": (128, EXACT)},
        {"advertise": {"mac": 48}},
    ),
    "domain_edge.host_ports": ({"port": (9, EXACT)}, {"host_port": {"watched": 1}}),
    "services": ({"address": (128, EXACT)}, {"classify": SERVICE, "own_address": {}}),
    "steering.instances": ({"instance": (16, EXACT)}, STEER | {"steer_local": ADJACENCY}),
    "steering.living": ({"instance": (16, EXACT)}, {"NoAction": {}}),
    "learn_metric.metric_keys": (
        {"instance": (32, EXACT), "key_id": (8, EXACT)},
        {"authenticate": {"key_0": 32, "key_1": 32, "source": 128}, "trust": {"source": 128}},
    ),
    "learn_metric.metric_options": ({"option_type": (8, EXACT)}, {"blank": {}, "remove": {}}),
    "int_source.int_watchlist": (WATCHED, {"sample": SAMPLE}),
    "int_report.int_collector": ({"version": (4, EXACT)}, {"report": REPORT}),
} | {
    f"steering.selection.c{n}.candidates": ({"service_id": (16, EXACT)}, {f"c{n}.consider": CONSIDER})
    for n in range(8)
}  # fmt: skip


def p4info(tables=EDGE):
    info = p4i.P4Info()
    actions = {}
    for number, (name, (match, table_actions)) in enumerate(tables.items(), 1):
        alias = ".".join(name.split(".")[-2:]) if "candidates" in name else name.split(".")[-1]
        table = info.tables.add(size=1024)
        table.preamble.CopyFrom(p4i.Preamble(id=0x02000000 | number, name=f"EdgeIngress.{name}", alias=alias))
        for field, (key, (width, kind)) in enumerate(match.items(), 1):
            table.match_fields.add(id=field, name=key, bitwidth=width, match_type=kind)
        for action, params in table_actions.items():
            if action not in actions:
                actions[action] = 0x01000000 | len(actions) + 1
                added = info.actions.add()
                added.preamble.CopyFrom(p4i.Preamble(id=actions[action], name=action, alias=action))
                for index, (param, width) in enumerate(params.items(), 1):
                    added.params.add(id=index, name=param, bitwidth=width)
            table.action_refs.add(id=actions[action])
    fields = {"packet_in": {"_pad": 7, "ingress_port": 9, "reason": 8, "mtu": 16},
              "packet_out": {"_pad": 7, "egress_port": 9}}  # fmt: skip
    for number, (name, header) in enumerate(fields.items(), 1):
        added = info.controller_packet_metadata.add()
        added.preamble.CopyFrom(p4i.Preamble(id=0x04000000 | number, name=name, alias=name))
        for index, (field, width) in enumerate(header.items(), 1):
            added.metadata.add(id=index, name=field, bitwidth=width)
    for number, name in enumerate(("steered", "placed", "drops", "metrics"), 1):
        counter = info.counters.add(size=1024, spec=p4i.CounterSpec(unit=p4i.CounterSpec.PACKETS))
        counter.preamble.CopyFrom(p4i.Preamble(id=0x12000000 | number, name=name, alias=name))
    for number, (name, width) in enumerate(REGISTERS.items(), 1):
        register = info.registers.add(size=524288)
        register.preamble.CopyFrom(p4i.Preamble(id=0x16000000 | number, name=name, alias=name))
        register.type_spec.bitstring.bit.bitwidth = width
    return info


def write_program(directory: Path, name: str, tables, blob: bytes = b"program"):
    from p4cats.controller.switches import PipelineFiles

    info, program = directory / f"{name}.p4info.txtpb", directory / f"{name}.p4"
    info.write_text(pbutil.to_text(p4info(tables)))
    program.write_bytes(blob)
    return PipelineFiles(info, program)


class FakeSwitch(p4r_grpc.P4RuntimeServicer):
    """One switch. What it holds survives `stop` and `start` unless `forget` is called."""

    def __init__(self, device_id=1):
        self.device_id = device_id
        self.port = 0
        self.refuse_tables = set()
        self.history = []
        self.registers = None
        """Cells by register and index; None: not readable, as on bmv2."""
        self.status = None
        """What p4cats.Switch/Status answers; None: there is no such method, as on bmv2."""
        self.forget()
        self._server = None

    def forget(self):
        self.config = None
        self.table = {}
        self.highest = None
        self.streams = {}
        self.packets_out = asyncio.Queue()
        self.pushes = 0
        self.requests = Counter()

    async def _status(self, _request, context):
        if self.status is None:
            await context.abort(grpc.StatusCode.UNIMPLEMENTED, "Method not found!")
        return json.dumps(self.status).encode()

    @property
    def address(self):
        return f"127.0.0.1:{self.port}"

    async def start(self):
        self._server = grpc.aio.server()
        p4r_grpc.add_P4RuntimeServicer_to_server(self, self._server)
        methods = {switch_status.METHOD: grpc.unary_unary_rpc_method_handler(self._status)}
        handler = grpc.method_handlers_generic_handler(switch_status.SERVICE, methods)
        self._server.add_generic_rpc_handlers((handler,))
        self.port = self._server.add_insecure_port(f"127.0.0.1:{self.port}")
        assert self.port
        await self._server.start()

    async def stop(self):
        await self._server.stop(None)
        self.highest, self.streams = None, {}

    @contextlib.asynccontextmanager
    async def running(self):
        await self.start()
        try:
            yield self
        finally:
            await self.stop()

    async def StreamChannel(self, requests, context):  # noqa: N802
        mine, election_id = asyncio.Queue(), None

        async def receive():
            nonlocal election_id
            async for request in requests:
                if request.HasField("packet"):
                    self.packets_out.put_nowait(request.packet)
                    continue
                wanted = U128.decode(request.arbitration.election_id)
                if wanted in self.streams and self.streams[wanted] is not mine:
                    await context.abort(grpc.StatusCode.INVALID_ARGUMENT, "Election id already exists")
                self.streams.pop(election_id, None)
                election_id = wanted
                self.streams[wanted] = mine
                self.highest = max(self.highest or 0, wanted)
                self._notify()

        task = asyncio.create_task(receive())
        try:
            while True:
                getter = asyncio.create_task(mine.get())
                await asyncio.wait({getter, task}, return_when=asyncio.FIRST_COMPLETED)
                if not getter.done():
                    getter.cancel()
                    return
                await context.write(getter.result())
        finally:
            task.cancel()
            if self.streams.get(election_id) is mine:
                del self.streams[election_id]
                self._notify()

    def _notify(self):
        for election_id, queue in self.streams.items():
            code = rpc_code.ALREADY_EXISTS if self.highest in self.streams else rpc_code.NOT_FOUND
            update = p4r.MasterArbitrationUpdate(
                device_id=self.device_id,
                election_id=U128.encode(self.highest),
                status=rpc_status.Status(code=rpc_code.OK if election_id == self.highest else code),
            )
            queue.put_nowait(p4r.StreamMessageResponse(arbitration=update))

    def punt(self, frame, ingress_port=1, reason=1, mtu=0):
        packet = p4r.PacketIn(payload=frame)
        for number, value in enumerate((0, ingress_port, reason, mtu), 1):
            packet.metadata.add(
                metadata_id=number, value=bytes([value >> 8, value & 255]).lstrip(b"\0") or b"\0"
            )
        self.streams[self.highest].put_nowait(p4r.StreamMessageResponse(packet=packet))

    async def GetForwardingPipelineConfig(self, request, context):  # noqa: N802
        self.requests["get"] += 1
        answer = p4r.GetForwardingPipelineConfigResponse()
        if self.config is not None:
            answer.config.cookie.CopyFrom(self.config.cookie)
        return answer

    async def SetForwardingPipelineConfig(self, request, context):  # noqa: N802
        if U128.decode(request.election_id) != self.highest:
            await context.abort(grpc.StatusCode.PERMISSION_DENIED, "not primary")
        if request.config.p4_device_config == b"bad program":
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, "edge.p4:1:1: error: no program")
        self.config, self.table = request.config, {}
        self.pushes += 1
        return p4r.SetForwardingPipelineConfigResponse()

    async def Read(self, request, context):  # noqa: N802
        self.requests["read"] += 1
        answer = p4r.ReadResponse()
        for entity in request.entities:
            if entity.HasField("counter_entry"):
                cell = answer.entities.add()
                cell.CopyFrom(entity)
                cell.counter_entry.data.packet_count = 7
            elif entity.HasField("register_entry") and self.registers is not None:
                cell = answer.entities.add()
                cell.CopyFrom(entity)
                register = list(REGISTERS)[(entity.register_entry.register_id & 0xFF) - 1]
                value = self.registers.get((register, entity.register_entry.index.index), 0)
                cell.register_entry.data.bitstring = value.to_bytes(8, "big").lstrip(b"\0") or b"\0"
            elif entity.HasField("packet_replication_engine_entry"):
                pass  # it has no clone sessions
            elif not entity.HasField("table_entry"):
                await context.abort(grpc.StatusCode.UNIMPLEMENTED, "no registers here")
            else:
                found = (e for e in self.table.values() if e.table_id == entity.table_entry.table_id)
                answer.entities.extend(p4r.Entity(table_entry=item) for item in found)
        yield answer

    async def Write(self, request, context):  # noqa: N802
        self.requests["write"] += 1
        if U128.decode(request.election_id) != self.highest:
            await context.abort(grpc.StatusCode.PERMISSION_DENIED, "not primary")
        codes = [self._update(update) for update in request.updates]
        if any(code for code, _ in codes):
            status = rpc_status.Status(code=rpc_code.UNKNOWN, message="some updates failed")
            for code, text in codes:
                status.details.add().Pack(p4r.Error(canonical_code=code, message=text))
            context.set_trailing_metadata((("grpc-status-details-bin", status.SerializeToString()),))
            await context.abort(grpc.StatusCode.UNKNOWN, "some updates failed")
        return p4r.WriteResponse()

    def _update(self, update):
        entry = update.entity.table_entry
        key = entry.table_id, b"".join(field.SerializeToString() for field in entry.match)
        if entry.table_id in self.refuse_tables:
            return rpc_code.RESOURCE_EXHAUSTED, "table is full"
        if (key in self.table) == (update.type == p4r.Update.INSERT):
            code = rpc_code.ALREADY_EXISTS if key in self.table else rpc_code.NOT_FOUND
            return code, "entry exists" if key in self.table else "no such entry"
        self.history.append((update.type, entry.table_id))
        if update.type == p4r.Update.DELETE:
            del self.table[key]
        else:
            self.table[key] = entry
        return rpc_code.OK, ""
