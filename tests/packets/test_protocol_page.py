"""docs/protocol.md and the code say the same of every format: fields, widths, codes, ports, counters, times.

`document` reads the page, `IMPLEMENTED` the programs. That a difference is seen is tried on pages with
another number, one number at a time.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable
from functools import cache
from ipaddress import IPv6Address, IPv6Network
from pathlib import Path
from typing import Any

import protocol_page as page
import pytest
from protocol_page import PAGE, Part
from scapy.packet import Packet

from p4cats import halfsiphash, protocol
from p4cats.compiler.driver import compile_file
from p4cats.compiler.ir import nodes
from p4cats.controller import keys, reasons
from p4cats.controller.flows import Flow
from p4cats.ebpf import build
from p4cats.ebpf.config import AgentConfig
from p4cats.ebpf.libbpf import Object
from p4cats.packets import layers
from p4cats.packets.dissector import SCRIPT
from p4cats.switch.dataplane import ActionCall, Exact, TableEntry
from p4cats.switch.model import ModelDataPlane
from p4cats.topologies import addressing, schema

ROOT = Path(__file__).resolve().parents[2]
HEADERS = (ROOT / "p4src" / "include" / "headers.p4").read_text()
NODE = 0xABC
"""A switch that stands for NODE in addresses."""


def document(text: str) -> dict[str, Any]:
    """What the page says, by what it says it of."""

    def found(section: str, first: str, number: int = 0) -> page.Table:
        return page.table(text, section, first, number)

    def number(pattern: str) -> int:
        return page.number(text, pattern)

    option, shim, md = found("3.1", "offset"), found("7.2", "offset"), found("7.2", "offset", 1)
    return {
        "option": page.parts(option),
        "option values": page.values(option),
        "shim": page.parts(shim),
        "shim values": page.values(shim),
        "md": page.parts(md),
        "md values": page.values(md),
        "decision": page.parts(found("7.3", "offset")),
        "instructions": {int(row[0]): _octets(row[2]) for row in found("7.2", "instruction bit").rows},
        "policies": {row[0].strip("`"): int(row[1]) for row in found("6.3", "policy").rows},
        "flow entry": [(row[1], int(row[0])) for row in found("6.4", "bits").rows],
        "flow entry tick": 1 << number(r"units of 2\^(\d+) µs"),
        "flow table": number(r"flow table has ([\d,]+) buckets")
        * _WRITTEN[_word(text, r"buckets of (\w+) entries")],
        "metric results": {
            name for row in found("3.3", "step").rows for name in re.findall(r"`(\w+)`", row[2])
        },
        "packet headers": list(page.header_bits(found("8", "header"))),
        "punt reasons": [number(r"(\d+) hop limit exceeded"), number(r"(\d+) packet too big")],
        "mac": [
            number(r"over (\d+) octets: octets"),
            number(r"with a (\d+)-bit key"),
            number(r"and a (\d+)-bit tag"),
        ],
        "mac covers": [number(r"octets: octets (\d+) to"), number(r"octets: octets \d+ to (\d+)")],
        "option bytes": number(r"Hop-by-Hop header of (\d+) octets"),
        "option data": number(r"the (\d+) octets of option data"),
        "option type": number(r"Option type `(\w+)`"),
        "beacon port": number(r"to port (\d+) of an ingress"),
        "int port": number(r"(?:UDP, port|destination port|header of port) (\d+)"),
        "report port": number(r"collector's address, port (\d+)"),
        "int fixed": number(r"fixed headers \((\d+) octets\)"),
        "end function": number(r"End SID \(RFC 8986, 4.1\) \| locator, function `(\w+)`"),
        "dx6 function": number(r"function `(\w+)` \+ instance id"),
        "block": IPv6Network(_word(text, r"goes to the block `([\w:/]+)`")),
        "locator": IPv6Network(_word(text, r"locator of a switch \| `([\w:/]+)`")),
        "end sid": IPv6Address(_word(text, r"function `0x\w+`: `([\w:]+)`")),
        "router": IPv6Address(_word(text, r"router address of a switch \| `([\w:]+)`")),
        "instances": number(r"instance from 1 to (\d+)"),
        "load ttl": 1000 * number(r"`load_ttl` \((\d+) ms"),
        "dead after": 1000 * number(r"`dead_after` \((\d+) ms"),
        "affinity timeout": 1_000_000 * number(r"`affinity_timeout` \((\d+) s"),
        "key lifetime": 60_000_000 * number(r"every (\d+) minutes \(`key_lifetime`"),
        "retire": number(r"or after (\d+) s in any"),
        "stale after": 1000 * number(r"`stale_after` \(default (\d+) s\)"),
        "beacon interval": number(r"`beacon_interval` \((\d+) ms\)"),
        "beacon min": number(r"`beacon_min` \((\d+) ms\)"),
        "spread time": 1000 * number(r"to one wait in the (\d+) ms"),
        "spread window": 1 << number(r"present window of 2\^(\d+) µs"),
        "last key id": number(r"1, 2, … (\d+), 1"),
    }


_WRITTEN = {"two": 2, "four": 4, "eight": 8}


def _word(text: str, pattern: str) -> str:
    [found] = set(re.findall(pattern, " ".join(text.split())))
    return found.replace("NODE", f"{NODE:x}")


def _octets(text: str) -> int:
    return sum(int(word) for word in text.split("+"))


# -- What the programs have -----------------------------------------------------------------------


@cache
def edge() -> nodes.Program:
    return compile_file(ROOT / "p4src" / "edge.p4")


def p4(name: str) -> list[Part]:
    """A header type of edge.p4."""
    header = next(c for c in edge().composites if c.name == name)
    return _laid_out((field.name, field.type.width) for field in header.fields)


def scapy(layer: type[Packet], leave: tuple[str, ...] = ()) -> list[Part]:
    """The fixed fields of a layer."""
    packet = layer()
    fields = [f for f in packet.fields_desc if f.name not in leave]
    return _laid_out((f.name, f.size if hasattr(f, "size") else 8 * f.sz) for f in fields)


def _laid_out(fields: Any) -> list[Part]:
    made, bit = [], 0
    for name, width in fields:
        made.append(Part(bit // 8, width, name))
        bit += width
    return made


def octets(fields: list[Part]) -> list[Part]:
    """Fields of less than an octet put together, as C and Python have them: version and flags."""
    made: list[Part] = []
    for field in fields:
        if made and made[-1].octet == field.octet:
            last = made.pop()
            field = Part(last.octet, last.bits + field.bits, f"{last.name}_{field.name}")  # noqa: PLW2901
        made.append(field)
    return made


def in_c(directory: Path, source: str) -> list[Part]:
    """`struct metric_header` of an eBPF program, from its debugging information."""
    probe = directory / "probe.bpf.c"
    probe.write_text(f'#include "{source}"\nstruct metric_header probe;\n')
    includes = [build.sources(), build.protocol_include()]
    with Object.open(build.compile_bpf(probe, includes)) as compiled:
        layout = compiled.btf.layout(compiled.btf.find("metric_header"))
    return [Part(field.offset, 8 * field.size, field.name) for field in layout.fields]


def in_struct() -> list[tuple[int, int]]:
    """Octet (behind type and length) and width of what `OPTION_DATA` packs."""
    sizes = [struct.calcsize("!" + code * int(count or 1)) for count, code in _codes()]
    return [(sum(sizes[:i]), 8 * size) for i, size in enumerate(sizes)]


def _codes() -> list[tuple[str, str]]:
    return [("", code) for code in re.sub(r"[! ]", "", protocol.OPTION_DATA.format)]


LUA = SCRIPT.read_text()


def lua(name: str) -> int:
    """A constant of the first lines of the dissector."""
    for names, numbers in re.findall(r"^local ([A-Z_, ]+) = ([\w, ]+)$", LUA, re.M):
        known = dict(zip(names.split(", "), numbers.split(", "), strict=True))
        if name in known:
            return int(known[name], 0)
    raise KeyError(name)


def lua_fields(letter: str, base: int = 0) -> list[tuple[int, int, str]]:
    """Octet, octets and name of what the dissector adds to its tree from `data`."""
    calls = re.findall(rf"\b{letter}\.(\w+), (?:data\((\d+), (\d+)\))", LUA)
    return [(base + int(at), int(size), name) for name, at, size in calls if name != "draining"]


def lua_masked() -> list[Part]:
    """The first word of the MD header, by the masks of its fields, but for what is reserved."""
    found = []
    for name, mask in re.findall(
        r'"int\.(\w+)", "[^"]*", (?:base\.DEC, nil|32, nil), (0x[0-9a-f]{8})\)', LUA
    ):
        bits = f"{int(mask, 16):032b}"
        found.append(Part(bits.index("1") // 8, bits.count("1"), name))
    return found


def lua_table(name: str) -> dict[int, str]:
    [body] = re.findall(rf"^local {name} = {{ (.*) }}$", LUA, re.M)
    return {int(code): value for code, value in re.findall(r'\[(\d+)\] = "(\w+)"', body)}


def lua_instructions() -> dict[int, int]:
    body = LUA[LUA.index("local DATA = {") : LUA.index("local d = {")]
    return {int(bit): int(size) for bit, size in re.findall(r"^  \{ (\d+), (\d+), \{", body, re.M)}


def _defaults(layer: type[Packet], names: dict[str, int]) -> dict[str, int]:
    packet = layer()
    return {
        name: int(getattr(packet, name)) for name in names if name in {f.name for f in packet.fields_desc}
    }


OPTION_CONSTANTS = {
    "ext_length": protocol.CONSTANTS["CATS_HBH_EXT_LENGTH"],
    "option_type": protocol.OPTION_TYPE,
    "option_length": protocol.OPTION_LENGTH,
    "magic": protocol.MAGIC,
    "version": protocol.VERSION,
    "flags": protocol.FLAG_DRAINING,
    "reserved": 0,
}
C_PROGRAMS = ("stamp.bpf.c", "steer.bpf.c")


def test_option_is_laid_out_as_documented(tmp_path: Path) -> None:
    check_option(document(PAGE.read_text()), compiled(tmp_path))


def compiled(directory: Path) -> dict[str, list[Part]]:
    return {name: in_c(directory, name) for name in C_PROGRAMS}


def check_option(says: dict[str, Any], in_ebpf: dict[str, list[Part]]) -> None:
    fields = says["option"]
    assert p4("metric_t") == fields
    behind = [Part(f.octet - 2, f.bits, f.name) for f in fields if f.octet >= 2]
    assert scapy(layers.MetricOption) == behind
    for name, found in in_ebpf.items():
        merged = octets(fields)
        assert [(f.octet, f.bits) for f in found] == [(f.octet, f.bits) for f in merged], name
        assert [f.name for f in found] == [f.name for f in merged], name
    assert [(at + 4, bits) for at, bits in in_struct()] == [(f.octet, f.bits) for f in octets(fields)[4:]]
    whole = {f.name: (f.octet, f.bits // 8 or 1) for f in fields if f.octet >= 4}
    assert {name: (at, size) for at, size, name in lua_fields("m", 4)} == whole
    assert sum(f.bits for f in fields) == 8 * says["option bytes"] == 8 * protocol.HBH_BYTES


def check_option_values(says: dict[str, Any]) -> None:
    assert says["option values"] == OPTION_CONSTANTS
    without_flags = {name: value for name, value in OPTION_CONSTANTS.items() if name != "flags"}
    del without_flags["ext_length"]
    assert _defaults(layers.MetricOption, without_flags) == without_flags
    assert (lua("OPTION_TYPE"), lua("OPTION_LENGTH"), lua("OPTION_MAGIC")) == (
        says["option type"],
        says["option data"],
        says["option values"]["magic"],
    )
    assert says["option type"] == protocol.OPTION_TYPE
    assert says["option data"] == protocol.OPTION_LENGTH == protocol.OPTION_DATA.size
    assert says["mac"] == [protocol.MAC_INPUT_BYTES, 8 * halfsiphash.KEY_BYTES, 8 * halfsiphash.TAG_BYTES]
    begin, end = says["mac covers"]
    assert begin == next(f.octet for f in says["option"] if f.name == "magic")
    assert end + 1 == next(f.octet for f in says["option"] if f.name == "mac")
    assert says["instances"] == protocol.INSTANCES - 1


HOP_HEADERS = {
    0: "node_id", 1: "interfaces", 2: "latency", 3: "queue", 4: "ingress_time", 5: "egress_time", 6: "level2",
    7: "word", 8: "word", 15: "word",
}  # fmt: skip
"""Header types of edge.p4, by instruction bit."""


def _bytes(fields: list[Part]) -> int:
    return sum(field.bits for field in fields) // 8


def check_telemetry(says: dict[str, Any]) -> None:
    assert scapy(layers.IntShim) == p4("int_shim_t") == says["shim"]
    assert scapy(layers.IntMd, ("stack",)) == p4("int_md_t") == says["md"]
    assert scapy(layers.Decision) == p4("int_decision_t") == says["decision"]
    assert sum(f.bits for f in says["md"]) == 8 * layers.IntMd.HEADER_BYTES == 8 * lua("MD_BYTES")
    assert sum(f.bits for f in says["decision"]) == 8 * lua("DECISION_BYTES")
    assert says["shim values"] == _defaults(layers.IntShim, says["shim values"])
    assert says["md values"]["version"] == layers.IntMd().version
    assert says["md values"]["domain"] == protocol.INT_DOMAIN == lua("INT_DOMAIN")
    assert {name: v for name, v in says["md values"].items() if name not in ("version", "domain")} == {
        "reserved": 0,
        "domain_flags": 0,
    }
    assert lua_masked() == [f for f in says["md"] if f.octet < 4 and f.name != "reserved"]
    whole = {f.name: (f.octet, f.bits // 8) for f in says["decision"]}
    assert {name: (at, size) for at, size, name in lua_fields("d")} == whole
    known = {bit: struct.calcsize(form) for bit, _, form in layers._BASELINE}
    assert says["instructions"] == known == lua_instructions()
    assert says["instructions"] == {bit: _bytes(p4(f"int_{name}_t")) for bit, name in HOP_HEADERS.items()}
    assert says["int fixed"] == 8 + (sum(f.bits for f in says["shim"]) + sum(f.bits for f in says["md"])) // 8


def check_codes(says: dict[str, Any]) -> None:
    assert says["policies"] == protocol.POLICIES
    assert {code: name for name, code in says["policies"].items()} == lua_table("POLICY")
    assert says["metric results"] == {name.replace(" ", "_") for name in reasons.cells("metrics").values()}
    assert says["punt reasons"] == [_p4_constant("PUNT_HOP_LIMIT"), _p4_constant("PUNT_TOO_BIG")]
    padded = {"padding": "_pad"}
    for header in ("packet_in", "packet_out"):
        found = [(padded.get(name, name), bits) for of, name, bits in says["packet headers"] if of == header]
        assert found == [(f.name, f.bits) for f in p4(f"{header}_t")]


def _p4_constant(name: str) -> int:
    return int(re.findall(rf"^const \S+\s+{name} = (\w+);", HEADERS, re.M)[0], 0)


def check_ports_and_addresses(says: dict[str, Any]) -> None:
    assert says["beacon port"] == protocol.BEACON_PORT == lua("BEACON_PORT")
    assert says["int port"] == protocol.INT_PORT == lua("INT_PORT")
    assert says["report port"] == protocol.REPORT_PORT == lua("REPORT_PORT")
    assert says["end function"] == protocol.FUNCTION_END
    assert says["dx6 function"] == protocol.FUNCTION_DX6
    assert says["block"] == addressing.SID_BLOCK == IPv6Network((protocol.SR_BLOCK << 112, 16))
    assert says["locator"] == addressing.locator(NODE)
    assert says["end sid"] == addressing.sid(NODE, protocol.FUNCTION_END)
    assert says["router"] == addressing.router_address(NODE)


def check_times(says: dict[str, Any]) -> None:
    service = schema.Service.model_fields
    assert says["load ttl"] == service["load_ttl_us"].default
    assert says["dead after"] == service["dead_after_us"].default
    assert says["affinity timeout"] == service["affinity_timeout_us"].default
    assert says["key lifetime"] == schema.Topology.model_fields["key_lifetime_us"].default
    assert says["retire"] == keys.RETIRE_S
    assert says["last key id"] == keys.LAST_ID
    assert (says["spread time"], says["spread window"]) == (
        protocol.SPREAD_TIME_US,
        protocol.SPREAD_WINDOW_US,
    )
    agent = AgentConfig.model_fields
    assert says["stale after"] == agent["stale_after_ms"].default
    assert says["beacon interval"] == agent["beacon_interval_ms"].default
    assert says["beacon min"] == agent["beacon_min_ms"].default


def test_report_is_laid_out_as_the_scapy_layers_say() -> None:
    group, report = scapy(layers.ReportGroup), scapy(layers.Report, ("metadata",))
    behind = [Part(field.octet + _bytes(group), field.bits, field.name) for field in report]
    assert p4("report_t") == group + behind


# -- The flow table, by what the program writes ------------------------------------------------------

CLIENT, SERVICE, INSTANCE = IPv6Address("2001:db8:1::1"), IPv6Address("2001:db8:ca75::53"), 0x2AB
SPORT, DPORT = 20_000, 53


@cache
def written() -> tuple[int, int]:
    """The flow table's entry after two packets of one flow, and when it was written, in microseconds."""
    now_ns = 0x15555 * (1 << 34)
    plane = ModelDataPlane(edge(), lambda port, frame: None, cpu_port=510, clock=lambda: now_ns, seed=0)

    def insert(table: str, key: tuple[Any, ...], action: str, **data: int) -> None:
        name = action if action == "NoAction" else f"EdgeIngress.{action}"
        names = [item.name for item in next(a for a in edge().actions if a.name == name).data]
        call = ActionCall(name, tuple(data.get(item, 0) for item in names))
        plane.insert_entry(f"EdgeIngress.{table}", TableEntry(key, 0, call))

    insert("services", (Exact(int(SERVICE)),), "classify", id=1, policy=1, affinity_timeout_us=30_000_000)
    insert(
        "steering.selection.c0.candidates",
        (Exact(1),),
        "steering.selection.c0.consider",
        instance_id=INSTANCE,
    )
    insert("steering.living", (Exact(INSTANCE),), "NoAction")
    insert("steering.instances", (Exact(INSTANCE),), "steering.steer")
    udp = struct.pack("!4H", SPORT, DPORT, 8, 0)
    head = struct.pack("!IHBB", 6 << 28, len(udp), 17, 64) + CLIENT.packed + SERVICE.packed
    for _ in range(2):
        plane.process(1, bytes(12) + b"\x86\xdd" + head + udp)
    flow = Flow(CLIENT, SERVICE, 17, SPORT, DPORT)
    [entry] = [found for cell in flow.cells if (found := int(plane.read_register("flow_entries", cell)))]
    return entry, now_ns // 1000


