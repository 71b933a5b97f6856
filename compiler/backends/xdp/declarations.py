"""What stands before the packet's way: the scratch area, tables, extern state, helpers that need them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from p4cats.compiler.backends.xdp.layout import BUCKET, TableLayout, ValueSetLayout

if TYPE_CHECKING:
    from p4cats.compiler.backends.xdp.module import Module

POOL = 1 << 15
"""Places of members in all groups of a table."""
GROUPS = 4096
HASHED_BYTES = 512


def declarations(module: Module) -> list[str]:
    """The C text before p4_main."""
    # The file that was written: the program itself may be a device configuration.
    name = module.program.ingress.span.source.name
    lines = [
        "/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */",
        f"/* Generated from {name} by p4cats (target xdp). Do not edit: compile it again. */",
        '#include "p4xdp.h"',
        "",
        "#ifndef CPUS",
        "#define CPUS 64",
        "#endif",
        "#define LOOPBACK 1",
        "",
        *_scratch(module),
        *_COMMON,
    ]
    lines += _maps_of_maps(module)
    for table in module.tables.values():
        lines += _table(table)
    for register in module.registers.values():
        for (cname, _, _), kind in zip(register.leaves, register.leaf_types, strict=True):
            lines.append(f"{kind} {cname}[{register.size}]; /* register {register.name} */")
    for counter in module.counters.values():
        lines.append(f"struct p4_cell {counter.cname}[CPUS * {counter.size}]; /* counter {counter.name} */")
    for meter in module.meters.values():
        lines.append(f"struct p4_meter {meter.cname}[{meter.size}]; /* meter {meter.name} */")
    for value_set in module.value_sets.values():
        lines += _value_set(value_set)
    lines += _features(module)
    return lines


def _members(members: list[tuple[int, str]]) -> list[str]:
    """Largest first: no gaps."""
    return [f"\t{text}" for _, text in sorted(members, key=lambda m: -m[0])]


def _scratch(module: Module) -> list[str]:
    state = list(module.scratch.state)
    for side in ("ingress", "egress"):
        if f"clone_{side}" in module.features:
            state += [
                (4, f"u32 clone_{side}_session;"),
                (4, f"u32 clone_{side}_list;"),
                (1, f"u8 clone_{side};"),
            ]
    for again in ("resubmit", "recirculate", "truncated"):
        if again in module.features or (again == "truncated" and "truncate" in module.features):
            state.append((4, f"u32 {again};"))
    lines = ["struct scratch {", "\tstruct p4_event ev;", "\tu64 metadata[0] __attribute__((aligned(16)));"]
    lines += _members(module.scratch.metadata)
    lines += ["\tu64 metadata_end[0];", "\tu64 flags[0];", *_members(state)]
    if "digest" in module.features:
        lines.append(
            f"\tstruct {{ struct p4_event ev; u64 values[{2 * max(module.digest_leaves, 1)}]; }} digest;"
        )
    lines += ["\tu64 state_end[0];", *(f"\t{text}" for text in module.scratch.headers)]
    lines += ["\tu32 length;", "\tu64 image_end[0];", "\tu64 now;", "\tu32 pos, base;"]
    lines += [f"\t{text}" for text in module.scratch.shared]
    words = max((t.key_bytes // 8 for t in module.tables.values() if t.kind == "ternary"), default=0)
    if words:
        lines.append(f"\tu64 probe[{words + 1}];")
    lines += ["\tu64 key[40];", "\tu8 look[264] __attribute__((aligned(8)));"]
    if module.slow_hashes:
        lines += [f"\tu8 hashed[{HASHED_BYTES + 72}] __attribute__((aligned(8)));", "\tu32 hashed_bits;"]
        lines += ["\tu64 chunk[9];"]
    if "log" in module.features:
        lines.append(f"\tstruct {{ struct p4_event ev; u64 values[{2 * max(module.log_leaves, 1)}]; }} log;")
    lines += ["} __attribute__((aligned(64)));", ""]
    offset = "__builtin_offsetof(struct scratch, {})"
    lines += [
        f"#define METADATA {offset.format('metadata')}",
        f"#define METADATA_BYTES ({offset.format('metadata_end')} - METADATA)",
        "#define STATE METADATA",
        f"#define STATE_BYTES ({offset.format('state_end')} - STATE)",
        f"#define IMAGE_BYTES {offset.format('image_end')}",
    ]
    packet_length = "packet_length"
    if module.reads(packet_length):
        lines.append(f"#define SET_PACKET_LENGTH {module.scalar(packet_length)} = s->length;")
    else:
        lines.append("#define SET_PACKET_LENGTH")
    lines += ["", "INLINE void forget_places(struct scratch *s)", "{"]
    for name, count in module.scratch.places_in_packet:
        names = [f"{name}[{i}]" for i in range(count)] if count else [name]
        lines += [f"\ts->{n} = NOWHERE;" for n in names]
    return [*lines, "}", ""]


_COMMON = r"""struct scratch scratch[CPUS];
struct { u32 ifindex, port; } inports[1024];
struct { u64 ingress, egress, failed, no_room, loop_limit, asserted, no_port, lost_events; } drops[CPUS];
u64 start_ns;
u32 zero;	/* these are 0, but the verifier must not know */
u64 nothing;
u32 atomic __attribute__((aligned(64)));	/* the lock of @atomic */
const volatile u32 cpu_port = 510;

