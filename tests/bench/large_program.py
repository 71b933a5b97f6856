"""A program as large as public ones get: tunnels over tunnels, each with tables of its own.

`large_program(tables)` gives P4 text of 25 lines per table, 2,500 lines for 100: parser states, headers,
actions with data, tables of every match kind, entries, counters, registers, conditions and checksums.
"""

from __future__ import annotations

_HEAD = """#include <core.p4>
#include <v1model.p4>

typedef bit<48> mac_t;
const bit<16> FIRST_TYPE = 0x1000;

header ethernet_t {
    mac_t   dst;
    mac_t   src;
    bit<16> type;
}

struct metadata_t {
    bit<32> hash;
    bit<16> next;
    bit<9>  port;
}
"""

_TAIL = """
control TestEgress(inout headers_t hdr, inout metadata_t meta, inout standard_metadata_t sm) {
    apply {
        if (sm.instance_type == 0) {
            hdr.ethernet.src = (mac_t)meta.hash;
        }
    }
}

control Verify(inout headers_t hdr, inout metadata_t meta) {
    apply {}
}

control Deparse(packet_out packet, in headers_t hdr) {
    apply {
        packet.emit(hdr);
    }
}

V1Switch(Parse(), Verify(), TestIngress(), TestEgress(), Compute(), Deparse()) main;
"""

_HEADER = """
header layer{n}_t {{
    bit<32> address;
    bit<16> flags;
    bit<16> checksum;
    bit<16> type;
}}
"""

_STATE = """    state layer{n} {{
        packet.extract(hdr.layer{n});
        transition select(hdr.layer{n}.type) {{
            FIRST_TYPE + {next}: layer{next};
            default: accept;
        }}
    }}
"""

_TABLE = """    action set{n}(bit<9> port, bit<16> flags) {{
        meta.port = port;
        hdr.layer{h}.flags = hdr.layer{h}.flags | flags;
        seen{h}.count((bit<32>)flags[7:0]);
    }}
    table choose{n} {{
        key = {{
            hdr.layer{h}.address: {kind};
            hdr.layer{h}.flags & 0xff0f: exact @name("flags");
            hdr.layer{h}.isValid(): exact;
        }}
        actions = {{ set{n}; drop; NoAction; }}
        default_action = {default};
        size = {size};
    }}
"""

_APPLY = """        if (hdr.layer{h}.isValid() && meta.port != {n}) {{
            if (!choose{n}.apply().hit) {{
                meta.hash = meta.hash + (bit<32>)hdr.layer{h}.flags * {n};
            }}
        }}
"""

_KINDS = ("exact", "lpm", "ternary", "range")
_DEFAULTS = ("NoAction()", "drop()", "set{n}(1, 2)")


def large_program(tables: int = 100) -> str:
    """The text; one header and parser state for every four tables."""
    layers = range((tables + 3) // 4)
    parts = [_HEAD, *(_HEADER.format(n=n) for n in layers)]
    members = "".join(f"    layer{n}_t layer{n};\n" for n in layers)
    parts.append(f"\nstruct headers_t {{\n    ethernet_t ethernet;\n{members}}}\n")
    parts.append(
        "\nparser Parse(packet_in packet, out headers_t hdr, inout metadata_t meta,\n"
        "             inout standard_metadata_t sm) {\n"
        "    state start {\n        packet.extract(hdr.ethernet);\n        transition layer0;\n    }\n"
    )
    parts += [_STATE.format(n=n, next=min(n + 1, len(layers) - 1)) for n in layers]
    parts.append(
        "}\n\ncontrol TestIngress(inout headers_t hdr, inout metadata_t meta,\n"
        "                    inout standard_metadata_t sm) {\n"
        "    action drop() {\n        mark_to_drop(sm);\n    }\n"
    )
    parts += [f"    counter(256, CounterType.packets) seen{n};\n" for n in layers]
    for n in range(tables):
        default = _DEFAULTS[n % 3].format(n=n)
        parts.append(_TABLE.format(n=n, h=n // 4, kind=_KINDS[n % 4], default=default, size=1 << n % 12))
    parts.append("    apply {\n")
    parts += [_APPLY.format(n=n, h=n // 4) for n in range(tables)]
    parts.append("        sm.egress_spec = meta.port;\n    }\n}\n")
    parts.append("\ncontrol Compute(inout headers_t hdr, inout metadata_t meta) {\n    apply {\n")
    for n in layers:
        fields = f"hdr.layer{n}.address, hdr.layer{n}.flags, hdr.layer{n}.type"
        parts.append(
            f"        update_checksum(hdr.layer{n}.isValid(), {{ {fields} }},\n"
            f"                        hdr.layer{n}.checksum, HashAlgorithm.csum16);\n"
        )
    parts += ["    }\n}\n", _TAIL]
    return "".join(parts)


if __name__ == "__main__":
    print(large_program(), end="")