def check_flow_table(says: dict[str, Any]) -> None:
    flow = Flow(CLIENT, SERVICE, 17, SPORT, DPORT)
    entry, now_us = written()
    bit, found = 64, {}
    for name, width in says["flow entry"]:
        bit -= width
        assert bit >= 0
        found[name] = entry >> bit & (1 << width) - 1
    assert bit == 0
    time = now_us // says["flow entry tick"] & (1 << dict(says["flow entry"])["time"]) - 1
    assert found == {"tag": flow.tag, "instance": INSTANCE, "confirmed": 1, "time": time}
    [register] = [x for x in edge().externs if x.kind == "register" and x.name.endswith("flow_entries")]
    assert register.arguments[0].value == says["flow table"]


def test_measured_figures_are_those_of_the_bench() -> None:
    names = [row[0] for row in page.table(PAGE.read_text(), "10", "figure").rows]
    bench = "".join(path.read_text() for path in (ROOT / "tests" / "bench").glob("*.py"))
    assert names
    assert [name for name in names if f'"{name.strip("`")}"' not in bench] == []


# -- A page that says something else is found out -----------------------------------------------------

CHECKS: tuple[Callable[[dict[str, Any]], None], ...] = (
    check_option_values,
    check_telemetry,
    check_codes,
    check_ports_and_addresses,
    check_times,
    check_flow_table,
)


