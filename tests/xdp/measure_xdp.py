"""Nanoseconds per packet by BPF_PROG_TEST_RUN; `python tests/xdp/measure_xdp.py [FILE]` writes JSON.

edge_ns                edge.p4 on a request: classification, affinity or selection among 8, encapsulation
router_vs_handwritten  a plain router in P4 as a share of the same router written by hand
"""

from __future__ import annotations

import ipaddress
import json
import platform
import statistics
import struct
import sys
from pathlib import Path
from typing import Any

import xdp_packets as pk
from xdp_differential import shipped
from xdp_setups import CLIENT, SERVICES, SIDS, edge, restless, routes

from p4cats.compiler.driver import compile_file
from p4cats.ebpf.build import compile_bpf
from p4cats.ebpf.libbpf import Object, Program
from p4cats.switch.dataplane import ActionCall, Lpm, TableEntry
from p4cats.switch.xdp import XdpDataPlane

HERE = Path(__file__).parent
REPEAT, ROUNDS = 20_000, 15
LOOPBACK = 1


class Restoring:
    """Runs a program on the same packet again and again."""

    def __init__(self, packet: bytes) -> None:
        self.packet = packet
        self._object = Object.open(compile_bpf(HERE / "restore.bpf.c"))
        self._object.load()
        self._object.maps["programs"].update(bytes(4), struct.pack("=I", self._object.programs["pass"].fd), 0)
        bss = next(m for n, m in self._object.maps.items() if n.endswith(".bss"))
        bss.update(bytes(4), packet[:112] + struct.pack("=I", len(packet)))
        self._set(1, self._object.programs["pass"])
        self.overhead = self._time("nothing")[0]

    def _set(self, index: int, program: Program) -> None:
        self._object.maps["programs"].update(struct.pack("=I", index), struct.pack("=I", program.fd))

    def _time(self, name: str) -> tuple[float, float]:
        program = self._object.programs[name]
        times = [program.test_run(self.packet, repeat=REPEAT).duration_ns for _ in range(ROUNDS)]
        return min(times), statistics.median(times)

    def measure(self, program: Program) -> tuple[int, float]:
        """The verdict, and nanoseconds without those of putting the packet back."""
        self._set(0, program)
        verdict = self._object.programs["under_test"].test_run(self.packet).retval
        return verdict, self._time("under_test")[0] - self.overhead


def padded(packet: bytes) -> bytes:
    return packet + bytes(max(0, 128 - len(packet)))


def as_port(plane: XdpDataPlane, port: int) -> None:
    """Let test runs look like frames that came in by a port, without a prefix."""
    inports = plane.loaded.memory.view("inports", 2048)
    inports[2 * LOOPBACK], inports[2 * LOOPBACK + 1] = LOOPBACK, port


def generated(program: Any, setup: Any, packet: bytes) -> float:
    plane = XdpDataPlane(program, cpu_port=510)
    try:
        setup(plane)
        as_port(plane, 1)
        # A redirect to a port that nobody attached is dropped, after everything else was done.
        verdict, taken = Restoring(packet).measure(plane.loaded.object.programs["p4_main"])
        assert verdict == 1, f"verdict {verdict}, {plane.drops()}"
        assert set(plane.drops()) <= {"no egress port"}, plane.drops()
        return taken
    finally:
        plane.close()


def router_routes(plane: Any) -> None:
    for i in range(64):
        call = ActionCall("Route.forward", (i + 1, 0x020000AA0000 + i, 0x020000BB0000 + i))
        plane.insert_entry("Route.routes", TableEntry((Lpm(pk.address(f"2001:db8:{i:x}::"), 48),), 0, call))


def handwritten(packet: bytes) -> float:
    with Object.open(compile_bpf(HERE / "forwarder.bpf.c")) as obj:
        obj.load()
        for i in range(64):
            key = struct.pack("=I", 48) + ipaddress.IPv6Address(f"2001:db8:{i:x}::").packed
            obj.maps["routes"].update(key, struct.pack("=I12s", i + 1, bytes(12)))
        verdict, taken = Restoring(packet).measure(obj.programs["forward"])
        assert verdict == 1
        return taken


def main() -> None:
    router_packet = padded(pk.ethernet(pk.ipv6(pk.udp(bytes(40)), CLIENT, pk.address("2001:db8:7::1"), 17)))
    by_hand = handwritten(router_packet)
    router = generated(compile_file(HERE / "router.p4"), router_routes, router_packet)
    found: dict[str, object] = {
        "kernel": platform.release(), "repeat": REPEAT, "rounds": ROUNDS, "handwritten_ns": by_hand,
        "router_ns": router, "router_vs_handwritten": round(by_hand / router, 3),
    }  # fmt: skip
    for policy, name in enumerate(("static", "hash", "least", "p2c")):
        packet = padded(pk.ethernet(pk.ipv6(pk.udp(bytes(40)), CLIENT, SERVICES[policy], 17)))
        found[f"edge_known_flow_{name}_ns"] = generated(shipped("edge"), edge, packet)
        # Nothing lives: every packet is placed anew.
        found[f"edge_placed_{name}_ns"] = generated(shipped("edge"), restless, packet)
    found["edge_ns"] = found["edge_placed_least_ns"]
    transit = padded(pk.ethernet(pk.ipv6(pk.udp(bytes(40)), CLIENT, SIDS[2], 17)))
    found["transit_ns"] = generated(shipped("transit"), routes, transit)
    print(json.dumps(found, indent=2))
    if len(sys.argv) > 1:
        Path(sys.argv[1]).write_text(json.dumps(found, indent=2) + "\n")


if __name__ == "__main__":
    main()
