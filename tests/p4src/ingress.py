"""edge.p4 as an ingress forwarder on either target, and stamped packets for it."""

from __future__ import annotations

import struct
from dataclasses import dataclass, replace
from functools import cache
from ipaddress import IPv6Address
from pathlib import Path
from typing import Any

from p4cats import protocol
from p4cats.compiler.driver import compile_file
from p4cats.compiler.ir import nodes
from p4cats.halfsiphash import tag
from p4cats.protocol import metric_message
from p4cats.switch.dataplane import ActionCall, CounterData, Exact, Lpm, TableEntry
from p4cats.switch.model import ModelDataPlane

P4SRC = Path(__file__).resolve().parents[2] / "p4src"
SERVICE, OTHER_SERVICE = IPv6Address("2001:db8:ca75::53"), IPv6Address("2001:db8:ca75::54")
CLIENT = IPv6Address("2001:db8:1:1::2")
ROUTER = IPv6Address("5f00:0:1::1")
SIDS = {number: IPv6Address(f"5f00:0:{number + 1}:{0x1000 + number:x}::") for number in (1, 2)}
KEYS = {(1, 1): b"\x01\x02\x03\x04\x05\x06\x07\x08", (2, 1): bytes(range(8)), (1, 2): b"nextkey!"}
"""By instance and key id. Instances 1 and 2 serve SERVICE, instance 2 at another site."""
CLIENT_PORT, CORE_PORT = 1, 2
RESULTS = (
    "learned", "malformed", "unknown_instance", "no_key", "misdirected", "repeated", "stale", "forged",
)  # fmt: skip
ETHERNET = bytes.fromhex("0200000000aa0200000000bb86dd")


@cache
def edge() -> nodes.Program:
    return compile_file(P4SRC / "edge.p4")


@dataclass(frozen=True)
class Metric:
    """A Hop-by-Hop header with the metric option; the MAC is right unless `mac` is given."""

    instance: int = 1
    key_id: int = 1
    sequence: int = 1
    wait_us: int = 1000
    magic: int = protocol.MAGIC
    version: int = protocol.VERSION
    flags: int = 0
    in_flight: int = 3
    power_mw: int = 42_000
    mac: bytes | None = None
    key: bytes | None = None

    def header(self, destination: IPv6Address, next_header: int = 17) -> bytes:
        data = protocol.OPTION_DATA.pack(
            self.magic, self.version << 4 | self.flags, self.key_id, self.instance, 5, 6, 7, 8, 9, 0,
            self.in_flight, self.wait_us, self.power_mw, self.sequence, 0,
        )  # fmt: skip
        mac = self.mac
        if mac is None:
            key = self.key or KEYS.get((self.instance, self.key_id))
            mac = tag(key, metric_message(data, destination)) if key else bytes(8)
        return option(data[:-8] + mac, next_header)

    def but(self, **fields: Any) -> Metric:
        return replace(self, **fields)


def option(data: bytes, next_header: int = 17) -> bytes:
    return bytes([next_header, 4, protocol.OPTION_TYPE, protocol.OPTION_LENGTH]) + data


BLANK = bytes(protocol.OPTION_LENGTH)


def udp(source_port: int = 8080, port: int = 40_000, payload: bytes = b"answer") -> bytes:
    return struct.pack("!HHHH", source_port, port, 8 + len(payload), 0) + payload


def ipv6(payload: bytes, source: IPv6Address, destination: IPv6Address, next_header: int) -> bytes:
    head = struct.pack("!IHBB", 0x60000000, len(payload), next_header, 64)
    return ETHERNET + head + source.packed + destination.packed + payload


def response(metric: Metric | None, client: IPv6Address = CLIENT, source: IPv6Address = SERVICE) -> bytes:
    """What a server's host sends to a client."""
    if metric is None:
        return ipv6(udp(), source, client, 17)
    return ipv6(metric.header(client) + udp(), source, client, 0)


def beacon(metric: Metric, router: IPv6Address = ROUTER, source: IPv6Address = SERVICE) -> bytes:
    payload = udp(40_000, protocol.BEACON_PORT, b"")
    return ipv6(metric.header(router) + payload, source, router, 0)


def words(key: bytes) -> dict[str, int]:
    """The words of a key as action data."""
    return dict(zip(("key_0", "key_1"), struct.unpack("<2I", key), strict=True))


def _lpm(address: IPv6Address, length: int) -> Lpm:
    return Lpm(int(address) & -1 << (128 - length), length)


class Clock:
    """Nanoseconds that pass when the test says so."""

    def __init__(self) -> None:
        self.now_ns = 1_000_000_000_000

    def __call__(self) -> int:
        return self.now_ns

    def pass_s(self, seconds: float) -> None:
        self.now_ns += int(seconds * 1e9)