@pytest.mark.parametrize("check", CHECKS)
def test_page_and_code_agree(check: Callable[[dict[str, Any]], None]) -> None:
    check(document(PAGE.read_text()))


def check_all(text: str) -> None:
    says = document(text)
    for check in CHECKS:
        check(says)


COMPARED = {"offset": (1, 2), "instruction bit": (1, 3), "policy": (2,), "bits": (1,), "header": (2,)}
"""Columns with numbers, by the heading of a table's first."""


def mutants(text: str) -> dict[str, str]:
    """Pages with one number of a compared table changed, or with two field names exchanged."""
    lines = text.splitlines()
    made = {}

    def put(what: str, at: int, *rows: str) -> None:
        made[f"line {at + 1}: {what}"] = "\n".join([*lines[:at], *rows, *lines[at + len(rows) :]])

    for found in page.tables(text):
        for at in range(*found.lines):
            cells = lines[at].split("|")
            columns = COMPARED.get(found.head[0], ())
            if found.section != "7.3" and columns == (1, 2) and cells[3].strip() in page.values(found):
                columns += (4,)
            for column in columns:
                numbers = re.finditer(r"0x[0-9A-Fa-f]+|\d+", cells[column])
                for match in list(numbers)[: 1 if column == 4 else None]:
                    other = str(int(match[0], 0) + 1)
                    changed = cells[column][: match.start()] + other + cells[column][match.end() :]
                    line = "|".join([*cells[:column], changed, *cells[column + 1 :]])
                    put(line, at, line)
            if found.head[0] == "offset" and at + 1 < found.lines[1]:
                one, two = cells, lines[at + 1].split("|")
                put(
                    "names",
                    at,
                    "|".join([*one[:3], two[3], *one[4:]]),
                    "|".join([*two[:3], one[3], *two[4:]]),
                )
    return made


