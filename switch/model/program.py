"""A program ready to run: generated code bound to its tables, externs and environment."""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable
from types import CodeType
from typing import Any

from p4cats.compiler.backends.model import compile_program
from p4cats.compiler.ir import nodes
from p4cats.compiler.ir.types import Bits, Type
from p4cats.switch.dataplane import Exact, Key, Lpm, Match, Optional, Range, Ternary
from p4cats.switch.model import hashes, support
from p4cats.switch.model.meters import Meters
from p4cats.switch.model.state import Counters, Profile, Registers, size_of
from p4cats.switch.model.tables import Entry, Table, ValueSet

_PROFILES = ("action_profile", "action_selector")
_compiled: deque[tuple[nodes.Program, CodeType]] = deque(maxlen=8)
"""The last programs: a network has many switches and few programs."""


class Engine:
    """Tables, externs and the generated functions of one running program."""

    def __init__(self, program: nodes.Program, clock: Callable[[], int], seed: int | None) -> None:
        self.program = program
        self.clock = clock
        self.random = random.Random(seed)
        self.tables = {table.name: Table(table) for table in program.tables}
        self.value_sets = {v.name: ValueSet(v) for v in program.value_sets}
        self.registers: dict[str, Registers] = {}
        self.counters: dict[str, Counters] = {}
        self.meters: dict[str, Meters] = {}
        self.profiles: dict[str, Profile] = {}
        self.crc16_custom = hashes.Crc(16, hashes.CRC16)
        self.crc32_custom = hashes.Crc(32, hashes.CRC32)
        externs = [self._extern(instance) for instance in program.externs]
        for table in program.tables:
            self._install(table)
        self.functions = self._names(externs)
        exec(self._code(), self.functions)

    def _extern(self, instance: nodes.ExternInstance) -> Any:
        name = instance.name
        if instance.kind == "register":
            return self.registers.setdefault(name, Registers(instance))
        if instance.kind == "counter":
            return self.counters.setdefault(name, Counters(instance))
        if instance.kind == "meter":
            return self.meters.setdefault(name, Meters(size_of(instance), self.clock))
        if instance.kind in _PROFILES:
            return self.profiles.setdefault(name, Profile(instance))
        return None  # direct resources live in the entries

    def _install(self, table: nodes.Table) -> None:
        """Give a table its default action and the entries that the program writes."""
        state = self.tables[table.name]
        self.restore_default(table.name)
        for entry, (match, priority) in zip(table.entries, program_entries(table), strict=True):
            action = state.action_number(entry.call.action.name)
            row = Entry(match, priority, action, state.action_data(action, entry.call.data))
            if (match, priority) not in state.entries:  # the first of equal entries wins
                state.insert(row)

    def restore_default(self, table: str) -> None:
        """Set the default action that the program names."""
        state = self.tables[table]
        call = state.ir.default
        state.set_default(state.action_number(call.action.name), call.data)

    def _code(self) -> CodeType:
        return compiled(self.program)

    def _names(self, externs: list[Any]) -> dict[str, Any]:
        """What generated code finds when it begins."""
        names: dict[str, Any] = {
            "TABLES": [self.tables[t.name] for t in self.program.tables],
            "EXTERNS": externs,
            "VALUE_SETS": [self.value_sets[v.name] for v in self.program.value_sets],
            "clock": self.clock,
            "randint": self.random.randint,
            "crc16_custom": self.crc16_custom,
            "crc32_custom": self.crc32_custom,
        }
        for name in ("crc16", "crc32", "csum16", "csum16_of", "xor16", "identity", "padded"):
            names[name] = getattr(hashes, name)
        for name in ("Stack", "element", "copy_stack", "reset_stack", "log_msg", "AssertionFailed"):
            names[name] = getattr(support, name)
        return names


def compiled(program: nodes.Program) -> CodeType:
    """The program's generated module, compiled once."""
    for known, code in _compiled:
        if known is program:
            return code
    code = compile_program(program)
    _compiled.append((program, code))
    return code


def program_entries(table: nodes.Table) -> list[tuple[Key, int]]:
    """Keys and priorities of the entries that the program writes."""
    keys = [k for k in table.keys if k.match_kind != "selector"]
    return [
        (tuple(_match(p, k) for p, k in zip(entry.patterns, keys, strict=True)), entry.priority)
        for entry in table.entries
    ]


def _match(pattern: nodes.Pattern, key: nodes.Key) -> Match:
    """A key set of an entry in the program as the match of its kind."""
    type_ = key.expression.type
    width = type_.width if isinstance(type_, Bits) else 1
    full = (1 << width) - 1
    value = _constant(pattern.value, type_) & full
    upper = _constant(pattern.mask, type_) & full
    any_, ranged, masked = pattern.kind == "any", pattern.kind == "range", pattern.kind == "mask"
    match key.match_kind:
        case "exact":
            return Exact(value)
        case "lpm":
            length = 0 if any_ else upper.bit_count() if masked else width
            return Lpm(value & (full ^ full >> length), length)
        case "range":
            return Range(0, full) if any_ else Range(value, upper if ranged else value)
        case "optional":
            return Optional(None if any_ or (masked and upper == 0) else value)
        case _:
            under = 0 if any_ else upper if masked else full
            return Ternary(value & under, under)


def _constant(e: nodes.Expr | None, _: Type) -> int:
    return int(e.value) if isinstance(e, nodes.Const) else 0


__all__ = ["Engine", "compiled", "program_entries"]
