"""The C text: declarations, then the packet's way from port to port."""

from __future__ import annotations

from typing import TYPE_CHECKING

from p4cats.compiler.backends.model.usage import walk
from p4cats.compiler.backends.xdp.declarations import declarations
from p4cats.compiler.backends.xdp.parsers import STEP_LIMIT, ParserEmitter
from p4cats.compiler.backends.xdp.storage import AnyPlace, fixed_bits
from p4cats.compiler.ir import nodes

if TYPE_CHECKING:
    from p4cats.compiler.backends.xdp.module import Module


def program_text(module: Module) -> str:
    """The C file. The packet's way is written first: it finds out what must be declared."""
    way = _way(module)
    head = declarations(module)
    return "\n".join([*head, *way, 'char _license[] SEC("license") = "Dual BSD/GPL";', ""])


def _way(module: Module) -> list[str]:
    program = module.program
    emitter = module.emitter()
    emitter.locals += ["u32 size;", "u32 shift;"]
    hdr, meta, sm = module.hdr, module.meta, module.standard_place
    parse = _parser(module, emitter, [hdr, meta, sm])
    verify = module.control(emitter, program.verify_checksum, "verified", [hdr, meta])
    ingress = module.control(emitter, program.ingress, "ingress_done", [hdr, meta, sm])
    egress = module.control(emitter, program.egress, "egress_done", [hdr, meta, sm])
    compute = module.control(emitter, program.compute_checksum, "computed", [hdr, meta])
    emitter.emit_pass = "size"
    size = module.control(emitter, program.deparser, "sized", [hdr])
    emitter.emit_pass = "write"
    write = module.control(emitter, program.deparser, "written", [hdr])
    emitter.lines = []
    out_length = _egress_length(module, emitter, hdr)
    before_egress = _before_egress(module)
    lines = [*_START]
    lines += [f"\t{module.scalar('ingress_port')} = port;", "", "parse:", *parse, "parsed:"]
    lines += ["\tbpf_iter_num_destroy(&steps);"] if module.parser_iterator else []
    lines += _PARSED
    if module.features & {"clone_ingress"}:
        lines += _AFTER_CLONE_PARSE
    lines += [
        "",
        "\t/* verify checksums */",
        *verify,
        "",
        "\t/* ingress */",
        *ingress,
        *_after_ingress(module),
    ]
    lines += ["egress:", *before_egress, *out_length, "", "\t/* egress */", *egress, *_after_egress(module)]
    lines += ["", "\t/* compute checksums */", *compute, "", "\t/* deparse */", *size, *_RESIZE, *write]
    lines += _send(module)
    functions, lines, members = module.pieces.finish(lines, emitter.locals)
    module.scratch.shared += members
    return [*functions, *_HEAD, *lines]


def _parser(module: Module, emitter: ParserEmitter, places: list[AnyPlace]) -> list[str]:
    from p4cats.compiler.backends.xdp.values import is_composite  # noqa: PLC0415

    parser = module.program.parser
    composites = [p for p in parser.parameters if is_composite(p.type)]
    for place, parameter in zip(places, composites, strict=False):
        emitter.places[parameter] = place
    emitter.lines = []
    emitter.run_states(parser, "parsed")
    emitter.open_ends.clear()
    if not module.parser_iterator:
        return emitter.lines
    begin = f"\tbpf_iter_num_new(&steps, 0, {STEP_LIMIT});"
    return [begin, *emitter.lines]


_HEAD = r"""
SEC("xdp.frags") int p4_main(struct xdp_md *ctx)
{
	u32 cpu = bpf_get_smp_processor_id();
	u32 port = NO_PORT, base = 0, kind = RUN_INGRESS, pos, o, behind, left;
	struct scratch *s;
	void *data, *end;
	u32 z;
	u64 hidden;
""".splitlines()