def test_a_page_with_one_other_number_is_found_out(tmp_path: Path) -> None:
    text = PAGE.read_text()
    in_ebpf = compiled(tmp_path)
    passed = []
    for what, other in mutants(text).items():
        try:
            check_option(document(other), in_ebpf)
            check_all(other)
        except (AssertionError, KeyError, ValueError):
            continue
        passed.append(what)
    assert not passed
    assert len(mutants(text)) > 100


PROSE = (
    "51829", "51830", "51831", "`0x3E`", "5f00::/16", "5f00:0:NODE::/48", "5f00:0:NODE::1`",
    "5f00:0:NODE:1::", "`0x0001`", "`0x1000`", "36 octets of option data", "over 44 octets", "(500 ms",
    "(100 ms", "(30 s unless", "(25 ms)", "(5 ms)", "default 3 s", "131,072", "2^14", "every 10 minutes",
    "(24 octets)", "wait in the 25", "2^20", "1 to 1023 |", "octets 4 to 31",
)  # fmt: skip


@pytest.mark.parametrize("words", PROSE)
def test_a_page_with_another_number_in_its_prose_is_found_out(words: str) -> None:
    text = PAGE.read_text()
    assert words in text
    other = re.sub(r"(\d)(?=\D*$)", lambda digit: str((int(digit[1]) + 1) % 10), words)
    with pytest.raises((AssertionError, KeyError, ValueError)):
        check_all(text.replace(words, other))