class Ingress:
    """An access switch with the clients' port, a port to the core, and the keys of `KEYS`.

    `program` is edge.p4, or another with its tables.
    """

    def __init__(self, target: str, program: nodes.Program | None = None) -> None:
        self.clock = Clock()
        self.sent: list[tuple[int, bytes]] = []
        self.plane: Any
        if target == "model":
            self.plane = ModelDataPlane(
                program or edge(), self._transmit, cpu_port=510, clock=self.clock, seed=0
            )
        else:
            from p4cats.switch.xdp import XdpDataPlane

            self.plane = XdpDataPlane(program or edge(), self._transmit, cpu_port=510, clock=self.clock)
        wire = {"source": 0x020000000001, "neighbor": 0x020000000002, "mtu": 1500}
        self.insert("forwarding.routes", (_lpm(CLIENT, 64),), "forwarding.deliver", port=CLIENT_PORT, **wire)
        self.insert("services", (Exact(int(ROUTER)),), "own_address")
        self.insert("domain_edge.host_ports", (Exact(CLIENT_PORT),), "domain_edge.host_port")
        for (instance, key_id), key in KEYS.items():
            self.insert("learn_metric.metric_keys", (Exact(instance), Exact(key_id)),
                        "learn_metric.authenticate", **words(key), source=SERVICE)  # fmt: skip

    def serve(self, **service: int) -> None:
        """Steer requests to SERVICE, to instance 1 or 2 behind the core port; `service` as in `classify`."""
        wire = {"source": 0x020000000001, "neighbor": 0x020000000002, "mtu": 1500}
        self.insert("forwarding.routes", (_lpm(ROUTER, 16),), "forwarding.forward", port=CORE_PORT, **wire)
        self.insert("services", (Exact(int(SERVICE)),), "classify", id=1, **service)
        for number in (1, 2):
            slot = f"steering.selection.c{number - 1}"
            self.insert(f"{slot}.candidates", (Exact(1),), f"{slot}.consider",
                        instance_id=number, static_weight=1, wait_us=20_000)  # fmt: skip
            self.insert("steering.living", (Exact(number),), "NoAction")
            self.insert(
                "steering.instances", (Exact(number),), "steering.steer", headend=ROUTER, sid=SIDS[number]
            )

    def insert(self, table: str, key: tuple[Any, ...], action: str, **data: int | IPv6Address) -> None:
        """Add an entry; action data that is not given is 0."""
        path = action if action == "NoAction" else f"EdgeIngress.{action}"
        known = next(a for a in edge().actions if a.name == path)
        assert data.keys() <= {item.name for item in known.data}
        values = tuple(int(data.get(item.name, 0)) for item in known.data)
        self.plane.insert_entry(f"EdgeIngress.{table}", TableEntry(key, 0, ActionCall(path, values)))

    def delete(self, table: str, key: tuple[Any, ...]) -> None:
        self.plane.delete_entry(f"EdgeIngress.{table}", key, 0)

    def _transmit(self, port: int, packet: bytes) -> None:
        self.sent.append((port, packet))

    def send(self, packet: bytes, port: int = CORE_PORT) -> list[tuple[int, bytes]]:
        """Return what leaves."""
        self.clock.now_ns += 1000
        self.sent.clear()
        self.plane.process(port, packet)
        return list(self.sent)

    def delivered(self, packet: bytes) -> bytes:
        """Return the packet that reaches the client, from the IPv6 header on."""
        [(port, found)] = self.send(packet)
        assert port == CLIENT_PORT
        return found[14:]

    def results(self) -> dict[str, int]:
        """Return what the checks counted, without zeros."""
        found = {name: self.plane.read_counter("metrics", i).packets for i, name in enumerate(RESULTS)}
        return {name: count for name, count in found.items() if count}

    def load(self, instance: int = 1) -> tuple[int, int]:
        """Return wait and time (both microseconds) that the forwarder knows of an instance."""
        cells = (self.plane.read_register(name, instance) for name in ("load_wait_us", "load_time_us"))
        wait_us, time_us = (int(cell) for cell in cells)
        return wait_us, time_us

    def reset(self) -> None:
        """Forget loads and counts."""
        self.clock.pass_s(10)
        for name in ("load_wait_us", "load_time_us", "load_sequence"):
            for instance in (1, 2):
                self.plane.write_register(name, instance, 0)
        for index in range(len(RESULTS)):
            self.plane.write_counter("metrics", index, CounterData())

    def close(self) -> None:
        if hasattr(self.plane, "close"):
            self.plane.close()
