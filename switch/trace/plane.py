"""A ModelDataPlane that tells every step of its packets."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Sequence
from types import CodeType
from typing import Any

from p4cats.compiler.backends.model.trace import TRACER, Traced, generate_traced
from p4cats.compiler.ir import nodes
from p4cats.switch.dataplane import Replica
from p4cats.switch.model.dataplane import ModelDataPlane
from p4cats.switch.model.pipeline import RECIRCULATED
from p4cats.switch.model.program import Engine
from p4cats.switch.model.support import AssertionFailed, Packet
from p4cats.switch.trace.tracer import PacketTrace, Tracer

CPU_PORT = 510
_MOST_ROUNDS = 100
"""A program whose copies are copied again must not keep a trace from its end."""

_traced: deque[tuple[nodes.Program, Traced]] = deque(maxlen=4)


class TraceClock:
    """Nanoseconds that stand still while a packet is on its way."""

    def __init__(self) -> None:
        self.now_ns = 0

    def __call__(self) -> int:
        """The time now."""
        return self.now_ns


class _Drops(Counter[str]):
    """Tells the tracer what is counted."""

    def __init__(self, tracer: Tracer) -> None:
        super().__init__()
        self._tracer = tracer

    def __setitem__(self, reason: str, count: int) -> None:
        super().__setitem__(reason, count)
        self._tracer.dropped(reason)


class _Events:
    """What leaves a data plane other than by a port."""

    def __init__(self, tracer: Tracer) -> None:
        self._tracer = tracer

    def packet_in(self, packet: bytes) -> None:
        self._tracer.left("packet_in", packet)

    def digest(self, name: str, values: tuple[object, ...]) -> None:
        self._tracer.note(
            "digest", f"digest {name} to the controller: {values}", name=name, values=list(values)
        )

    def idle(self, table: str, entries: object) -> None:
        """Time stands still: nothing is idle."""


class _TraceEngine(Engine):
    """Runs the tracing variant."""

    def __init__(
        self, program: nodes.Program, clock: Callable[[], int], seed: int | None, plane: TracePlane
    ) -> None:
        self._plane = plane
        super().__init__(program, clock, seed)

    def _code(self) -> CodeType:
        return self._plane.traced.code()

    def _names(self, externs: list[Any]) -> dict[str, Any]:
        self._plane.prepare_registers(self)
        return super()._names(externs) | {TRACER: self._plane.tracer}


class TracePlane(ModelDataPlane):
    """The model target with a tracer; packets go nowhere.

    `cells(name)` may give the cells of a register (a mapping from index to value) before code is bound to
    them: this is how cells come from a switch when they are first asked for.
    """

    def __init__(
        self,
        program: nodes.Program,
        *,
        cpu_port: int = CPU_PORT,
        cells: Callable[[nodes.ExternInstance], Any] | None = None,
        seed: int | None = 0,
        clock: Callable[[], int] | None = None,
    ) -> None:
        self.traced = traced(program)
        self.tracer = Tracer(program, self.traced.sites)
        self._cells = cells
        super().__init__(
            program,
            self._left,
            _Events(self.tracer),
            cpu_port=cpu_port,
            clock=clock or TraceClock(),
            seed=seed,
        )
        self.drops = _Drops(self.tracer)

    def _engine(self, program: nodes.Program, clock: Callable[[], int], seed: int | None) -> Engine:
        engine = _TraceEngine(program, clock, seed, self)
        self.tracer.engine = engine
        return engine

    def trace(self, port: int, packet: bytes) -> PacketTrace:
        """Let a packet come in by a port; everything that comes of it."""
        self.process(port, packet)
        for _ in range(_MOST_ROUNDS):  # copies that egress has made may be queued still
            if not self.queues.waiting:
                break
            self.run()
        if not self.tracer.outcome:
            self.tracer.note("nothing", "nothing left the switch")
        return self.tracer.take(port, packet)

    def prepare_registers(self, engine: Engine) -> None:
        """Called by the engine before it runs generated code for the first time."""
        if self._cells is None:
            return
        for instance in self.program.externs:
            if instance.kind == "register" and (cells := self._cells(instance)) is not None:
                engine.registers[instance.name].cells = cells

    def _left(self, port: int, packet: bytes) -> None:
        self.tracer.left("transmit", packet, port=port)

    # -- blocks -------------------------------------------------------------------------------

    def _bind(self) -> None:
        super()._bind()
        program = self.program
        self._parse = self._told("parser", program.parser.name, self._parse, first=1)
        self._verify = self._told("verify", program.verify_checksum.name, self._verify)
        self._ingress = self._told("ingress", program.ingress.name, self._ingress)
        self._egress = self._told("egress", program.egress.name, self._egress)
        self._compute = self._told("compute", program.compute_checksum.name, self._compute)
        self._deparse = self._told("deparser", program.deparser.name, self._deparse)

    def _told(self, kind: str, name: str, function: Callable[..., Any], first: int = 0) -> Callable[..., Any]:
        def call(*arguments: Any) -> Any:
            packet: Packet = arguments[first]
            self.tracer.enter(
                kind, name, packet, **({"port": packet.sm.egress_port} if kind == "egress" else {})
            )
            result = function(*arguments)
            if kind == "deparser" and packet.payload:
                size = len(packet.payload)
                self.tracer.note(
                    "payload", f"then {size} {'byte' if size == 1 else 'bytes'} of payload", length=size
                )
            return result

        return call

    # -- between blocks -----------------------------------------------------------------------

    def _enqueue(self, port: int, packet: Packet) -> None:
        self.tracer.note("enqueue", f"to egress, port {port}", port=port)
        super()._enqueue(port, packet)

    def _resubmit(self, packet: Packet) -> None:
        self.tracer.note("resubmit", "resubmitted: the packet as it came goes through ingress again")
        super()._resubmit(packet)

    def _fresh(self, packet: Packet, data: bytes, instance_type: int, keep: Any) -> Packet:
        if instance_type == RECIRCULATED:
            self.tracer.note(
                "recirculate",
                f"recirculated: these {len(data)} bytes go through ingress again",
                bytes=data.hex(),
            )
        return super()._fresh(packet, data, instance_type, keep)

    def _multicast(self, packet: Packet, replicas: Sequence[Replica], kind: int, unknown: str) -> None:
        if replicas:
            shown = ", ".join(f"port {r.port} (instance {r.instance})" for r in replicas)
            self.tracer.note(
                "replicate",
                f"{len(replicas)} {'copies' if len(replicas) > 1 else 'copy'}: {shown}",
                group=packet.sm.mcast_grp,
                replicas=[{"port": r.port, "instance": r.instance} for r in replicas],
            )
        super()._multicast(packet, replicas, kind, unknown)

    def _clone_ingress(self, packet: Packet, ingress_port: int) -> None:
        assert packet.clone_ingress is not None
        self._cloned(packet.clone_ingress[0], "as it came")
        super()._clone_ingress(packet, ingress_port)

    def _clone_egress(self, packet: Packet) -> None:
        assert packet.clone_egress is not None
        self._cloned(packet.clone_egress[0], "as it is now")
        super()._clone_egress(packet)

    def _cloned(self, session: int, what: str) -> None:
        self.tracer.note("clone", f"cloned {what}, session {session}", session=session)

    def _failed(self, error: AssertionFailed) -> None:
        self.tracer.note("assertion", f"{error}", error=str(error))
        self.drops["assertion failed"] += 1


def traced(program: nodes.Program) -> Traced:
    """The tracing variant of a program, made once."""
    for known, found in _traced:
        if known is program:
            return found
    made = generate_traced(program)
    _traced.append((program, made))
    return made


__all__ = ["CPU_PORT", "TraceClock", "TracePlane", "traced"]
