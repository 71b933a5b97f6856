"""Calls of v1model's externs."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from p4cats.compiler.backends.xdp.hashing import HashEmitter
from p4cats.compiler.backends.xdp.statements import Frame
from p4cats.compiler.backends.xdp.storage import AnyPlace, FieldPlace, HeaderPlace, Leaf, Place, StructPlace
from p4cats.compiler.backends.xdp.values import (
    check_width,
    is_composite,
    is_wide,
    mask,
    number,
    trimmed,
    unsigned,
    unsupported,
    width_of,
    word,
)
from p4cats.compiler.ir import nodes
from p4cats.compiler.ir.types import Bits, Enum, Type
from p4cats.compiler.source import Span

if TYPE_CHECKING:
    from p4cats.compiler.backends.xdp.module import Module

DROP_PORT = 511


class ExternEmitter(HashEmitter):
    """Adds externs to statements."""

    def __init__(self, module: Module) -> None:
        super().__init__(module.names, module.scratch, module.pieces)
        self.module = module
        self.frames: list[Frame] = []
        self.updates: list[tuple[str, str, int]] = []
        self.open_ends: list[str] = []

    def is_atomic(self, s: nodes.Stmt) -> bool:
        """True for statements under @atomic."""
        return self.module.is_atomic(s)

    def special(self, s: nodes.Stmt) -> None:
        """Extern calls."""
        if not isinstance(s, nodes.ExternCall):
            super().special(s)
            return
        handler: Callable[[nodes.ExternCall], None] | None
        handler = getattr(self, "_x_" + s.name.replace(".", "_"), None)
        if handler is None:
            raise unsupported(s.span, f"extern {s.name}", "it is not part of v1model as this target knows it")
        handler(s)

    # -- hashes and checksums -----------------------------------------------------------------

    def _x_hash(self, s: nodes.ExternCall) -> None:
        result, algorithm, base, data, top = (a.value for a in s.arguments)
        check_width(result.type, result.span)
        target = self.place(result)
        hashed = self.hash_value(self.algorithm(algorithm), [data], s.span)
        start = self.held(self.value(base), base.type)
        type_ = Bits(128) if is_wide(result.type) else Bits(64)
        if isinstance(top, nodes.Const):
            value = f"({start} + {_modulo(hashed, top.value)})" if top.value else start
        else:
            limit = self.held(f"(u64){self.value(top)}", Bits(64))
            value = f"({limit} ? {start} + {hashed} % {limit} : {start})"
        assert isinstance(result.type, Bits)
        if result.type.signed or width_of(result.type) != width_of(type_):
            value = trimmed(value, result.type)
        self.set(target, value)

    def _checksum(self, s: nodes.ExternCall, payload: bool) -> tuple[str, AnyPlace]:
        condition, data, total, algorithm = (a.value for a in s.arguments)
        check_width(total.type, total.span)
        self.line(f"if ({self.value(condition)}) {{")
        self.depth += 1
        place = self.place(total)
        hashed = self.hash_value(self.algorithm(algorithm), [data], s.span, payload)
        return trimmed(hashed, Bits(min(width_of(total.type), 64))), place

    def _x_update_checksum(self, s: nodes.ExternCall, payload: bool = False) -> None:
        hashed, place = self._checksum(s, payload)
        self.set(place, hashed)
        self.depth -= 1
        self.line("}")

    def _x_verify_checksum(self, s: nodes.ExternCall, payload: bool = False) -> None:
        hashed, place = self._checksum(s, payload)
        guard = f"{place.header.valid} && " if isinstance(place, FieldPlace) else ""
        self.line(f"if ({guard}{hashed} != {self.read(place)}) {{")
        self.depth += 1
        self.set(self.module.standard("checksum_error"), "1ULL")
        self.depth -= 1
        self.line("}")
        self.depth -= 1
        self.line("}")

    def _x_update_checksum_with_payload(self, s: nodes.ExternCall) -> None:
        self._x_update_checksum(s, payload=True)

    def _x_verify_checksum_with_payload(self, s: nodes.ExternCall) -> None:
        self._x_verify_checksum(s, payload=True)

    def _x_Checksum16_get(self, s: nodes.ExternCall) -> None:  # noqa: N802
        if s.target is not None:
            check_width(s.target.type, s.span)
            self.set(self.place(s.target), self.hash_value("csum16", [s.arguments[0].value], s.span))

    # -- state --------------------------------------------------------------------------------

    def _index(self, s: nodes.ExternCall, position: int) -> str:
        """The index in a local; emits `if` against the size (outside: nothing happens)."""
        e = s.arguments[position].value
        code = self.value(e)
        name = self.word_local("index")
        self.line(f"{name} = {f'(u64){code}' if is_wide(e.type) else code};")
        outside = f" && {code} <= {mask(32)}" if is_wide(e.type) else ""
        # The check stays where clang knows that it holds: the verifier may have lost that in a spill.
        self.line(f"CHECKED({name});")
        self.line(f"if ({name} < {self.module.size(s)}{outside}) {{")
        self.depth += 1
        self.line(f"CHECKED({name});")
        return name

    def _close(self) -> None:
        self.depth -= 1
        self.line("}")

    def _x_register_read(self, s: nodes.ExternCall) -> None:
        register = self.module.register(s)
        target = self.place(s.arguments[0].value)
        index = self._index(s, 1)
        alone = self._alone(register.name)
        for leaf, (cname, _, _) in zip(self.flat(target), register.leaves, strict=True):
            wide = is_wide(leaf.type)
            signed = isinstance(leaf.type, Bits) and leaf.type.signed
            kind = ("s" if signed else "u") + ("128" if wide else "64")
            self.set(leaf, f"(({kind}){cname}[{index}])")
        self.hold(alone)
        self._close()

    def _alone(self, register: str) -> bool:
        """Take the lock for a register that others use under it; the state of the lock before."""
        before = self.locked
        if register in self.module.atomic_registers:
            self.hold(True)
        return before

    def _x_register_write(self, s: nodes.ExternCall) -> None:
        register = self.module.register(s)
        value = s.arguments[1].value
        source = self.place(value) if is_composite(value.type) else Place(value.type, self.value(value))
        index = self._index(s, 0)
        alone = self._alone(register.name)
        for leaf, (cname, _, _) in zip(self.flat(source), register.leaves, strict=True):
            self.line(f"{cname}[{index}] = {self.read(leaf)};")
        self.hold(alone)
        self._close()

    def _count(self, array: str, size: int, index: str) -> None:
        """Count this packet in a per-CPU cell; `index` is below `size`."""
        self.line(f"{array}[cpu * {size} + {index}].packets++;")
        self.line(f"{array}[cpu * {size} + {index}].bytes += s->length;")

    def _x_counter_count(self, s: nodes.ExternCall) -> None:
        counter = self.module.counter(s)
        index = self._index(s, 0)
        self._count(counter.cname, counter.size, index)
        self._close()

    def _x_direct_counter_count(self, _: nodes.ExternCall) -> None:
        """Applying the table has counted already."""

    def _x_meter_execute_meter(self, s: nodes.ExternCall) -> None:
        meter = self.module.meter(s)
        check_width(s.arguments[1].value.type, s.span)
        target = self.place(s.arguments[1].value)
        index = self._index(s, 0)
        assert s.instance is not None
        unit = "s->length" if self.module.counts_bytes(s.instance) else "1"
        self.set(target, f"meter_run(&{meter.cname}[{index}], {unit}, now_ns(s))")
        self._close()

    def _x_direct_meter_read(self, s: nodes.ExternCall) -> None:
        assert s.instance is not None
        check_width(s.arguments[0].value.type, s.span)
        self.set(self.place(s.arguments[0].value), self.module.direct_colour(s.instance, self))

    # -- packet fate --------------------------------------------------------------------------

    def _x_mark_to_drop(self, s: nodes.ExternCall) -> None:
        place = self.place(s.arguments[0].value) if s.arguments else self.module.standard_place
        self.set(self.member(place, "egress_spec"), word(DROP_PORT))
        if self.module.writes_multicast:
            self.set(self.member(place, "mcast_grp"), "0ULL")

    def _x_clone(self, s: nodes.ExternCall, fields: int = -1) -> None:
        kind, session = s.arguments[0].value, s.arguments[1].value
        if not isinstance(kind, nodes.Const) or not isinstance(kind.type, Enum):
            raise unsupported(kind.span, "the clone type must be a constant")
        side = "ingress" if kind.type.members[kind.value] == "I2E" else "egress"
        self.module.features.add(f"clone_{side}")
        self.line(f"s->clone_{side} = 1;")
        self.line(f"s->clone_{side}_session = {self.value(session)};")
        self.line(f"s->clone_{side}_list = {fields + 1};")

    def _x_clone_preserving_field_list(self, s: nodes.ExternCall) -> None:
        self._x_clone(s, self._field_list(s.arguments[2].value))

    def _x_clone3(self, s: nodes.ExternCall) -> None:
        self._x_clone(s, self._data_list(s.arguments[2].value))

    def _again(self, what: str, fields: int) -> None:
        self.module.features.add(what)
        self.line(f"s->{what} = {fields + 2};")

    def _x_resubmit_preserving_field_list(self, s: nodes.ExternCall) -> None:
        self._again("resubmit", self._field_list(s.arguments[0].value))

    def _x_resubmit(self, s: nodes.ExternCall) -> None:
        self._again("resubmit", self._data_list(s.arguments[0].value))

    def _x_recirculate_preserving_field_list(self, s: nodes.ExternCall) -> None:
        self._again("recirculate", self._field_list(s.arguments[0].value))

    def _x_recirculate(self, s: nodes.ExternCall) -> None:
        self._again("recirculate", self._data_list(s.arguments[0].value))

    def _field_list(self, index: nodes.Expr) -> int:
        if not isinstance(index, nodes.Const):
            raise unsupported(index.span, "a field list index must be a constant")
        self.module.want_field_list(index.value, index.span)
        return index.value

    def _data_list(self, data: nodes.Expr) -> int:
        """The older externs name the metadata to keep by a list of fields."""
        values = data.values if isinstance(data, nodes.Make) else [data]
        paths = [leaf for value in values for leaf in self._metadata_leaves(value)]
        return self.module.explicit_field_list(paths)

    def _metadata_leaves(self, e: nodes.Expr) -> list[str]:
        if not isinstance(e, nodes.VarRef | nodes.FieldRef):
            return []
        known = {f"s->{name}": path for path, (name, _) in self.scratch.scalars.items()}
        leaves = self.flat(self.place(e))
        return [known[p.code] for p in leaves if isinstance(p, Place) and p.code in known]

    def _x_truncate(self, s: nodes.ExternCall) -> None:
        self.module.features.add("truncate")
        length = self.held(self.value(s.arguments[0].value), Bits(32))
        self.line(f"if (!s->truncated || {length} + 1 < s->truncated)")
        self.line(f"\ts->truncated = {length} + 1;")

    def _x_digest(self, s: nodes.ExternCall) -> None:
        data = s.arguments[1].value
        digest = self.module.digest(s, data.type)
        leaves = self.flat(self.place(data))
        self.line(f"s->digest.ev.number = {digest};")
        self._event_values("s->digest", leaves, s.span)
        self.module.digest_leaves = max(self.module.digest_leaves, len(leaves))

    def _event_values(self, where: str, leaves: list[Leaf], span: Span) -> None:
        for index, leaf in enumerate(leaves):
            check_width(leaf.type, span)
            code = self.held(unsigned(self.read(leaf), leaf.type), leaf.type)
            self.line(f"{where}.values[{2 * index}] = (u64){code};")
            high = f"(u64)({code} >> 64)" if is_wide(leaf.type) else "0"
            self.line(f"{where}.values[{2 * index + 1}] = {high};")

    # -- the rest -----------------------------------------------------------------------------

    def _x_random(self, s: nodes.ExternCall) -> None:
        result, low, high = (a.value for a in s.arguments)
        if is_wide(result.type):
            raise unsupported(s.span, f"random of type {result.type}", "random numbers have at most 64 bits")
        a, b = self.held(self.value(low), low.type), self.held(self.value(high), high.type)
        span = self.word_local("span")
        self.line(f"if ({a} <= {b}) {{")
        self.depth += 1
        self.line(f"{span} = (u64){b} - (u64){a} + 1;")
        drawn = "((u64)bpf_get_prandom_u32() << 32 | bpf_get_prandom_u32())"
        self.set(
            self.place(result), trimmed(f"((u64){a} + ({span} ? {drawn} % {span} : {drawn}))", result.type)
        )
        self._close()

    def _x_assert(self, s: nodes.ExternCall) -> None:
        code = self.module.message(str(s.span), f"{s.name} failed")
        self.line(f"if (!{self.value(s.arguments[0].value)}) {{")
        self.line(f"\ttell(ctx, s, {code}, 0);")
        self.depth += 1
        self.leave(0)
        self.line("goto asserted;")
        self.depth -= 1
        self.line("}")

    def _x_assume(self, s: nodes.ExternCall) -> None:
        self._x_assert(s)

    def _x_log_msg(self, s: nodes.ExternCall) -> None:
        text = s.arguments[0].value
        assert isinstance(text, nodes.StringConst)
        leaves: list[Leaf] = []
        if len(s.arguments) > 1:
            leaves = self.flat(self.place(s.arguments[1].value))
        code = self.module.message(str(s.span), text.value)
        self.module.log_leaves = max(self.module.log_leaves, len(leaves))
        self._event_values("s->log", leaves, s.span)
        self.line(f"tell(ctx, s, {code}, {len(leaves)});")

    def _x_static_assert(self, _: nodes.ExternCall) -> None:
        """Checked by the compiler."""


def _modulo(code: str, top: int) -> str:
    if top > mask(64):
        return code
    if top & (top - 1) == 0:
        return f"({code} & {word(top - 1)})"
    return f"({code} % {word(top)})"


__all__ = ["ExternEmitter", "HeaderPlace", "StructPlace", "Type", "number"]