struct {
	__uint(type, BPF_MAP_TYPE_DEVMAP);
	__uint(max_entries, 512);
	__uint(key_size, 4);
	__uint(value_size, 4);
} ports SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERF_EVENT_ARRAY);
	__uint(key_size, 4);
	__uint(value_size, 4);
} events SEC(".maps");

/* The port number of an interface: four places to look at, filled by the loader. */
INLINE u32 port_of(u32 ifindex)
{
	for (u32 i = 0; i < 4; i++)
		if (inports[(ifindex + i) & 1023].ifindex == ifindex)
			return inports[(ifindex + i) & 1023].port;
	return NO_PORT;
}

INLINE u64 now_ns(struct scratch *s)
{
	if (!s->now)
		s->now = bpf_ktime_get_ns();
	return s->now;
}

/* Microseconds of the kernel's monotonic clock, or of a test's, 48 bits. */
INLINE u64 now_us(struct scratch *s)
{
	return (now_ns(s) - start_ns) / 1000 & 0xffffffffffffULL;
}

INLINE u32 packet_end(struct xdp_md *ctx) { return bpf_xdp_get_buff_len(ctx); }
INLINE u32 packet_bytes(struct xdp_md *ctx, u32 base) { return packet_end(ctx) - base; }

/* Tell user space something, or count that there was no room for it. */
INLINE void send_record(struct xdp_md *ctx, u64 flags, void *data, u64 size)
{
	u32 cpu = bpf_get_smp_processor_id();

	if (bpf_perf_event_output(ctx, &events, flags, data, size) && cpu < CPUS)
		drops[cpu].lost_events++;
}

/* Tell user space: an event, `size` octets of the scratch area from its begin, and the whole packet. */
static __attribute__((noinline)) int send_octets(struct xdp_md *ctx, struct scratch *s, u32 kind, u32 size)
{
	u64 all = packet_end(ctx);
	if (!s || !ctx || size < sizeof(struct p4_event) || size > sizeof(struct scratch))
		return 0;
	s->ev.kind = kind;
	s->ev.pad = all;
	s->ev.base = s->base;
	s->ev.pos = s->pos;
	s->ev.length = s->length;
	s->ev.now_ns = s->now;
	send_record(ctx, BPF_F_CURRENT_CPU | (all & 0xfffff) << 32, s, size);
	return 0;
}

INLINE void send_event(struct xdp_md *ctx, struct scratch *s, u32 kind, u32 number, u32 list, u32 size)
{
	s->ev.number = number;
	s->ev.extra = list;
	send_octets(ctx, s, kind, size);
}

INLINE u32 slot_of(u32 *found) { return found ? *found : 0; }

