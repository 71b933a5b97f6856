"""Forwarding pipelines: verify, save, commit, reconcile (P4Runtime section 7).

A saved pipeline has a data plane of its own from the start, to which writes go; commit lets packets run
through it. So nothing is replayed at commit, and packets see the old pipeline or the new one, whole.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from finsy.proto import p4i, p4r

from p4cats.compiler.ir import nodes as ir
from p4cats.switch import dataplane as dp
from p4cats.switch.digests import Clock
from p4cats.switch.errors import invalid, not_found, precondition
from p4cats.switch.portstate import PortState
from p4cats.switch.reconcile import carry_over
from p4cats.switch.store import Store
from p4cats.switch.target import Target

Action = p4r.SetForwardingPipelineConfigRequest.Action


@dataclass(frozen=True)
class Program:
    """A compiled program: what it says to controllers, and the text it came from."""

    ir: ir.Program
    info: p4i.P4Info
    config: bytes


class Listener(Protocol):
    """Hears what pipelines have to say to controllers."""

    def packet_in(self, packet: p4r.PacketIn) -> None:
        """A packet for the controllers."""

    def digest(self, message: p4r.DigestList) -> None:
        """A digest list."""

    def idle(self, entries: Sequence[p4r.TableEntry]) -> None:
        """Entries that were idle."""


class Pipeline:
    """A program in its data plane with its state store; hears the data plane's events."""

    def __init__(self, program: Program, cookie: int | None, target: Target, host: Pipelines) -> None:
        self.program = program
        self.cookie = cookie
        self._listener = host.listener
        self.dataplane = target.load(program.ir, self)
        self.store = Store(
            program.ir,
            program.info,
            self.dataplane,
            ports=host.ports,
            clock=host.clock,
            send_digest=host.listener.digest,
            cpu_port=host.cpu_port,
        )

    def packet_in(self, packet: bytes) -> None:
        """A packet left by the CPU port."""
        message = self.store.packet_in(packet)
        if message is not None:
            self._listener.packet_in(message)

    def digest(self, name: str, values: tuple[object, ...]) -> None:
        """The program made a digest message."""
        self.store.digest(name, values)

    def idle(self, table: str, entries: Sequence[tuple[dp.Key, int]]) -> None:
        """Entries were not hit for their idle timeout."""
        messages = self.store.idle(table, entries)
        if messages:
            self._listener.idle(messages)


class Pipelines:
    """The pipeline that forwards, and the one that was saved after it."""

    def __init__(
        self,
        target: Target,
        compile_config: Callable[[bytes], Program],
        *,
        listener: Listener,
        ports: PortState,
        clock: Clock,
        cpu_port: int,
    ) -> None:
        self._target = target
        self._compile = compile_config
        self.listener = listener
        self.ports = ports
        self.clock = clock
        self.cpu_port = cpu_port
        self.forwarding: Pipeline | None = None
        self.saved: Pipeline | None = None
        self.atomic_batches: bool = getattr(target, "atomic_batches", False)
        """Whether the target can hide a batch from packets until it is complete."""

    @property
    def configured(self) -> Pipeline | None:
        """The pipeline that reads and writes refer to: the one set last."""
        return self.saved or self.forwarding

    def require(self) -> Pipeline:
        """The configured pipeline, or FAILED_PRECONDITION."""
        pipeline = self.configured
        if pipeline is None:
            raise precondition("no forwarding pipeline config is set: send SetForwardingPipelineConfig first")
        return pipeline

    def compile(self, config: p4r.ForwardingPipelineConfig) -> Program:
        """Compile a configuration; INVALID_ARGUMENT where it cannot be realised.

        Touches no state of this object but the configured pipeline, so it may run beside the event loop.
        """
        pipeline = self.configured
        given = config.p4info if config.HasField("p4info") and config.p4info.ByteSize() else None
        if not config.p4_device_config:
            if pipeline is not None and given is not None and given == pipeline.program.info:
                return pipeline.program
            raise invalid("p4_device_config is empty: send the program's preprocessed P4 source text")
        if pipeline is not None and config.p4_device_config == pipeline.program.config:
            program = pipeline.program
        else:
            program = self._compile(config.p4_device_config)
        if given is not None:
            _check_info(given, program.info)
        return program

    def set(self, action: Action.ValueType, program: Program | None, cookie: int | None) -> None:
        """Carry out an action; `program` is None for COMMIT only."""
        if action == Action.COMMIT:
            if self.saved is None:
                raise not_found("COMMIT: no pipeline was saved (VERIFY_AND_SAVE)")
            self._switch_to(self.saved)
            return
        if program is None:
            raise invalid(f"{Action.Name(action)} needs a config")
        match action:
            case Action.VERIFY:
                self._target.discard(Pipeline(program, cookie, self._target, self).dataplane)
            case Action.VERIFY_AND_SAVE:
                pipeline = Pipeline(program, cookie, self._target, self)
                self._drop(self.saved)
                self.saved = pipeline
            case Action.VERIFY_AND_COMMIT:
                self._switch_to(Pipeline(program, cookie, self._target, self))
            case Action.RECONCILE_AND_COMMIT:
                self._reconcile(program, cookie)
            case _:
                raise invalid("the action is not set")

    def _reconcile(self, program: Program, cookie: int | None) -> None:
        old = self.configured
        if old is not None and old is self.forwarding and program is old.program:
            old.cookie = cookie
            return
        new = Pipeline(program, cookie, self._target, self)
        if old is not None:
            try:
                carry_over(old.store, new.store)
            except BaseException:
                self._drop(new)
                raise
        self._switch_to(new)

    def _switch_to(self, pipeline: Pipeline) -> None:
        old = self.forwarding
        self._target.activate(pipeline.dataplane)
        self.forwarding = pipeline
        if self.saved is not pipeline:
            self._drop(self.saved)
        self.saved = None
        self._drop(old)

    def _drop(self, pipeline: Pipeline | None) -> None:
        if pipeline is not None:
            pipeline.store.close()
            self._target.discard(pipeline.dataplane)

    def port_changed(self, port: int) -> None:
        """A port went up or down."""
        for pipeline in (self.forwarding, self.saved):
            if pipeline is not None:
                pipeline.store.port_changed(port)

    def close(self) -> None:
        """Free everything."""
        self._drop(self.saved)
        self._drop(self.forwarding)
        self.saved = self.forwarding = None


def _check_info(given: p4i.P4Info, computed: p4i.P4Info) -> None:
    """INVALID_ARGUMENT unless a controller's P4Info is the program's; order of objects does not count."""
    for descriptor in p4i.P4Info.DESCRIPTOR.fields:
        name = descriptor.name
        ours, theirs = getattr(computed, name), getattr(given, name)
        if name in ("pkg_info", "type_info"):
            if ours != theirs:
                raise invalid(f"the P4Info is not the program's: {name} differs")
            continue
        if name == "externs":
            continue
        by_id = {o.preamble.id: o for o in ours}
        for message in theirs:
            other = by_id.pop(message.preamble.id, None)
            if other != message:
                how = "is not in the program" if other is None else "differs"
                raise invalid(f"the P4Info is not the program's: {name} {message.preamble.name!r} {how}")
        if by_id:
            missing = next(iter(by_id.values())).preamble.name
            raise invalid(f"the P4Info is not the program's: {name} {missing!r} is missing")


__all__ = ["Action", "Listener", "Pipeline", "Pipelines", "Program"]
