"""Applying tables: find the entry's slot, count, then run its action inline.

Entries lie in one array per table (`t_NAME`); what finds them gives a slot number, 0 meaning none:

    index    exact keys of up to 16 bits together: an array of slots, one memory access
    hash     other exact keys: a BPF hash map
    lpm      exact keys and one lpm key: a BPF longest-prefix trie
    ternary  ternary, range, optional, several lpm keys: tuple space search. A hash map holds buckets of a
             few slots, found by a mask's number and the key under that mask; masks are probed in order of
             the best priority below them until none can be better. An entry may lie below a coarser mask
             than its own and is compared in full, ranges too; so many different masks, and ranges, need
             only a few probes (TupleMerge, Daly et al. 2019). What fits below no mask is a list, best
             first. See p4cats.switch.xdp.ternary for who lies where, and how changes stay hidden from
             packets.

The action of an entry is a slot's content that never changes while it is in use: an update fills another
slot and then exchanges one number, so that a packet sees the old entry or the new one.
"""

from __future__ import annotations

from p4cats.compiler.backends.model.tables import match_keys
from p4cats.compiler.backends.xdp.externs import ExternEmitter
from p4cats.compiler.backends.xdp.layout import ActionLayout, KeyField, ParameterLayout, TableLayout
from p4cats.compiler.backends.xdp.storage import Place
from p4cats.compiler.backends.xdp.values import (
    check_width,
    identifier,
    stored_type,
    unsigned,
    unsupported,
    width_of,
)
from p4cats.compiler.ir import nodes
from p4cats.compiler.ir.types import Bits

INDEX_BITS = 16
SPARE_SLOTS = 64
"""Slots beside those of `size` entries: a slot that packets may still use is not filled again at once."""
NO_ACTION = 0xFFFFFFFF
GROUP = 0xFFFFFFFE
"""Action number of an entry that points to a member or group."""


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
        layout = self.module.table(table)
        c = layout.cname
        slot, entry = self.names.fresh("slot"), self.names.fresh("entry")
        self.locals += [f"u32 {slot};", f"struct t_{c} *{entry};"]
        self._find(table, layout, slot)
        if s.hit is not None:
            self.set(self.places[s.hit], f"(u64)({slot} != 0)")
        self.line(f"if (!{slot})")
        self.line(f"\t{slot} = d_{c};")
        self.give_up(f"{slot} >= {layout.slots}", "broken")
        self.line(f"CHECKED({slot});")
        self.line(f"{entry} = &t_{c}[{slot}];")
        if layout.timeout:
            self.line(f"last_{c}[{slot}] = now_ns(s);")
        if layout.counter:
            self._count(f"c_{c}", layout.slots, slot)
        if layout.meter:
            assert table.direct_meter is not None
            unit = "s->length" if self.module.counts_bytes(table.direct_meter) else "1"
            colour = self.module.direct_colour(table.direct_meter, self)
            self.line(f"{colour} = meter_run(&m_{c}[{slot}], {unit}, now_ns(s));")
        if layout.profile:
            self._choose(table, layout, entry)
        self._dispatch(table, layout, entry, s.action_run)

    def _find(self, table: nodes.Table, layout: TableLayout, slot: str) -> None:
        keys = [k for k in table.keys if k.match_kind != "selector"]
        if not keys:
            self.line(f"{slot} = 0;")
            return
        c = layout.cname
        values = []
        for key in keys:
            check_width(key.expression.type, key.span)
            values.append(
                self.held(unsigned(self.value(key.expression), key.expression.type), key.expression.type)
            )
        if layout.kind == "index":
            terms = [
                f"{v} << {f.offset}" if f.offset else v for v, f in zip(values, layout.keys, strict=True)
            ]
            self.line(f"{slot} = ix_{c}[({' | '.join(terms)}) & {hex((1 << layout.key_bits) - 1)}];")
            return
        for field, value in zip(layout.keys, values, strict=True):
            self._store_key(field, value, layout.kind == "lpm")
        if layout.kind == "lpm":
            self.line(f"*(u32 *)s->key = {8 * (layout.key_bytes - 4)};")
        elif layout.key_pad:
            self.line(f"clear((u8 *)s->key + {layout.key_bytes - layout.key_pad}, {layout.key_pad});")
        if layout.kind == "ternary":
            self.line(f"{slot} = find_{c}(s);")
            return
        self.line(f"{slot} = slot_of({layout.look_up('s->key')});")

    def _store_key(self, field: KeyField, value: str, big_endian: bool) -> None:
        """Write one part of the key; tries compare octets in network order."""
        if not big_endian:
            if field.size == 16:
                self.line(f"s->key[{field.offset // 8}] = (u64){value};")
                self.line(f"s->key[{field.offset // 8 + 1}] = (u64)({value} >> 64);")
            else:
                self.line(f"*(u{8 * field.size} *)((u8 *)s->key + {field.offset}) = {value};")
            return
        shift = 8 * field.size - field.width if field.match_kind == "lpm" else 0
        left, offset = 8 * field.size, field.offset
        if shift:
            value = f"({value} << {shift})"
        while left:
            step = next(n for n in (64, 32, 16, 8) if n <= left)
            left -= step
            part = f"({value} >> {left})" if left else value
            self.line(f"ST{step}(s->key, {offset}, {part});")
            offset += step // 8

    def _choose(self, table: nodes.Table, layout: TableLayout, entry: str) -> None:
        """Replace an entry that points to a group by the member that the selector keys pick."""
        assert table.implementation is not None
        selectors = [key.expression for key in table.keys if key.match_kind == "selector"]
        c = layout.cname
        self.line(f"if ({entry}->action == {hex(GROUP)}) {{")
        self.depth += 1
        hashed = "0ULL"
        if selectors:
            hashed = self.hash_value(self.selector_algorithm(table.implementation), selectors, table.span)
        self.line(f"{entry} = member_{c}({entry}->group, {hashed});")
        self.give_up(f"!{entry}", "broken")
        self.depth -= 1
        self.line("}")

    def _dispatch(
        self, table: nodes.Table, layout: TableLayout, entry: str, action_run: nodes.Variable | None
    ) -> None:
        if action_run is not None:
            self.set(self.places[action_run], f"(u64){entry}->action")
        word = "if"
        for number, ref in enumerate(table.actions):
            if not ref.action.body and not any(p.direction == "out" for p in ref.action.parameters):
                continue
            self.at(table.span)
            self.line(f"{word} ({entry}->action == {number}) {{ /* {ref.action.name} */")
            self.depth += 1
            self._run(ref, layout.actions[number], entry)
            self.depth -= 1
            word = "} else if"
        if word != "if":
            self.line("}")

    def _run(self, ref: nodes.ActionRef, layout: ActionLayout, entry: str) -> None:
        action = ref.action
        self.bind([p for p in action.parameters if p.direction], ref.bound)
        data = [p for p in action.parameters if not p.direction]
        for parameter, part in zip(data, layout.parameters, strict=True):
            member = f"{entry}->u.{layout.cname}.{part.cname}"
            if part.size == 16:
                code = f"W128({member}[1], {member}[0])"
                code = f"((s128){code})" if part.signed else code
            else:
                code = f"(({'s64' if part.signed else 'u64'}){member})"
            self.places[parameter] = Place(parameter.type, self.held(code, parameter.type))
        self.inline(action.name, action.locals, action.body)