INLINE int take_varbit(struct xdp_md *ctx, u8 *to, u32 from, u32 n, u32 most)
{
	asm volatile("" : "+r"(n)); /* lest clang prove what the verifier then cannot */
	if (n == 0)
		return 0;
	if (n > most)
		return 1;
	return bpf_xdp_load_bytes(ctx, from, to, n) ? 1 : 0;
}

INLINE int put_varbit(struct xdp_md *ctx, u8 *of, u32 to, u32 n, u32 most)
{
	asm volatile("" : "+r"(n)); /* lest clang prove what the verifier then cannot */
	if (n == 0)
		return 0;
	if (n > most)
		return 1;
	return bpf_xdp_store_bytes(ctx, to, of, n) ? 1 : 0;
}
""".splitlines()


def _table(t: TableLayout) -> list[str]:
    c = t.cname
    lines = ["", f"/* table {t.name}: {t.kind} */", f"struct t_{c} {{", "\tu32 action, group;", "\tunion {"]
    for action in t.actions:
        if action.parameters:
            lines.append("\t\tstruct {")
            for p in action.parameters:
                kind, array = ("u64", "[2]") if p.size == 16 else (p.ctype, "")
                lines.append(f"\t\t\t{kind} {p.cname}{array};")
            lines.append(f"\t\t}} {action.cname};")
    data = max((a.bytes for a in t.actions), default=0)
    lines += [f"\t\tu64 all[{(data + 7) // 8}];", "\t} u;", "};"]
    lines.append(f'_Static_assert(sizeof(struct t_{c}) == {t.entry_bytes}, "layout");')
    lines += [f"struct t_{c} t_{c}[{t.slots}];", f"u32 d_{c};"]
    if t.counter:
        lines.append(f"struct p4_cell c_{c}[CPUS * {t.slots}];")
    if t.meter:
        lines.append(f"struct p4_meter m_{c}[{t.slots}];")
    if t.timeout:
        lines.append(f"u64 last_{c}[{t.slots}];")
    match t.kind:
        case "index":
            lines.append(f"u32 ix_{c}[{1 << t.key_bits}];")
        case "hash":
            lines += _map(t)
        case "lpm":
            lines += _map(t)
        case "ternary":
            lines += _ternary(t)
        case _:
            pass
    if t.profile:
        lines += _groups(t)
    return lines


def _map(t: TableLayout) -> list[str]:
    """The table's map, where it was not defined with others."""
    return [] if t.maps else _map_alone(t)


def _map_alone(t: TableLayout) -> list[str]:
    return [*_map_struct(t, "", t.size + 1), f'}} map_{t.cname} SEC(".maps");']


def _map_struct(t: TableLayout, name: str, entries: int) -> list[str]:
    """A map's definition up to its closing brace."""
    key_bytes, value_bytes = t.map_octets
    lines = [f"struct {name} {{" if name else "struct {", f"\t__uint(type, BPF_MAP_TYPE_{t.map_type});"]
    lines.append(f"\t__uint(max_entries, {entries});")
    if t.map_type == "LPM_TRIE":
        lines.append("\t__uint(map_flags, BPF_F_NO_PREALLOC);")
    return [*lines, f"\t__uint(key_size, {key_bytes});", f"\t__uint(value_size, {value_bytes});"]


def _maps_of_maps(module: Module) -> list[str]:
    """For programs with more tables than maps that the kernel lets a program name."""
    groups: dict[str, list[TableLayout]] = {}
    for table in module.tables.values():
        if table.maps:
            groups.setdefault(table.maps, []).append(table)
    lines: list[str] = []
    for name, tables in groups.items():
        for table in tables:
            lines += _map_alone(table)
        lines += [*_map_struct(tables[0], f"in_{name}", 1), "};", "struct {"]
        lines += ["\t__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);", f"\t__uint(max_entries, {len(tables)});"]
        lines += ["\t__uint(key_size, 4);", f"\t__array(values, struct in_{name});"]
        places = ", ".join(f"(void *)&map_{t.cname}" for t in tables)
        lines.append(f'}} {name} SEC(".maps") = {{ .values = {{ {places} }} }};')
    return [*lines, *_LOOK_UP_IN] if groups else []


