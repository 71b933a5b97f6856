"""The shipped programs under mutated packets: model and kernel agree, and no packet is lost or changed."""

from __future__ import annotations

import struct
import sys
from ipaddress import IPv6Address
from pathlib import Path
from typing import Any

from packet_corpus import (
    CLIENT,
    COLLECTOR,
    DX6,
    END,
    KEYS,
    OPTION,
    OTHER_ROUTER,
    PORTS,
    ROUTER,
    SERVER,
    SERVICES,
    SIDS,
    UNKEYED,
    Mutator,
    has_option,
    service_of,
)

from p4cats import protocol
from p4cats.controller import reasons
from p4cats.controller.reports import decode
from p4cats.switch.dataplane import ActionCall, Exact, Lpm, Replica, TableEntry, Ternary

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "xdp"))
from xdp_differential import CPU_PORT, Pair, shipped

MTU = 1500
LOCAL_PORT, REPORT_PORT = 3, 4
"""Reports have a port of their own: behind another packet the model would tell of a queue, xdp has none."""
PACKET_IN_BYTES, PACKET_OUT_BYTES = 5, 2
REPORT_SESSION = 1
SAMPLED = (
    (0xFC00, 1, 8), (0xFF81, 0, 8), (0x8000, 1, 1), (0xFC00, 0, 0), (0x0040, 1, 8), (0, 1, 8),
    (0xA000, 1, 255), (0xFF81, 1, 8),
)  # fmt: skip
"""Instructions, decision or not, hops: by the last bits of the destination port."""
_COMPARE_EVERY = 1000
_BLOCK = protocol.SR_BLOCK.to_bytes(2, "big")


def number(address: str) -> int:
    return int(IPv6Address(address))


def enter(
    plane: Any, table: str, key: tuple[Any, ...], action: str, *, priority: int = 0, **data: int
) -> None:
    """Insert an entry, its action data by name, 0 where none is given."""
    found = next(t for t in plane.program.tables if f".{t.name}".endswith(f".{table}"))
    call = next(r.action for r in found.actions if r.action.name.rpartition(".")[2] == action)
    values = tuple(data.get(p.name, 0) for p in call.data)
    assert data.keys() <= {p.name for p in call.data}, call.name
    plane.insert_entry(found.name, TableEntry(key, priority, ActionCall(call.name, values)))


def _fill(plane: Any) -> None:
    """What both programs have: routes, segments, a number for telemetry."""
    enter(plane, "int_nodes", (Exact(2),), "node", node_id=1, domain_mtu=MTU)
    wire = {"source": 0x020000AA0001, "neighbor": 0x020000BB0001, "mtu": MTU}
    for prefix, length, port, action in (
        (CLIENT, 64, PORTS["host"], "deliver"),
        (SERVER, 64, PORTS["core"], "forward"),
        ("5f00::", 16, PORTS["core"], "forward"),
        (COLLECTOR, 64, LOCAL_PORT, "deliver"),
        (SERVICES[0], 56, PORTS["core"], "forward"),
    ):
        masked = number(prefix) & -1 << (128 - length)
        enter(plane, "routes", (Lpm(masked, length),), action, port=port, **wire)
    enter(plane, "local_sids", (Exact(number(END)),), "end")
    del wire["mtu"]
    enter(plane, "local_sids", (Exact(number(DX6)),), "end_dx6", port=LOCAL_PORT, **wire)


