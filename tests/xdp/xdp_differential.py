"""Two data planes with one program: what comes out of the one must come out of the other."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from p4cats.compiler.driver import compile_file
from p4cats.compiler.ir import nodes
from p4cats.switch.model import ModelDataPlane
from p4cats.switch.xdp import XdpDataPlane

ROOT = Path(__file__).resolve().parents[2]
CPU_PORT = 510


class Recorder:
    """What leaves a data plane: packets by port, packet-ins, digests."""

    def __init__(self) -> None:
        self.seen: list[tuple[object, ...]] = []

    def transmit(self, port: int, packet: bytes) -> None:
        self.seen.append(("port", port, packet.hex()))

    def packet_in(self, packet: bytes) -> None:
        self.seen.append(("cpu", packet.hex()))

    def digest(self, name: str, values: tuple[object, ...]) -> None:
        self.seen.append(("digest", name, values))

    def idle(self, table: str, entries: Any) -> None:
        self.seen.append(("idle", table, tuple(entries)))

    def take(self) -> list[tuple[object, ...]]:
        """Everything since the last call, in an order that does not depend on the target's."""
        seen, self.seen = self.seen, []
        return sorted(seen, key=repr)


class Clock:
    """Nanoseconds that pass when the test says so."""

    def __init__(self) -> None:
        self.now = 10_000_000_000

    def __call__(self) -> int:
        return self.now


class Pair:
    """The model and the kernel's program, driven alike."""

    def __init__(self, program: nodes.Program) -> None:
        self.program = program
        self.clock = Clock()
        self.model_out, self.xdp_out = Recorder(), Recorder()
        self.model = ModelDataPlane(
            program, self.model_out.transmit, self.model_out, cpu_port=CPU_PORT, clock=self.clock, seed=0
        )
        self.xdp = XdpDataPlane(
            program, self.xdp_out.transmit, self.xdp_out, cpu_port=CPU_PORT, clock=self.clock
        )

    def both(self, call: Callable[[Any], None]) -> None:
        """Do the same to both."""
        call(self.model)
        call(self.xdp)

    def send(self, port: int, packet: bytes, passes_ns: int = 1_000_000) -> list[tuple[object, ...]]:
        """Give both a packet; what comes out must agree, and is returned."""
        self.clock.now += passes_ns
        self.model.process(port, packet)
        self.xdp.process(port, packet)
        expected, found = self.model_out.take(), self.xdp_out.take()
        assert found == expected, f"packet {packet.hex()} on port {port}"
        return expected

    def close(self) -> None:
        self.xdp.close()


def shipped(name: str) -> nodes.Program:
    """A program of p4src."""
    return compile_file(ROOT / "p4src" / f"{name}.p4")