_LOOK_UP_IN = r"""INLINE void *look_up_in(void *maps, u32 place, const void *key)
{
	void *map = bpf_map_lookup_elem(maps, &place);
	return map ? bpf_map_lookup_elem(map, key) : 0;
}
""".splitlines()


def _words(array: str, at: int, count: int) -> str:
    """One or two words of an array as a number."""
    return f"{array}[{at}]" if count == 1 else f"W128({array}[{at + 1}], {array}[{at}])"


def _ternary(t: TableLayout) -> list[str]:
    """Masks, buckets and the list. A range has its ends in the place of value and mask."""
    c, words = t.cname, t.key_bytes // 8
    ranges = {f.offset // 8: f.size // 8 for f in t.keys if f.match_kind == "range"}
    tests = [
        f"{_words('s->key', i, n)} < {_words('e->value', i, n)} || "
        f"{_words('s->key', i, n)} > {_words('e->mask', i, n)}"
        for i, n in ranges.items()
    ]
    tests += [f"(s->key[{i}] ^ e->value[{i}]) & e->mask[{i}]" for i in range(sum(ranges.values()), words)]
    test = " ||\n\t    ".join(f"({text})" for text in tests)
    probe = "\n\t".join(f"s->probe[{i + 1}] = s->key[{i}] & m->mask[{i}];" for i in range(words))
    return [
        f"struct e_{c} {{ u64 value[{words}], mask[{words}], rank; }} e_{c}[{t.slots}]; /* by slot */",
        f"struct {{ u64 mask[{words}], best, number; }} masks_{c}[{2 * t.masks}];",
        f"u32 list_{c}[{2 * t.size}], n_masks_{c}[2], n_list_{c}[2];",
        f"u32 generation_{c}, changes_{c};",
        *_map(t),
        *f"""struct at_{c} {{ struct scratch *s; u64 rank; u32 slot, list, masks; }};
/* True if entries in order of priority need no further look: this one is it, or all that follow are worse. */
INLINE u32 settles_{c}(struct at_{c} *c, u32 slot)
{{
	struct scratch *s = c->s;
	struct e_{c} *e;
	if (!slot || slot >= {t.slots})
		return 1;
	CHECKED(slot);
	e = &e_{c}[slot];
	if (e->rank <= c->rank)
		return 1;
	if ({test})
		return 0;
	c->rank = e->rank;
	c->slot = slot;
	return 1;
}}
static long see_{c}(u32 i, struct at_{c} *c)
{{
	u32 n = c->list + i;
	if (n >= {2 * t.size})
		return 1;
	CHECKED(n);
	return settles_{c}(c, list_{c}[n]);
}}
static long probe_{c}(u32 i, struct at_{c} *c)
{{
	struct scratch *s = c->s;
	u32 n = c->masks + i, *bucket;
	typeof(masks_{c}[0]) *m;
	if (n >= {2 * t.masks})
		return 1;
	CHECKED(n);
	m = &masks_{c}[n];
	if (m->best <= c->rank)
		return 1;
	s->probe[0] = m->number;
	{probe}
	bucket = {t.look_up("s->probe")};
	if (!bucket)
		return 0;
#pragma clang loop unroll(full)
	for (u32 k = 0; k < {BUCKET}; k++)
		if (settles_{c}(c, bucket[k]))
			break;
	return 0;
}}
/* The slot of the best entry. A look-up that a change has overtaken is begun anew. */
__attribute__((noinline)) int find_{c}(struct scratch *s)
{{
	struct at_{c} at = {{}};
	if (!s)
		return 0;
#pragma clang loop unroll(disable)
	for (u32 tries = 0; tries < 8; tries++) {{
		u32 changes = *(volatile u32 *)&changes_{c}, now = *(volatile u32 *)&generation_{c} & 1;
		at.s = s;
		at.rank = 0;
		at.slot = 0;
		at.list = now ? {t.size} : 0;
		at.masks = now ? {t.masks} : 0;
		if (n_list_{c}[now])
			bpf_loop(n_list_{c}[now], see_{c}, &at, 0);
		if (n_masks_{c}[now])
			bpf_loop(n_masks_{c}[now], probe_{c}, &at, 0);
		if (changes == *(volatile u32 *)&changes_{c})
			break;
	}}
	return at.slot;
}}""".splitlines(),
    ]


def _groups(t: TableLayout) -> list[str]:
    """Groups: how many members, and where their slots stand; slot 1 does nothing."""
    c = t.cname
    return f"""u64 g_{c}[{GROUPS}];
u32 gm_{c}[{POOL}];
INLINE struct t_{c} *member_{c}(u32 group, u64 hash)
{{
	u64 found;
	u32 n, i;
	if (group >= {GROUPS})
		return 0;
	CHECKED(group);
	found = g_{c}[group];
	n = found >> 32;
	if (!n)
		return &t_{c}[1];
	i = (u32)found + (u32)(hash % n);
	if (i >= {POOL})
		return 0;
	CHECKED(i);
	i = gm_{c}[i];
	if (i >= {t.slots})
		return 0;
	CHECKED(i);
	return &t_{c}[i];
}}""".splitlines()


def _value_set(v: ValueSetLayout) -> list[str]:
    """Members: value and mask, lower and upper end, of each field."""
    c, words = v.cname, sum(v.words)
    tests: list[str] = []
    for n in v.words:
        key, value, mask, low, high = (
            _words(array, sum(v.words[: len(tests)]), n)
            for array in ("s->key", "m->value", "m->mask", "m->low", "m->high")
        )
        tests.append(f"({key} & {mask}) == {value} && {key} >= {low} && {key} <= {high}")
    test = " &&\n\t\t    ".join(tests)
    return f"""
struct {c} {{ u64 value[{words}], mask[{words}], low[{words}], high[{words}]; }}; /* value set {v.name} */
struct {c} {c}[{2 * v.size}];
u32 n_{c}[2], gen_{c};
static __attribute__((noinline)) int in_{c}(struct scratch *s)
{{
	u32 gen = gen_{c} & 1, count = n_{c}[gen];
	for (u32 i = 0; i < {v.size}; i++) {{
		struct {c} *m = &{c}[gen * {v.size} + i];
		if (i >= count)
			break;
		if ({test})
			return 1;
	}}
	return 0;
}}""".splitlines()


def _features(module: Module) -> list[str]:
    lines: list[str] = []
    if "digest" in module.features:
        lines += _SEND_DIGEST
    if "log" in module.features:
        lines += _TELL
    if module.tables_needed or module.slow_hashes:
        lines += _crc_tables(module)
    if module.slow_hashes:
        lines += [f"#define HASHED_BYTES {HASHED_BYTES}", *_PUT_BITS]
        for function in sorted(module.slow_hashes - {"payload"}):
            lines += _SLOW[function].splitlines()
            if "payload" in module.slow_hashes:
                lines += _WITH_PAYLOAD[function].splitlines()
    return lines


_SEND_DIGEST = r"""
static __attribute__((noinline)) int send_digest(struct xdp_md *ctx, struct scratch *s)
{
	s->digest.ev.kind = EVENT_DIGEST;
	send_record(ctx, BPF_F_CURRENT_CPU, &s->digest, sizeof(s->digest));
	s->digest.ev.number = 0;
	return 0;
}""".splitlines()

_TELL = r"""
static __attribute__((noinline)) int tell(struct xdp_md *ctx, struct scratch *s, u32 message, u32 values)
{
	s->log.ev.kind = EVENT_LOG;
	s->log.ev.number = message;
	s->log.ev.extra = values;
	send_record(ctx, BPF_F_CURRENT_CPU, &s->log, sizeof(s->log));
	return 0;
}""".splitlines()

_PUT_BITS = r"""
/* Append the lowest `n` bits of `value`. */
static __attribute__((noinline)) int put_bits(struct scratch *s, u64 value, u32 n)
{
	u32 at = s->hashed_bits;
	for (u32 i = 0; i < 64 && i < n; i++, at++) {
		u32 octet = at >> 3;
		if (octet >= HASHED_BYTES)
			return 1;
		if (!(at & 7))
			s->hashed[octet] = 0;
		s->hashed[octet] |= (value >> (n - 1 - i) & 1) << (7 - (at & 7));
	}
	s->hashed_bits = at;
	return 0;
}""".splitlines()

_WALK = r"""
static __attribute__((noinline)) u64 {name}_slow(struct scratch *s)
{{
	u32 n = (s->hashed_bits + 7) >> 3;
	u64 h = {start};
	for (u32 i = 0; i < HASHED_BYTES; i++) {{
		u64 octet = s->hashed[i];
		if (i >= n)
			break;
		{step}
	}}
	return {result};
}}"""

_STEPS = {
    "crc32": (
        "0xffffffff", "h = crc32_table[0][(h ^ octet) & 255] ^ (u32)h >> 8;", "h ^ 0xffffffff",
    ),
    "crc16": ("0", "h = crc16_table[0][(h ^ octet) & 255] ^ (u32)h >> 8;", "h"),
    "csum16": ("0", "h += i & 1 ? octet : octet << 8;", "sum_fold(h) ^ 0xffff"),
    "xor16": ("0", "h ^= i & 1 ? octet : octet << 8;", "h"),
    "identity": ("0", "if (i < 8)\n\t\t\th = h << 8 | octet;", "h"),
}  # fmt: skip
_SLOW = {name: _WALK.format(name=name, start=a, step=b, result=c) for name, (a, b, c) in _STEPS.items()}

_PAYLOAD = r"""
struct {name}_at {{ struct xdp_md *ctx; struct scratch *s; u64 h; u32 first, pos, end; }};
static long {name}_chunk(u32 index, struct {name}_at *c)
{{
	struct scratch *s = c->s;
	u32 left = c->end - c->pos, n = left < 64 ? left : 64;
	u64 h = c->h;
	if (c->pos >= c->end || n == 0 || n > 64)
		return 1;
	if (bpf_xdp_load_bytes(c->ctx, c->pos, s->chunk, n))
		return 1;
	for (u32 k = 0; k < 64; k++) {{
		u64 octet = ((u8 *)s->chunk)[k];
		u32 i = c->first + k;
		if (k >= n)
			break;
		{step}
	}}
	c->h = h;
	c->first += n;
	c->pos += n;
	return 0;
}}
static __attribute__((noinline)) u64 {name}_payload(struct xdp_md *ctx, struct scratch *s)
{{
	struct {name}_at at = {{ ctx, s, 0, (s->hashed_bits + 7) >> 3, s->pos, packet_end(ctx) }};
	u32 n = (s->hashed_bits + 7) >> 3;
	u64 h = {start};
	for (u32 i = 0; i < HASHED_BYTES; i++) {{
		u64 octet = s->hashed[i];
		if (i >= n)
			break;
		{step}
	}}
	at.h = h;
	bpf_loop(1024, {name}_chunk, &at, 0);
	h = at.h;
	return {result};
}}"""
_WITH_PAYLOAD = {
    name: _PAYLOAD.format(name=name, start=a, step=b, result=c) for name, (a, b, c) in _STEPS.items()
}


def _crc_tables(module: Module) -> list[str]:
    lines = []
    used = module.tables_needed | module.slow_hashes
    for name, polynomial, digits in (("crc32", 0xEDB88320, 8), ("crc16", 0xA001, 4)):
        if name not in used:
            continue
        tables = _slices(polynomial)
        kind = "u32" if name == "crc32" else "u16"
        lines.append(f"const {kind} {name}_table[8][256] = {{")
        for table in tables:
            rows = [", ".join(f"0x{v:0{digits}x}" for v in table[i : i + 12]) for i in range(0, 256, 12)]
            lines.append("\t{ " + ",\n\t  ".join(rows) + " },")
        lines.append("};")
    return lines


def _slices(polynomial: int) -> list[list[int]]:
    """Table n: the CRC of an octet that n zero octets follow (reflected)."""
    first = []
    for octet in range(256):
        value = octet
        for _ in range(8):
            value = value >> 1 ^ (polynomial if value & 1 else 0)
        first.append(value)
    tables = [first]
    for _ in range(7):
        tables.append([first[v & 255] ^ v >> 8 for v in tables[-1]])
    return tables