_START = r"""	if (cpu >= CPUS)
		return XDP_ABORTED;
	s = &scratch[cpu];
	z = zero & POS_MASK;
	hidden = nothing;
	data = (void *)(long)ctx->data;
	end = (void *)(long)ctx->data_end;
	clear((u8 *)s + STATE, STATE_BYTES);
	s->now = 0;
	port = port_of(ctx->ingress_ifindex);
	if (port == NO_PORT) {
		struct p4_prefix *prefix = data;
		if (ctx->ingress_ifindex != LOOPBACK)
			return XDP_PASS;
		if (data + PREFIX_BYTES > end)
			return XDP_ABORTED;
		port = prefix->port;
		kind = prefix->kind;
		base = prefix->length & POS_MASK;
		s->now = prefix->now_ns;
		s->length = prefix->packet_length;
		if (kind == RUN_EGRESS || kind == RUN_IMAGE) {
			if (bpf_xdp_load_bytes(ctx, PREFIX_BYTES, &s->ev, IMAGE_BYTES))
				return XDP_ABORTED;
			s->now = s->ev.now_ns;
			forget_places(s);
			pos = AT(base);
			s->pos = pos;
			s->base = base;
			if (kind == RUN_EGRESS)
				goto egress;
			goto parse;
		}
	} else {
		s->length = bpf_xdp_get_buff_len(ctx);
	}
	pos = AT(base);
	s->base = base;
	SET_PACKET_LENGTH""".splitlines()

_PARSED = r"""	s->pos = pos;""".splitlines()

_AFTER_CLONE_PARSE = r"""	if (kind == RUN_CLONE) {
		/* Headers are those of the packet, metadata what the field list kept. */
		if (bpf_xdp_load_bytes(ctx, PREFIX_BYTES + METADATA, (u8 *)s + METADATA, METADATA_BYTES))
			goto failed;
		goto egress;
	}""".splitlines()

_RESIZE = r"""	pos = s->pos & POS_MASK;
	base = s->base & POS_MASK;
	shift = pos - base - size;
	if (shift && bpf_xdp_adjust_head(ctx, (int)shift)) {
		drops[cpu].no_room++;
		return XDP_DROP;
	}
	data = (void *)(long)ctx->data;
	end = (void *)(long)ctx->data_end;
	o = AT(base);""".splitlines()


def _clone_event(side: str) -> str:
    request = f"s->clone_{side}_session, s->clone_{side}_list"
    return f"\t\tsend_event(ctx, s, EVENT_CLONE_{side.upper()}, {request}, IMAGE_BYTES);"


def _after_ingress(module: Module) -> list[str]:
    lines = []
    if "clone_ingress" in module.features:
        lines += [
            "\tif (s->clone_ingress) {",
            "\t\ts->clone_ingress = 0;",
            _clone_event("ingress"),
            "\t}",
        ]
    if "digest" in module.features:
        lines += ["\tif (s->digest.ev.number)", "\t\tsend_digest(ctx, s);"]
    if "resubmit" in module.features:
        lines += [
            "\tif (s->resubmit) {",
            "\t\tsend_event(ctx, s, EVENT_RESUBMIT, 0, s->resubmit - 1, IMAGE_BYTES);",
            "\t\treturn XDP_DROP;",
            "\t}",
        ]
    if module.writes_multicast:
        lines += [
            f"\tif ({module.scalar('mcast_grp')}) {{",
            f"\t\tsend_event(ctx, s, EVENT_MULTICAST, {module.scalar('mcast_grp')}, 0, IMAGE_BYTES);",
            "\t\treturn XDP_DROP;",
            "\t}",
        ]
    spec = module.scalar("egress_spec")
    lines += [
        f"\tif ({spec} == DROP_PORT) {{",
        "\t\tdrops[cpu].ingress++;",
        "\t\treturn XDP_DROP;",
        "\t}",
        f"\t{module.scalar('instance_type')} = 0;",
        f"\t{module.scalar('egress_port')} = {spec};",
    ]
    if module.reads("enq_timestamp"):
        lines.append(f"\t{module.scalar('enq_timestamp')} = (u32)now_us(s);")
    return lines


