"""edge.p4 as an ingress forwarder of one service, on the model or in the kernel, with a clock of its own.

Packets go in by `process`, as from a port; who was chosen is read from the SID of what comes out.
"""

from __future__ import annotations

import struct
from functools import cache
from ipaddress import IPv6Address
from pathlib import Path

import p4cats.p4src
from p4cats import protocol
from p4cats.compiler.driver import compile_file
from p4cats.switch.dataplane import ActionCall, Exact, Lpm, TableEntry
from p4cats.switch.model import ModelDataPlane
from p4cats.switch.xdp import XdpDataPlane
from p4cats.topologies import addressing

SERVICE = IPv6Address("2001:db8:ca75::53")
MAC = 0x020000000001
MS, SECOND = 1000, 1_000_000
TCP, UDP = 6, 17
SYN, ACK = 2, 16
STEERING = "EdgeIngress.steering"
TARGETS = {"model": ModelDataPlane, "xdp": XdpDataPlane}


@cache
def program():
    return compile_file(Path(p4cats.p4src.__file__).parent / "edge.p4")


def packet(client: int, port: int = 4000, protocol_number: int = UDP, flags: int = ACK) -> bytes:
    """A request of the client with this number."""
    source = (0x20010DB8 << 96 | 1 << 80 | client).to_bytes(16, "big")
    if protocol_number == TCP:
        payload = struct.pack("!HHIIBBHHH", port, 80, 1, 1, 0x50, flags, 1000, 0, 0)
    else:
        payload = struct.pack("!HHHH", port, 80, 12, 0) + b"ping"
    head = struct.pack("!IHBB", 6 << 28, len(payload), protocol_number, 64)
    return bytes(12) + b"\x86\xdd" + head + source + SERVICE.packed + payload


class Edge:
    """A forwarder that reaches eight instances, none of them a candidate yet; `now_us` is its clock."""

    def __init__(self, target: str) -> None:
        self.target = target
        self.now_us = 1000 * SECOND
        self.plane = TARGETS[target](program(), self._left, clock=lambda: self.now_us * 1000)
        self._chosen: int | None = None
        self._classified = False
        self.service()
        for instance in range(1, protocol.CANDIDATES + 1):
            sid = int(addressing.sid(instance + 1, protocol.FUNCTION_DX6 + instance))
            self._insert(
                f"{STEERING}.instances", Exact(instance), "steer", int(addressing.router_address(1)), sid
            )
            self.plane.insert_entry(
                f"{STEERING}.living", TableEntry((Exact(instance),), 0, ActionCall("NoAction"))
            )
        self._insert("EdgeIngress.forwarding.routes", Lpm(0x5F00 << 112, 16), "forward", 2, MAC, MAC, 1600)

    def close(self) -> None:
        """Free what is in the kernel."""
        if isinstance(self.plane, XdpDataPlane):
            self.plane.close()

    @property
    def registers(self):
        """The registers, by name."""
        plane = self.plane
        return plane.registers if isinstance(plane, XdpDataPlane) else plane.engine.registers

    # -- control plane ------------------------------------------------------------------------

    def _insert(self, table: str, key: Exact | Lpm, action: str, *data: int) -> None:
        call = ActionCall(f"{table.rpartition('.')[0]}.{action}", data)
        self.plane.insert_entry(table, TableEntry((key,), 0, call))

    def service(
        self,
        policy: str = "least",
        *,
        total: int = 0,
        dead_after_us: int = 100 * MS,
        affinity_us: int = 30 * SECOND,
        spread_us: int = 0,
    ) -> None:
        """Set policy and timers."""
        code = protocol.POLICIES[policy]
        data = (1, code, 1, 1, total, 500 * MS, dead_after_us, affinity_us, spread_us)
        entry = TableEntry((Exact(int(SERVICE)),), 0, ActionCall("EdgeIngress.classify", data))
        write = self.plane.modify_entry if self._classified else self.plane.insert_entry
        write("EdgeIngress.services", entry)
        self._classified = True

    def add(self, instance: int, *, weight: int = 1, delay_us: int = 0, step_us: int = MS) -> None:
        """Make an instance a candidate; the controller assumes a wait of 20 ms."""
        slot = f"{STEERING}.selection.c{instance - 1}"
        self._insert(f"{slot}.candidates", Exact(1), "consider", instance, weight, delay_us, 20 * MS, step_us)

    def drain(self, instance: int) -> None:
        """Let an instance take no new flow."""
        self.plane.delete_entry(f"{STEERING}.selection.c{instance - 1}.candidates", (Exact(1),), 0)

    def down(self, instance: int) -> None:
        """Let an instance lose its flows."""
        self.plane.delete_entry(f"{STEERING}.living", (Exact(instance),), 0)

    def hear(self, *instances: int, wait_us: int = 0) -> None:
        """What a valid metric of an instance leaves behind."""
        for instance in instances:
            self.plane.write_register("load_wait_us", instance, wait_us)
            self.plane.write_register("load_time_us", instance, self.now_us)

    # -- packets ------------------------------------------------------------------------------

    def _left(self, _port: int, frame: bytes) -> None:
        self._chosen = int.from_bytes(frame[14 + 24 + 6 : 14 + 24 + 8], "big") - protocol.FUNCTION_DX6

    def send(self, frame: bytes) -> int | None:
        """The instance that a packet goes to, None if it is dropped."""
        self._chosen = None
        self.plane.process(1, frame)
        return self._chosen