def _fill_edge(plane: Any) -> None:
    """A service for each policy, four instances, one of them here and one by way of a segment."""
    _fill(plane)
    wire = {"source": 0x020000AA0001, "neighbor": 0x020000BB0001}
    enter(plane, "host_ports", (Exact(PORTS["host"]),), "host_port", watched=1)
    enter(plane, "services", (Exact(number(ROUTER)),), "own_address")
    enter(plane, "addresses", (Exact(PORTS["host"]), Exact(number(ROUTER))), "advertise", mac=0x020000000300)
    for service, policy in zip(SERVICES, protocol.POLICIES.values(), strict=True):
        enter(plane, "services", (Exact(number(service)),), "classify", id=policy + 1, policy=policy,
              compute_weight=1, network_weight=1, total_weight=40, load_ttl_us=500_000, dead_after_us=100_000,
              affinity_timeout_us=30_000_000, spread_us=50)  # fmt: skip
        for slot, instance in enumerate(SIDS):
            enter(plane, f"c{slot}.candidates", (Exact(policy + 1),), "consider", instance_id=instance,
                  static_weight=10, delay_us=100 * slot, wait_us=20_000, step_us=1000)  # fmt: skip
    for instance, sid in SIDS.items():
        enter(plane, "living", (Exact(instance),), "NoAction")
        way: dict[str, int] = {"headend": number(ROUTER), "sid": number(sid)}
        if instance == 3:
            enter(plane, "instances", (Exact(instance),), "steer_local", port=LOCAL_PORT, **wire)
        elif instance == 4:
            enter(plane, "instances", (Exact(instance),), "steer_via", via=number(f"{OTHER_ROUTER}"), **way)
        else:
            enter(plane, "instances", (Exact(instance),), "steer", **way)
    for (instance, key_id), key in KEYS.items():
        words = dict(zip(("key_0", "key_1"), struct.unpack("<2I", key), strict=True))
        source = number(service_of(instance))
        enter(plane, "metric_keys", (Exact(instance), Exact(key_id)), "authenticate", source=source, **words)
    enter(plane, "metric_keys", (Exact(UNKEYED), Exact(0)), "trust", source=number(service_of(UNKEYED)))
    anything = (Ternary(0, 0),) * 4
    for sampled, (instructions, decision, hops) in enumerate(SAMPLED):
        ports = (Ternary(sampled, len(SAMPLED) - 1),)
        shares = {"flow_limit": 0xFFFF, "packet_limit": 0xFFFF, "domain_mtu": MTU}
        sampling = {"instructions": instructions, "decision": decision, "hops": hops, **shares}
        enter(plane, "int_watchlist", anything + ports, "sample", priority=1, **sampling)
    enter(plane, "int_collector", (Exact(2),), "report", router=number(ROUTER), collector=number(COLLECTOR),
          node_id=1, **wire)  # fmt: skip
    plane.set_clone_session(REPORT_SESSION, [Replica(REPORT_PORT, 0)], 0)


def _remove_options(plane: Any) -> None:
    enter(plane, "metric_options", (Exact(protocol.OPTION_TYPE),), "remove")


def _blank_options(plane: Any) -> None:
    found = next(t for t in plane.program.tables if t.name.endswith(".metric_options"))
    plane.delete_entry(found.name, (Exact(protocol.OPTION_TYPE),), 0)