# -- layouts ----------------------------------------------------------------------------------


def table_layout(table: nodes.Table, cname: str) -> TableLayout:
    """How a table lies in memory."""
    keys = match_keys(table)
    for key in table.keys:
        check_width(key.expression.type, key.span)
    kinds = [key.match_kind for key in keys]
    bits = sum(width_of(k.expression.type) for k in keys)
    if not keys:
        kind = "none"
    elif any(k in ("range", "ternary", "optional") for k in kinds) or kinds.count("lpm") > 1:
        kind = "ternary"
    elif "lpm" in kinds:
        kind = "lpm"
    else:
        kind = "index" if bits <= INDEX_BITS else "hash"
    layout = TableLayout(table.name, cname, kind, size=max(table.size, len(table.entries), 1))
    layout.key_bits = bits
    _place_keys(keys, layout)
    for ref in table.actions:
        layout.actions.append(_action_layout(ref.action))
    layout.counter = table.direct_counter is not None
    layout.meter = table.direct_meter is not None
    layout.timeout = table.support_timeout
    layout.profile = table.implementation.name if table.implementation is not None else ""
    extra = _profile_size(table) if layout.profile else 0
    layout.slots = 2 + layout.size + extra + SPARE_SLOTS
    return layout


def _profile_size(table: nodes.Table) -> int:
    assert table.implementation is not None
    sizes = [
        a.value
        for a in table.implementation.arguments
        if isinstance(a, nodes.Const) and isinstance(a.type, Bits)
    ]
    return min(max(sizes[0] if sizes else 1024, 1), 1 << 16)


def _place_keys(keys: list[nodes.Key], layout: TableLayout) -> None:
    ordered = keys
    if layout.kind == "lpm":
        ordered = sorted(keys, key=lambda k: k.match_kind == "lpm")
    offsets: dict[int, KeyField] = {}
    offset = 4 if layout.kind == "lpm" else 0
    if layout.kind in ("hash", "ternary"):  # the widest first: no gaps; a range has a word of its own
        ordered = sorted(
            keys, key=lambda k: (k.match_kind != "range", -stored_size(width_of(k.expression.type)))
        )
    for key in ordered:
        width = width_of(key.expression.type)
        if layout.kind == "index":
            offsets[id(key)] = KeyField(width, key.match_kind, offset, 0)
            offset += width
            continue
        size = (width + 7) // 8 if layout.kind == "lpm" else stored_size(width)
        if key.match_kind == "range":
            size = max(8, size)
        offsets[id(key)] = KeyField(width, key.match_kind, offset, size)
        offset += size
    layout.keys = [offsets[id(k)] for k in keys]
    if layout.kind in ("hash", "ternary"):
        layout.key_pad = -offset % (4 if layout.kind == "hash" else 8)
        offset += layout.key_pad
    layout.key_bytes = offset


def stored_size(width: int) -> int:
    """Octets of a value of `width` bits in memory."""
    return next(n for n in (1, 2, 4, 8, 16) if width <= 8 * n)


def _action_layout(action: nodes.Action) -> ActionLayout:
    layout = ActionLayout(action.name, f"a_{identifier(action.name)}")
    offset = 0
    for parameter in action.data:
        type_ = parameter.variable.type
        if not isinstance(type_, Bits) and width_of(type_) != 1:
            raise unsupported(parameter.variable.span, f"action data of type {type_}")
        check_width(type_, parameter.variable.span)
        kind, size = stored_type(type_)
        step = min(size, 8)
        offset += -offset % step
        signed = isinstance(type_, Bits) and type_.signed
        name = f"p_{identifier(parameter.variable.name)}"
        layout.parameters.append(ParameterLayout(name, kind, offset, size, signed, width_of(type_)))
        offset += size
    layout.bytes = offset
    return layout
