"""Applying tables: look the key up, count, then run the entry's action inline.

The run-time side is p4cats.switch.model.tables: `TABLES[n]` has `index` (key → entry; all entries of an
exact table, a cache of results for the others), `find` (fills that cache) and `miss` (the default entry).
"""

from __future__ import annotations

from p4cats.compiler.backends.model.expressions import unsupported
from p4cats.compiler.backends.model.externs import ExternEmitter
from p4cats.compiler.backends.model.names import Place, mask
from p4cats.compiler.ir import nodes
from p4cats.compiler.ir.types import Bits, Enum, Error, Varbit

MATCH_KINDS = ("exact", "lpm", "ternary", "range", "optional", "selector")


def match_keys(table: nodes.Table) -> list[nodes.Key]:
    """The keys that take part in the match; CompileError for a match kind that v1model does not have."""
    for key in table.keys:
        if key.match_kind not in MATCH_KINDS:
            raise unsupported(
                key.span, f"match kind {key.match_kind}", f"v1model has {', '.join(MATCH_KINDS)}"
            )
    return [key for key in table.keys if key.match_kind != "selector"]


class TableEmitter(ExternEmitter):
    """Adds table application to statements."""

    def special(self, s: nodes.Stmt) -> None:
        """Tables; the rest is left to the base."""
        if isinstance(s, nodes.ApplyTable):
            self._apply(s)
        else:
            super().special(s)

    def _apply(self, s: nodes.ApplyTable) -> None:
        table = s.table
        name = self.module.table(table)
        entry = self.temporary("entry")
        self._lookup(table, name, entry)
        if s.hit is not None:
            self.set(self.places[s.hit], f"{entry}.hit")
        if table.support_timeout:
            self.line(f"{entry}.last_hit = clock()")
        if table.direct_counter is not None:
            self.line(f"{entry}.packets += 1")
            self.line(f"{entry}.bytes += packet.length")
        if table.direct_meter is not None:
            colour = self.module.direct_colour(table.direct_meter)
            unit = "packet.length" if self.module.counts_bytes(table.direct_meter) else "1"
            self.line(f"{colour} = {entry}.meter.execute({unit}) if {entry}.meter else 0")
        if table.implementation is not None:
            self._choose(table, entry)
        self.module.hook(self, "table", f"{table.name} {entry}")
        self._dispatch(table, entry, s.action_run)

    def _lookup(self, table: nodes.Table, name: str, entry: str) -> None:
        keys = match_keys(table)
        if not keys:
            self.line(f"{entry} = {name}_miss")
            return
        parts = [self._key_part(key) for key in keys]
        code = parts[0] if len(parts) == 1 else f"({', '.join(parts)})"
        if all(key.match_kind == "exact" for key in keys):
            self.line(f"{entry} = {name}_get({code}, {name}_miss)")
            return
        held = self.temporary("key")
        self.line(f"{held} = {code}")
        self.line(f"{entry} = {name}_get({held}) or {name}_find({held})")

    def _key_part(self, key: nodes.Key) -> str:
        type_ = key.expression.type
        if isinstance(type_, Varbit):
            return f"{self.atom(key.expression)}[1]"
        if isinstance(type_, Bits) and type_.signed:
            return f"{self.atom(key.expression)} & {hex(mask(type_.width))}"
        return self.bare(key.expression)

    def _choose(self, table: nodes.Table, entry: str) -> None:
        """Replace an entry that points to a group by the member that the selector keys pick."""
        assert table.implementation is not None
        selectors = [key.expression for key in table.keys if key.match_kind == "selector"]
        if not selectors:
            self.line(f"if {entry}.group:")
            self.line(f"    {entry} = {entry}.group[0]")
            return
        self.line(f"if {entry}.group:")
        self.depth += 1
        hashed = self.hash_call(self.selector_algorithm(table.implementation), selectors)
        self.line(f"{entry} = {entry}.group[{hashed} % len({entry}.group)]")
        self.depth -= 1

    def _dispatch(self, table: nodes.Table, entry: str, action_run: nodes.Variable | None) -> None:
        numbered = enumerate(table.actions)
        live = [(n, ref) for n, ref in numbered if ref.action.body or self._has_outputs(ref.action)]
        run = f"{entry}.action"
        if action_run is not None:
            self.set(self.places[action_run], run)
        if len(live) > 1:
            name = self.temporary("action")
            self.line(f"{name} = {run}")
            run = name
        word = "if"
        for number, ref in live:
            self.at(table.span)
            self.line(f"{word} {run} == {number}:  # {ref.action.name}")
            self.depth += 1
            before = len(self.lines)
            self._run(ref, entry)
            if len(self.lines) == before:
                self.line("pass")
            self.depth -= 1
            word = "elif"

    def _has_outputs(self, action: nodes.Action) -> bool:
        return any(p.direction == "out" for p in action.parameters)

    def _run(self, ref: nodes.ActionRef, entry: str) -> None:
        action = ref.action
        data = [p for p in action.parameters if not p.direction]
        directed = [p for p in action.parameters if p.direction]
        self.bind(directed, ref.bound)
        names = []
        for parameter in data:
            if isinstance(parameter.type, Enum | Error | Varbit):
                raise unsupported(parameter.span, f"action data of type {parameter.type}")
            place = Place(parameter.type, self.temporary(parameter.name))
            self.places[parameter] = place
            names.append(place.code)
        if names:
            self.line(f"{', '.join(names)}{',' if len(names) == 1 else ''} = {entry}.data")
        self.inline(action.locals, action.body)