class FuzzedSwitch:
    """One program on both targets. `attempt` raises AssertionError for what must not be."""

    def __init__(self, program: str) -> None:
        self.pair = Pair(shipped(program))
        self._edge = program == "edge"
        self.pair.both(_fill_edge if self._edge else _fill)
        self._externs = [
            (e.kind, e.name, e.arguments[0].value)
            for e in self.pair.program.externs
            if e.kind in ("counter", "register")
        ]
        self._sent = 0

    def close(self) -> None:
        self.pair.close()

    def attempt(self, mutator: Mutator) -> str:
        """Send a packet; return what became of it."""
        pick = mutator.random
        origin, frame = mutator.draw()
        port = (
            PORTS[origin.side]
            if pick.random() < 0.9
            else pick.choice((*PORTS.values(), LOCAL_PORT, CPU_PORT))
        )
        packet = frame
        if port == CPU_PORT:
            packet = struct.pack("!H", pick.choice((0, 0, 1, 2))) + frame
        before = self._dropped()
        events = self.pair.send(port, packet, passes_ns=pick.choice((1000, 1_000_000, 20_000_000)))
        fate = self._place(port, packet, events, self._dropped() - before)
        if fate == "telemetry" and frame == origin.frame:
            self._decode(events)
        self._sent += 1
        if self._sent % _COMPARE_EVERY == 0:
            self.compare()
            if self._edge:
                self.pair.both(_remove_options if self._sent // _COMPARE_EVERY % 2 else _blank_options)
        return fate

    @staticmethod
    def _decode(events: list[tuple[object, ...]]) -> None:
        """Of a packet that nobody broke, the collector reads this hop, the two before it and a decision."""
        [report] = [bytes.fromhex(str(event[-1])) for event in events if event[:2] == ("port", REPORT_PORT)]
        found = decode(report[62:])
        assert [hop.node for hop in found.hops][-1] == 1
        assert len(found.hops) == 3
        assert found.decision is not None

    def _dropped(self) -> int:
        """What the model has dropped for a reason that it counts."""
        return sum(self.pair.model.read_counter("drops", index).packets for index in reasons.cells("drops"))

    def _place(self, port: int, packet: bytes, events: list[tuple[object, ...]], dropped: int) -> str:
        """A packet is sent, punted, learned from, or dropped with a reason: one of these."""
        reports = [event for event in events if event[:2] == ("port", REPORT_PORT) and _is_report(event)]
        others = [event for event in events if event not in reports]
        assert len(others) + dropped <= 1, "a packet with two places"
        assert len(reports) <= 1, "two reports of a packet"
        frame = packet[PACKET_OUT_BYTES:] if port == CPU_PORT else packet
        if dropped:
            assert not reports, "a packet is reported that was dropped"
            return "dropped"
        if not others:
            assert reports or is_beacon(frame), "a packet is gone without a reason"
            return "probe" if reports else "beacon"
        kind, *rest = others[0]
        left = bytes.fromhex(str(rest[-1]))
        if kind == "cpu":
            left = left[PACKET_IN_BYTES:]
        if kind == "port" and rest[0] == port and len(left) >= 78 and left[54] == 136:
            return "advertised"
        assert essence(left) == essence(frame), "a packet was changed"
        if self._edge and port == PORTS["host"] and kind == "port" and left[38:40] == frame[38:40] == _BLOCK:
            assert is_beacon(frame, to_us=False), "a host's packet is in the domain"
        return "punted" if kind == "cpu" else "telemetry" if reports else "sent"

    def compare(self) -> None:
        """All counters and registers of the two targets; of the flow table, other entries each time."""
        for kind, name, size in self._externs:
            every = max(size // 8192, 1)
            for index in range(self._sent // _COMPARE_EVERY % every, size, every):
                read = "read_counter" if kind == "counter" else "read_register"
                model, xdp = (getattr(plane, read)(name, index) for plane in (self.pair.model, self.pair.xdp))
                assert model == xdp, f"{kind} {name}[{index}]: model {model}, xdp {xdp}"


def is_beacon(frame: bytes, *, to_us: bool = True) -> bool:
    """Whether it is a beacon to the switch under test, or to any."""
    udp = frame[94:98]
    to = frame[38:54]
    return (
        has_option(frame)
        and frame[54] == 17
        and len(udp) == 4
        and udp[2:] == protocol.BEACON_PORT.to_bytes(2, "big")
        and (to == IPv6Address(ROUTER).packed if to_us else to[6:] == IPv6Address("::1").packed[6:])
    )


def _is_report(event: tuple[object, ...]) -> bool:
    frame = bytes.fromhex(str(event[-1]))
    return frame[22:38] == IPv6Address(ROUTER).packed and frame[56:58] == protocol.REPORT_PORT.to_bytes(
        2, "big"
    )


def essence(frame: bytes) -> tuple[bytes, bytes]:
    """What no switch may change: the packet within all tunnels, without telemetry and option.

    Version, class, flow label and source of its IPv6 header, and what follows that.
    """
    if frame[12:14] != b"\x86\xdd" or len(frame) < 54:
        return b"", frame[12:]
    ip, next_header, at = 14, frame[20], 54
    while at < len(frame):
        begin = frame[at : at + 16]
        if next_header == 43 and len(begin) >= 8:
            next_header, at = begin[0], at + 8 + 8 * begin[1]
        elif next_header == 0 and begin[1:4] == OPTION:
            next_header, at = begin[0], at + protocol.HBH_BYTES
        elif next_header == 17 and _is_telemetry(begin):
            next_header, at = begin[11], at + 12 + 4 * begin[9]
        elif next_header == 41 and len(frame) >= at + 40:
            ip, next_header, at = at, frame[at + 6], at + 40
        else:
            break
    return frame[ip : ip + 4] + frame[ip + 8 : ip + 24], frame[at:]


def _is_telemetry(begin: bytes) -> bool:
    """UDP header and shim of INT-MD (docs/protocol.md, 7.2)."""
    return (
        len(begin) >= 12
        and begin[2:4] == protocol.INT_PORT.to_bytes(2, "big")
        and begin[8] >> 2 == 0b0110
        and begin[9] >= 3
    )
