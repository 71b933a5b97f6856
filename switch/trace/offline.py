"""Traces without a switch: the packets of an STF file, on the entries that it adds."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from p4cats.compiler.ir import nodes
from p4cats.switch.stf.parse import parse_stf
from p4cats.switch.stf.runner import TARGETS, ModelTarget, run_statements
from p4cats.switch.trace.plane import CPU_PORT, TracePlane
from p4cats.switch.trace.tracer import PacketTrace

_NAME = "trace"
_PACKET_NS = 10_000
"""As in the STF runner: the time between two packets."""


class _TracingTarget(ModelTarget):
    """The STF runner's model with a tracing data plane."""

    plane: TracePlane

    def __init__(self, program: nodes.Program, received: Callable[[int, bytes], None]) -> None:
        super().__init__(program, received)
        self.traces: list[PacketTrace] = []
        self.plane = TracePlane(program, clock=self.clock)
        self._received = received

    def send(self, port: int, packet: bytes) -> None:
        """Trace a packet."""
        self.passes(_PACKET_NS)
        trace = self.plane.trace(port, packet)
        self.traces.append(trace)
        for way in trace.outcome:
            if way.get("sent"):
                self._received(way.get("port", CPU_PORT), bytes.fromhex(way["bytes"]))


def tracing_target(program: nodes.Program, received: Callable[[int, bytes], None]) -> _TracingTarget:
    """A target of the STF runner."""
    return _TracingTarget(program, received)


def trace_stf(program: nodes.Program, path: Path) -> list[PacketTrace]:
    """Trace every packet of an STF file; what it expects does not matter. Errors: StfError, OSError."""
    statements = parse_stf(path.read_text(encoding="utf-8", errors="replace"), str(path))
    made: list[_TracingTarget] = []

    def make(program: nodes.Program, received: Callable[[int, bytes], None]) -> _TracingTarget:
        made.append(tracing_target(program, received))
        return made[0]

    TARGETS[_NAME] = make
    try:
        run_statements(program, statements, program.ingress.span.source.name, str(path), _NAME)
    finally:
        del TARGETS[_NAME]
    return made[0].traces


__all__ = ["trace_stf", "tracing_target"]
