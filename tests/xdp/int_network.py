"""A source, a transit switch and a sink of in-band telemetry, each on both targets, joined by what they send.

client (port 1) - source - (2) - transit - (2) - sink - (1) server, (3) collector
"""

from __future__ import annotations

import re
import struct
from dataclasses import astuple, dataclass
from typing import Any

from xdp_differential import Pair
from xdp_packets import address

from p4cats import protocol
from p4cats.switch.dataplane import ActionCall, Exact, Lpm, Replica, TableEntry, Ternary

CLIENT, SERVER = address("2001:db8:1::10"), address("2001:db8:2::10")
SERVICE, INSTANCE = address("2001:db8:ca75::53"), 5
HEADEND, SID, VIA = address("5f00:0:1::1"), address("5f00:0:3:1005::"), address("5f00:0:2:1::")
ROUTER, COLLECTOR = address("5f00:0:3::1"), address("2001:db8:9::9")
KEY_ID, KEY = 7, bytes.fromhex("0123456789abcdef")
"""That INSTANCE stamps with, and the sink checks by."""
MTU = 1500
ALL, USUAL = 0xFF81, 0xFC00
"""Instruction bitmaps: whatever a switch knows; node, ports, latency, queue, both times."""
_MACS = {"source": 0x020000AA0001, "neighbor": 0x020000BB0001}


@dataclass
class Sampling:
    """What the source's watchlist says of every packet."""

    instructions: int = USUAL
    decision: int = 1
    hops: int = 8
    flow_limit: int = 0xFFFF
    packet_limit: int = 0xFFFF
    domain_mtu: int = MTU


def enter(
    plane: Any, table: str, key: tuple[Any, ...], action: str, *, modify: bool = False, **data: int
) -> None:
    """Write an entry, its action data by name, 0 where none is given."""
    found = next(
        t for t in plane.program.tables if t.name.rpartition(".")[2] == table or t.name.endswith(table)
    )
    call = next(r.action for r in found.actions if r.action.name.rpartition(".")[2] == action)
    # A parameter whose name another action has too is numbered.
    values = tuple(data.get(p.name, data.get(re.sub(r"_\d+$", "", p.name), 0)) for p in call.parameters)
    ternary = isinstance(key[0], Ternary)
    write = plane.modify_entry if modify else plane.insert_entry
    write(found.name, TableEntry(key, int(ternary), ActionCall(call.name, values)))


def _route(plane: Any, prefix: int, length: int, port: int, action: str = "forward") -> None:
    enter(plane, "routes", (Lpm(prefix, length),), action, port=port, mtu=MTU, **_MACS)


class Network:
    """The three switches. `via`: requests are steered by way of the transit switch's End SID."""

    def __init__(self, edge: Any, transit: Any, *, via: bool = False) -> None:
        self.source, self.transit, self.sink = Pair(edge), Pair(transit), Pair(edge)
        self.via, self._sampled = via, False
        for node, pair in enumerate((self.source, self.transit, self.sink), 1):
            pair.both(lambda p, n=node: enter(p, "int_nodes", (Exact(2),), "node", node_id=n, domain_mtu=MTU))
        self.source.both(lambda p: self._fill_source(p, via))
        self.transit.both(self._fill_transit)
        self.sink.both(self._fill_sink)

    def close(self) -> None:
        for pair in (self.source, self.transit, self.sink):
            pair.close()

    def sample(self, sampling: Sampling) -> None:
        """Let the source sample so from now on."""
        data = dict(zip(Sampling.__dataclass_fields__, astuple(sampling), strict=True))
        key = (Ternary(0, 0),) * 5
        modify = self._sampled
        self.source.both(lambda p: enter(p, "int_watchlist", key, "sample", modify=modify, **data))
        self._sampled = True

    def _fill_source(self, plane: Any, via: bool) -> None:
        enter(plane, "host_ports", (Exact(1),), "host_port", watched=1)
        _route(plane, CLIENT, 64, 1, "deliver")
        _route(plane, SERVER, 64, 2)
        _route(plane, address("5f00::"), 16, 2)
        policy = protocol.POLICIES["hash"]
        classify = {"id": 1, "policy": policy, "total_weight": 1, "affinity_timeout_us": 30_000_000}
        enter(plane, "services", (Exact(SERVICE),), "classify", **classify)
        enter(plane, "c0.candidates", (Exact(1),), "consider", instance_id=INSTANCE, static_weight=1)
        enter(plane, "living", (Exact(INSTANCE),), "NoAction")
        way = {"headend": HEADEND, "via": VIA, "sid": SID}
        enter(plane, "instances", (Exact(INSTANCE),), "steer_via" if via else "steer", **way)

    def _fill_transit(self, plane: Any) -> None:
        enter(plane, "local_sids", (Exact(VIA),), "end")
        _route(plane, SERVER, 64, 2)
        _route(plane, address("5f00:0:3::"), 48, 2)

    def _fill_sink(self, plane: Any) -> None:
        _route(plane, SERVER, 64, 1, "deliver")
        enter(plane, "local_sids", (Exact(SID),), "end_dx6", port=1, **_MACS)
        words = dict(zip(("key_0", "key_1"), struct.unpack("<2I", KEY), strict=True))
        key = Exact(INSTANCE), Exact(KEY_ID)
        enter(plane, "metric_keys", key, "authenticate", source=SERVICE, **words)
        data = {"router": ROUTER, "collector": COLLECTOR, "node_id": 3}
        enter(plane, "int_collector", (Exact(2),), "report", **data, **_MACS)
        plane.set_clone_session(1, [Replica(3, 0)], 0)

    def pass_through(self, frame: bytes) -> Passage:
        """Send a frame of the client."""
        found = Passage(self._only(self.source.send(1, frame)))
        if found.after_source is not None:
            found.after_transit = self._only(self.transit.send(1, found.after_source))
        if found.after_transit is not None:
            left = self.sink.send(2, found.after_transit)
            by_port = {event[1]: bytes.fromhex(str(event[2])) for event in left if event[0] == "port"}
            assert len(by_port) == len(left), left
            found.delivered, found.report = by_port.get(1), by_port.get(3)
        return found

    @staticmethod
    def _only(events: list[tuple[object, ...]]) -> bytes | None:
        """The one packet that went on to the next switch, if any did."""
        on = [bytes.fromhex(str(event[2])) for event in events if event[:2] == ("port", 2)]
        assert len(on) <= 1, events
        return on[0] if on else None


@dataclass
class Passage:
    """A packet as it left each switch, and the report; None where there was none."""

    after_source: bytes | None = None
    after_transit: bytes | None = None
    delivered: bytes | None = None
    report: bytes | None = None