def _before_egress(module: Module) -> list[str]:
    lines = [f"\t{module.scalar('egress_spec')} = 0;"]
    for name in ("ingress_global_timestamp", "egress_global_timestamp"):
        if name in module.written_standard and name.startswith("egress"):
            lines.append(f"\t{module.scalar(name)} = now_us(s);")
    return lines


def _egress_length(module: Module, emitter: ParserEmitter, hdr: AnyPlace) -> list[str]:
    """packet_length at egress counts what ingress has added and removed; only where somebody looks."""
    standard = module.program.standard_metadata
    fields = (n for n in walk(module.program.egress) if isinstance(n, nodes.FieldRef))
    if not any(n.field == "packet_length" and n.base.type is standard for n in fields):
        return []
    length = module.scalar("packet_length")
    emitter.line(f"{length} = packet_end(ctx) - s->pos;")
    for header in emitter.headers_of(hdr):
        extra = f" + {header.varbits} / 8" if header.varbits else ""
        emitter.line(f"if ({header.valid})")
        emitter.line(f"\t{length} += {fixed_bits(header.type) // 8}{extra};")
    return emitter.lines


def _after_egress(module: Module) -> list[str]:
    lines = []
    if "clone_egress" in module.features:
        again = "recirculate" in module.features
        lines += [
            "\tif (s->clone_egress) {",
            *(["\t\tu32 again = s->recirculate;", "\t\ts->recirculate = 0;"] if again else []),
            "\t\ts->clone_egress = 0;",
            _clone_event("egress"),
            *(["\t\ts->recirculate = again;"] if again else []),
            "\t}",
        ]
    if module.drops_in_egress:
        lines += [
            f"\tif ({module.scalar('egress_spec')} == DROP_PORT) {{",
            "\t\tdrops[cpu].egress++;",
            "\t\treturn XDP_DROP;",
            "\t}",
        ]
    return [*lines, "\tsize = 0;"]


def _send(module: Module) -> list[str]:
    lines = []
    if "truncate" in module.features:
        lines += _TRUNCATE
    if "recirculate" in module.features:
        lines += [
            "\tif (s->recirculate) {",
            "\t\tsend_event(ctx, s, EVENT_RECIRCULATE, 0, s->recirculate - 1, IMAGE_BYTES);",
            "\t\treturn XDP_DROP;",
            "\t}",
        ]
    lines.append(f"\tport = {module.scalar('egress_port')};")
    return lines + _SEND


_TRUNCATE = r"""	if (s->truncated) {
		u32 all = packet_end(ctx), most = o + s->truncated - 1;
		if (all > most && bpf_xdp_adjust_tail(ctx, -(int)(all - most)))
			goto failed;
		data = (void *)(long)ctx->data;
		end = (void *)(long)ctx->data_end;
	}""".splitlines()

_SEND = r"""	if (base) {
		struct p4_prefix *prefix = data;
		if (data + PREFIX_BYTES > end)
			return XDP_ABORTED;
		prefix->out_port = port;
		prefix->length = base;
		return XDP_PASS;
	}
	if (port == cpu_port) {
		send_event(ctx, s, EVENT_PACKET, 0, 0, sizeof(struct p4_event));
		return XDP_DROP;
	}
	if (bpf_redirect_map(&ports, port, XDP_DROP) == XDP_REDIRECT)
		return XDP_REDIRECT;
	drops[cpu].no_port++;
	return XDP_DROP;
failed:
broken:
	drops[cpu].failed++;
	return XDP_DROP;
loop_limit:
	drops[cpu].loop_limit++;
	return XDP_DROP;
asserted:
	drops[cpu].asserted++;
	return XDP_DROP;
}
""".splitlines()
