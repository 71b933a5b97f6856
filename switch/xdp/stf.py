"""The xdp data plane as a target of the STF runner: packets by BPF_PROG_TEST_RUN, time by a virtual clock."""

from __future__ import annotations

import weakref
from collections.abc import Callable

from p4cats.compiler.ir import nodes
from p4cats.switch.xdp.dataplane import XdpDataPlane

_PACKET_NS = 10_000
_FATAL = ("assertion failed", "recirculation limit")


class _Clock:
    """Nanoseconds that pass when the runner says so."""

    def __init__(self) -> None:
        self.now_ns = 0

    def __call__(self) -> int:
        return self.now_ns


class XdpStfTarget:
    """A program in the kernel, without interfaces."""

    def __init__(self, program: nodes.Program, received: Callable[[int, bytes], None]) -> None:
        self.clock = _Clock()
        self.plane = XdpDataPlane(program, received, clock=self.clock)
        weakref.finalize(self, self.plane.close)

    def send(self, port: int, packet: bytes) -> None:
        """Process a packet."""
        self.passes(_PACKET_NS)
        self.plane.process(port, packet)

    def passes(self, nanoseconds: int) -> None:
        """Move the clock."""
        self.clock.now_ns += nanoseconds
        self.plane.tick()

    def problems(self) -> list[str]:
        """What simple_switch would have ended or hung on."""
        drops = self.plane.drops()
        return [f"{drops[why]} packets dropped: {why}" for why in _FATAL if why in drops]


__all__ = ["XdpStfTarget"]
